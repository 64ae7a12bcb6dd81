"""Requests to providers: how long they may take, how much may come back, and whether anything went out.

What an error means depends on how far a request came: before a connection was there, nothing was sent; after
that, only an answer says whether the message was taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson

from server.dispatch.channels.answers import Answer
from server.dispatch.channels.channel import ErrorClass, Refused
from server.dispatch.channels.public_networks import PublicResolver, is_private

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_LARGEST_ANSWER: Final = 64 * 1024
_CONNECT_SECONDS: Final = 10.0
_IDLE_SECONDS: Final = 15.0


class ProviderHttp:
    """Connections to one provider, shared by the tenants of this process. Knows no cookies, follows no redirect.

    Args:
        connections: requests at once.
        timeout_seconds: for one request and its answer.
        private_networks: whether URLs may lead into private networks.
    """

    def __init__(self, *, connections: int, timeout_seconds: float, private_networks: bool = True) -> None:
        self.connections = connections
        self.timeout_seconds = timeout_seconds
        self.private_networks = private_networks
        self._places = asyncio.Semaphore(connections)
        self._session: aiohttp.ClientSession | None = None

    async def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        wait_seconds: float,
        parameters: Mapping[str, str] | None = None,
    ) -> Answer | Refused:
        """The answer, or a refusal where there is none.

        Args:
            parameters: of the query.
            wait_seconds: for its turn.
        """
        if not self.private_networks and is_private(url):
            return Refused(ErrorClass.AUTHENTICATION, "URL_IN_PRIVATE_NETWORK")
        if not all(value.isprintable() for value in headers.values()):
            return Refused(ErrorClass.AUTHENTICATION, "REQUEST_NOT_SENDABLE")
        progress = SimpleNamespace(connected=False)
        try:
            async with self._turn(wait_seconds), asyncio.timeout(self.timeout_seconds):
                return await self._post(url, body, headers, parameters, progress)
        except _NoTurn:
            return Refused(ErrorClass.TRANSIENT, "NO_CONNECTION_IN_TIME")
        except TimeoutError:
            return _broken_off("NO_ANSWER_IN_TIME", progress)
        except aiohttp.InvalidURL:
            # Its text may hold a secret, so it is not recorded.
            return Refused(ErrorClass.AUTHENTICATION, "REQUEST_NOT_SENDABLE")
        except (aiohttp.ClientError, OSError, ValueError):
            return _broken_off("CONNECTION_LOST", progress)

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        parameters: Mapping[str, str] | None,
        progress: SimpleNamespace,
    ) -> Answer:
        session = self._session = self._session or self._open()
        async with session.post(
            url,
            data=body,
            headers=headers,
            params=parameters,
            allow_redirects=False,
            trace_request_ctx=progress,
        ) as response:
            found = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, found, await _document(response))

    @asynccontextmanager
    async def _turn(self, wait_seconds: float) -> AsyncIterator[None]:
        if self._places.locked():
            try:
                async with asyncio.timeout(wait_seconds):
                    await self._places.acquire()
            except TimeoutError:
                raise _NoTurn from None
        else:
            # A timer for each message costs more than the place, which is free.
            await self._places.acquire()
        try:
            yield
        finally:
            self._places.release()

    def _open(self) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(_connected)
        trace.on_connection_reuseconn.append(_connected)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self.connections,
                keepalive_timeout=_IDLE_SECONDS,
                resolver=None if self.private_networks else PublicResolver(),
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
            headers={"Accept-Encoding": "identity", "User-Agent": "leo-activation"},
            auto_decompress=False,
            trace_configs=[trace],
        )


class _NoTurn(Exception):
    """Every connection was in use for as long as the caller could wait."""


async def _connected(_session: aiohttp.ClientSession, context: SimpleNamespace, _parameters: Any) -> None:
    context.trace_request_ctx.connected = True


def _broken_off(reason: str, progress: SimpleNamespace) -> Refused:
    if progress.connected:
        return Refused(ErrorClass.AMBIGUOUS, reason)
    return Refused(ErrorClass.TRANSIENT, "PROVIDER_UNREACHABLE")


async def _document(response: aiohttp.ClientResponse) -> Any:
    """The body, parsed. The status is known, so whatever is wrong with the body is no error of its own."""
    try:
        body = bytearray()
        async for chunk in response.content.iter_chunked(16 * 1024):
            body += chunk
            if len(body) > _LARGEST_ANSWER:
                response.close()
                return None
        return orjson.loads(body)
    except (aiohttp.ClientError, TimeoutError, OSError, orjson.JSONDecodeError):
        return None
