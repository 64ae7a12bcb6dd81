"""A provider over real HTTP that does as a test wants. It knows nothing of the adapters."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

import orjson
from aiohttp import web


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; a body that is no bytes is sent as JSON."""

    status: int = 200
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return orjson.loads(self.body)

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), strict_parsing=True))


Handler: TypeAlias = Callable[["FakeProvider", web.Request], Coroutine[Any, Any, web.StreamResponse]]
Usual: TypeAlias = Callable[[Received], Reply | Handler]


class FakeProvider:
    """Listens on a free port of its own thread.

    Attributes:
        usual: what it answers unless a script is there.
        scripts: what the next requests get instead, in order.
        received: every request, in order of arrival.
        arrived: set at the first of them.
    """

    def __init__(self) -> None:
        self.usual: Usual = lambda _received: Reply()
        self.scripts: list[Reply | Handler] = []
        self.received: list[Received] = []
        self.arrived = threading.Event()
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._runner: web.AppRunner | None = None
        self._released = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen; on the port of before, if there was one."""
        if not self._thread.is_alive():
            self._thread.start()
        self._wait(self._listen())

    def stop(self) -> None:
        """Close the port and every connection."""
        self._wait(self._close())

    def end(self) -> None:
        """Stop, and end the thread."""
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def reset(self, usual: Usual) -> None:
        """Forget what was, and listen; from now on, this is the usual answer."""
        if self._runner is None:
            self.start()
        self.usual, self.scripts, self.received = usual, [], []
        self.arrived.clear()
        self._loop.call_soon_threadsafe(self._released.set)
        self._released = asyncio.Event()

    async def held(self) -> None:
        """Until the next reset."""
        await self._released.wait()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        received = Received(
            request.method,
            request.rel_url.raw_path,
            dict(request.query),
            {name.lower(): value for name, value in request.headers.items()},
            await request.read(),
        )
        self.received.append(received)
        self.arrived.set()
        answer = self.scripts.pop(0) if self.scripts else self.usual(received)
        if not isinstance(answer, Reply):
            return await answer(self, request)
        body = answer.body if isinstance(answer.body, bytes) else orjson.dumps(answer.body)
        return web.Response(status=answer.status, body=body, headers=answer.headers)

    async def _listen(self) -> None:
        app = web.Application(client_max_size=64 * 1024)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _close(self) -> None:
        self._released.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _wait(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()


async def never(fake: FakeProvider, _request: web.Request) -> web.StreamResponse:
    """Takes the message, and answers when nobody waits any more."""
    await fake.held()
    return web.Response()


async def hang_up(_fake: FakeProvider, request: web.Request) -> web.StreamResponse:
    """Takes the message, and closes the connection."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def no_http(_fake: FakeProvider, request: web.Request) -> web.StreamResponse:
    """Takes the message, and answers in no protocol."""
    assert isinstance(request.transport, asyncio.WriteTransport)
    request.transport.write(b"\x00\x01\x02 +OK\r\n\r\n")
    request.transport.close()
    return web.Response()


def half_of(reply: Reply) -> Handler:
    """The answer's first half."""

    async def answer(_fake: FakeProvider, request: web.Request) -> web.StreamResponse:
        body = reply.body if isinstance(reply.body, bytes) else orjson.dumps(reply.body)
        response = web.StreamResponse(status=reply.status, headers=reply.headers)
        response.content_length = len(body) + 10
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        assert request.transport is not None
        request.transport.abort()
        return response

    return answer
