"""Ticks from a WebSocket: a live source, which says everything once."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import aiohttp

from feeder.json_ticks import Fields, parts_of, read_json, tick_of
from feeder.ticks import Fault, Sequenced

_FIRST_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 10.0
_HEARTBEAT_SECONDS: Final = 20.0
_CONNECT_SECONDS: Final = 15.0
_TEXT: Final = (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY)
_MAY_PASS: Final = frozenset({408, 425, 429})


class SourceAway(Exception):
    """The source refuses, or could not be reached for too long."""


class WebSocketTicks:
    """Receives ticks for as long as it is not stopped, and connects again where the connection ends.

    What can not be sent on quickly enough waits in a buffer. Where that is full, the oldest ticks are dropped, counted
    and told. What the source says while there is no connection is lost; with `own_sequences` that is counted too.

    Attributes:
        messages: how many came; `without_ticks`: those about something else.
        dropped: ticks that found no room; `missing` and `repeated`: by their own sequences.

    Args:
        subscribe: messages to send after each connection.
        headers: of the request that opens it.
        capacity: ticks that may wait.
        after: sequence of the last tick that is not wanted; used with `own_sequences`.
        own_sequences: whether each tick says its sequence, growing over all symbols; else they are numbered here.
        patience_seconds: how long to try without a message before giving up.
        on_fault: is told of messages that hold no tick.
        tell: gets a line of text on what happens to the connection.
    """

    def __init__(
        self,
        url: str,
        *,
        subscribe: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        fields: Fields,
        capacity: int,
        after: int,
        own_sequences: bool,
        patience_seconds: float,
        on_fault: Callable[[Fault], None],
        tell: Callable[[str], None],
    ) -> None:
        self._url = url
        self._subscribe = subscribe
        self._headers = headers
        self._fields = fields
        self._capacity = capacity
        self._last = after
        self._own_sequences = own_sequences
        self._patience_seconds = patience_seconds
        self._on_fault = on_fault
        self._tell = tell
        self._waiting: deque[Sequenced] = deque()
        self._arrived = asyncio.Event()
        self._heard_at = 0.0
        self._dropped_in_a_row = 0
        self._work: asyncio.Task[None] | None = None
        self.messages = 0
        self.dropped = 0
        self.missing = 0
        self.repeated = 0
        self.without_ticks = 0

    @property
    def total(self) -> None:
        """A live source has no end."""
        return None

    async def take(self, limit: int) -> list[Sequenced]:
        """The next ones that have arrived.

        Raises:
            SourceAway: it refuses, or is away for too long, and nothing waits any more.
        """
        if self._work is None:
            self._work = asyncio.create_task(self._run())
            self._work.add_done_callback(lambda _: self._arrived.set())
        while not self._waiting:
            if self._work.done():
                with suppress(asyncio.CancelledError):
                    self._work.result()
                return []
            self._arrived.clear()
            await self._arrived.wait()
        taken = [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]
        self._tell_dropped()
        return taken

    def stop(self) -> None:
        """Leave the source; what has arrived is given still."""
        if self._work is not None:
            self._work.cancel()

    async def _run(self) -> None:
        """Until it is stopped.

        Raises:
            SourceAway: it refuses, or is away for too long.
        """
        self._heard_at, pause = time.monotonic(), _FIRST_PAUSE_SECONDS
        timeout = aiohttp.ClientTimeout(total=None, connect=_CONNECT_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout, headers=self._headers) as session:
            while True:
                before = self.messages
                problem = await self._receive(session)
                pause = _FIRST_PAUSE_SECONDS if self.messages > before else pause
                if time.monotonic() - self._heard_at > self._patience_seconds:
                    raise SourceAway(f"{self._url}: {problem}; gave up")
                self._tell(f"the source is away ({problem}); connecting again in {pause:.1f} s")
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def _receive(self, session: aiohttp.ClientSession) -> str:
        """Until the connection ends; why it did."""
        try:
            async with session.ws_connect(self._url, heartbeat=_HEARTBEAT_SECONDS) as socket:
                for message in self._subscribe:
                    await socket.send_str(message)
                async for received in socket:
                    if received.type in _TEXT:
                        self._take_in(received.data)
                return f"it closed the connection, code {socket.close_code}"
        except aiohttp.WSServerHandshakeError as error:
            if 400 <= error.status < 500 and error.status not in _MAY_PASS:
                raise SourceAway(f"{self._url}: refused with status {error.status}") from error
            return f"status {error.status}"
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return str(error) or type(error).__name__

    def _take_in(self, data: str | bytes) -> None:
        """A message: its ticks wait, its faults are told."""
        self.messages += 1
        self._heard_at = time.monotonic()
        try:
            document = read_json(data.encode() if isinstance(data, str) else data)
        except ValueError as error:
            self._on_fault(Fault(f"message {self.messages}", str(error)))
            return
        parts = parts_of(document, self._fields)
        self.without_ticks += not parts
        for place, part in enumerate(parts, start=1):
            try:
                self._take_tick(part)
            except ValueError as error:
                self._on_fault(Fault(f"message {self.messages}, tick {place}", str(error)))

    def _take_tick(self, part: object) -> None:
        found = tick_of(part, self._fields)
        sequence = found.sequence if self._own_sequences else self._last + 1
        if sequence is None:
            raise ValueError(f"{self._fields.sequence} is missing, which --feed asks for")
        if sequence <= self._last:
            self.repeated += 1
            return
        self.missing += sequence - self._last - 1 if self._last else 0
        self._last = sequence
        self._waiting.append((sequence, found.tick))
        if len(self._waiting) > self._capacity:
            self._waiting.popleft()
            self.dropped += 1
            self._dropped_in_a_row += 1
            if self._dropped_in_a_row == 1:
                self._tell(f"the buffer of {self._capacity:,} ticks is full: the oldest ones are dropped")
        self._arrived.set()

    def _tell_dropped(self) -> None:
        if self._dropped_in_a_row:
            self._tell(f"{self._dropped_in_a_row:,} ticks were dropped")
            self._dropped_in_a_row = 0
