"""Stands between the servers and what they use. It passes everything on, and springs a trap at a step.

The servers are not told: a trap sees what is on the wire, kills the process that the connection belongs to, or cuts
the connection, and what was to be passed on is lost.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from loadtest.faults.decisions.plan import COMMIT, FaultPoint, Link, Moment
from loadtest.faults.decisions.wire import Conversation, Piece, PostgresConversation, RedisConversation

_CHUNK: Final = 1 << 18
_CONVERSATIONS: Final[dict[Link, Callable[[], Conversation]]] = {
    "postgres": PostgresConversation,
    "redis": RedisConversation,
}


@dataclass(frozen=True, slots=True)
class Sprung:
    """A trap that was met.

    Args:
        pid: the server process behind the connection.
        at: when, by the monotonic clock.
    """

    pid: int
    at: float


@dataclass(slots=True)
class Traps:
    """At most one trap is set; the first connection that reaches its point meets it.

    Args:
        killed: server processes that traps killed.
        commits: how many batches each server process asked to commit.
    """

    killed: set[int] = field(default_factory=set)
    commits: Counter[int] = field(default_factory=Counter)
    _point: FaultPoint | None = None
    _sprung: asyncio.Future[Sprung] | None = None

    async def spring(self, point: FaultPoint, timeout_seconds: float) -> Sprung | None:
        """Set a trap and wait until it was met; None when nobody came."""
        self._point, self._sprung = point, asyncio.get_running_loop().create_future()
        try:
            return await asyncio.wait_for(self._sprung, timeout_seconds)
        except TimeoutError:
            return None
        finally:
            self._point = None

    def meets(self, link: Link, steps: frozenset[str], moments: tuple[Moment, ...]) -> FaultPoint | None:
        """The point, when one of these steps is at it; whoever asks has to go through with it."""
        point = self._point
        if point is None or point.link != link or point.step not in steps or point.moment not in moments:
            return None
        self._point = None
        return point

    def strike(self, point: FaultPoint, pid: int) -> None:
        """Do what the point says to the process whose connection is there; the caller cuts the connection."""
        if point.kills:
            os.kill(pid, signal.SIGKILL)
            self.killed.add(pid)
        if self._sprung is not None and not self._sprung.done():
            self._sprung.set_result(Sprung(pid, time.monotonic()))


@dataclass(slots=True)
class _Passage:
    """One connection of a server and its continuation.

    Args:
        pid: the server process; 0 for a stranger, who is passed on and never struck.
    """

    pid: int
    conversation: Conversation
    from_server: asyncio.StreamReader
    to_server: asyncio.StreamWriter
    from_target: asyncio.StreamReader
    to_target: asyncio.StreamWriter
    caught: FaultPoint | None = None

    def cut(self) -> None:
        self.to_server.transport.abort()
        self.to_target.transport.abort()


class Proxy:
    """Listens on a port of its own for as long as the drill runs; what it leads to may come and go.

    Args:
        url: what it leads to.
        owner_of: the pid of the process that has this local port, 0 when there is none.
    """

    def __init__(self, link: Link, url: str, traps: Traps, owner_of: Callable[[int], int]) -> None:
        self._link: Link = link
        self._target = urlsplit(url)
        self._traps = traps
        self._owner_of = owner_of
        self._server: asyncio.Server | None = None

    async def start(self) -> str:
        """Listen; the URL to use instead."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_CHUNK)
        port = self._server.sockets[0].getsockname()[1]
        credentials = self._target.netloc.rpartition("@")[0]
        return urlunsplit(self._target._replace(netloc=f"{credentials}@127.0.0.1:{port}"))

    def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            target = await asyncio.open_connection(self._target.hostname, self._target.port, limit=_CHUNK)
        except OSError:
            writer.transport.abort()
            return
        pid = self._owner_of(writer.get_extra_info("peername")[1])
        passage = _Passage(pid, _CONVERSATIONS[self._link](), reader, writer, *target)
        directions = [asyncio.create_task(self._ask(passage)), asyncio.create_task(self._answer(passage))]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            passage.cut()
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)

    async def _ask(self, passage: _Passage) -> None:
        while data := await passage.from_server.read(_CHUNK):
            for piece in passage.conversation.requests(data):
                if not await self._pass_on(passage, piece):
                    return
            await passage.to_target.drain()

    async def _pass_on(self, passage: _Passage, piece: Piece) -> bool:
        """False when a trap was sprung."""
        if piece.steps and passage.pid:
            if COMMIT in piece.steps:
                self._traps.commits[passage.pid] += 1
            if point := self._traps.meets(self._link, piece.steps, ("request",)):
                self._traps.strike(point, passage.pid)
                return False
            passage.caught = passage.caught or self._traps.meets(self._link, piece.steps, ("sent", "answer"))
        passage.to_target.write(piece.data)
        if passage.caught and passage.caught.moment == "sent" and piece.complete:
            await passage.to_target.drain()
            self._traps.strike(passage.caught, passage.pid)
            return False
        return True

    async def _answer(self, passage: _Passage) -> None:
        while data := await passage.from_target.read(_CHUNK):
            answered = passage.conversation.answers(data)
            if answered and passage.caught and passage.caught.moment == "answer":
                self._traps.strike(passage.caught, passage.pid)
                return
            passage.to_server.write(data)
            await passage.to_server.drain()
