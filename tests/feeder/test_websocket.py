"""The WebSocket source against a real server: what it hears, what it drops, and how it comes back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import WSMsgType, web
from feeder.json_ticks import Fields
from feeder.ticks import Fault
from feeder.websocket import SourceAway, WebSocketTicks

from tests.workers.conftest import until


@dataclass(slots=True)
class Exchange:
    """A source of prices; each connection is played by `on_connection`, and ends with it."""

    on_connection: Callable[[Exchange, web.WebSocketResponse], Awaitable[None]]
    connections: int = 0
    heard: list[str] = field(default_factory=list)
    headers: list[str | None] = field(default_factory=list)
    url: str = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Exchange]:
        """Serves while the block runs."""
        application = web.Application()
        application.router.add_get("/prices", self._serve)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            self.url = f"ws://{host}:{port}/prices"
            yield self
        finally:
            await runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        self.headers.append(request.headers.get("x-key"))
        self.connections += 1
        await socket.prepare(request)
        await self.on_connection(self, socket)
        await socket.close()
        return socket


def tick(number: int, **more: object) -> dict[str, object]:
    """A tick whose price is its number."""
    return {"symbol": "AAPL", "price": number, "time": 1_700_000_000_000 + number, **more}


def listening(url: str, **more: object) -> tuple[WebSocketTicks, list[Fault], list[str]]:
    """A source, its faults, and what it tells."""
    faults, told = list[Fault](), list[str]()
    given = {
        "fields": Fields(),
        "capacity": 100,
        "after": 0,
        "own_sequences": False,
        "patience_seconds": 60.0,
        "on_fault": faults.append,
        "tell": told.append,
    }
    return WebSocketTicks(url, **{**given, **more}), faults, told  # type: ignore[arg-type]


async def take(source: WebSocketTicks, count: int) -> list[tuple[int, int]]:
    """Sequences and prices of the next ticks; the others are left."""
    found: list[tuple[int, int]] = []
    while len(found) < count:
        part = await source.take(count - len(found))
        assert part, "the source ended"
        found += [(sequence, tick.price_nanos // 10**9) for sequence, tick in part]
    return found


async def answered(value: bool) -> bool:
    """As `until` asks for it."""
    return value


async def hold(exchange: Exchange, socket: web.WebSocketResponse) -> None:
    """Until the other side goes."""
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            exchange.heard.append(message.data)


async def test_it_subscribes_and_reads_every_form_of_message() -> None:
    async def play(exchange: Exchange, socket: web.WebSocketResponse) -> None:
        exchange.heard.append(await socket.receive_str())
        await socket.send_json({"type": "welcome"})
        await socket.send_json(tick(1))
        await socket.send_json([tick(2), {"symbol": "AAPL", "price": "NaN", "time": 1}, tick(3)])
        await socket.send_str("{")
        await socket.send_bytes(json.dumps({"ticks": [tick(4)]}).encode())
        await hold(exchange, socket)

    async with Exchange(play).running() as exchange:
        source, faults, told = listening(exchange.url, subscribe=["ann"], headers={"x-key": "secret"})
        assert await take(source, 4) == [(1, 1), (2, 2), (3, 3), (4, 4)]
        source.stop()
        assert await source.take(10) == []
    assert (exchange.heard, exchange.headers) == (["ann"], ["secret"])
    assert [fault.place for fault in faults] == ["message 3, tick 2", "message 4"]
    assert (source.messages, source.without_ticks, source.dropped, told) == (5, 1, 0, [])


async def test_it_connects_again_and_says_what_never_arrived() -> None:
    async def play(exchange: Exchange, socket: web.WebSocketResponse) -> None:
        await socket.receive_str()
        said = {1: (1, 2, 3), 2: (3, 7)}.get(exchange.connections, ())
        for number in said:
            await socket.send_json(tick(number, sequence=number))
        if exchange.connections == 2:
            await socket.send_json(tick(8))
            await hold(exchange, socket)

    async with Exchange(play).running() as exchange:
        source, faults, told = listening(exchange.url, subscribe=["again"], own_sequences=True)
        assert await take(source, 4) == [(1, 1), (2, 2), (3, 3), (7, 7)]
        await until(lambda: answered(bool(faults)))
        source.stop()
        assert await source.take(10) == []
    assert (exchange.connections, source.missing, source.repeated) == (2, 3, 1)
    assert len(told) == 1
    assert "closed the connection" in told[0]
    assert "sequence is missing" in faults[0].problem


async def test_a_full_buffer_drops_the_oldest_and_says_so() -> None:
    async def play(exchange: Exchange, socket: web.WebSocketResponse) -> None:
        await socket.send_json([tick(number) for number in range(1, 26)])
        await hold(exchange, socket)

    async with Exchange(play).running() as exchange:
        source, _, told = listening(exchange.url, capacity=10)
        assert await take(source, 10) == [(number, number) for number in range(16, 26)]
        source.stop()
        assert await source.take(10) == []
    assert source.dropped == 15
    assert told == ["the buffer of 10 ticks is full: the oldest ones are dropped", "15 ticks were dropped"]


async def test_what_has_arrived_is_given_also_after_the_stop() -> None:
    async def play(exchange: Exchange, socket: web.WebSocketResponse) -> None:
        await socket.send_json([tick(1), tick(2), tick(3)])
        await hold(exchange, socket)

    async with Exchange(play).running() as exchange:
        source, _, _ = listening(exchange.url)
        assert await take(source, 1) == [(1, 1)]
        source.stop()
        assert await take(source, 2) == [(2, 2), (3, 3)]
        assert await source.take(10) == []


async def test_it_gives_up_where_it_is_refused_or_nobody_is_there() -> None:
    async with Exchange(hold).running() as exchange:
        source, _, _ = listening(exchange.url.replace("/prices", "/nothing"))
        with pytest.raises(SourceAway, match="404"):
            await source.take(1)
    source, _, _ = listening(exchange.url, patience_seconds=0.0)
    with pytest.raises(SourceAway, match="gave up"):
        await source.take(1)
