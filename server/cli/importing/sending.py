"""Sends parts over one stream, a few ahead of what is committed, and goes on after a break where the commits ended."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final

import grpc
from leo.activation.v1 import profile_service_pb2 as wire
from leo_client import LeoApiError, LeoClient

from server.cli.importing.patches import Part, Reject
from server.errors import FieldViolation
from server.mapping.failure import FileNotReadable

_AHEAD: Final = 4
_BREAKS: Final = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
)
_LONGEST_PAUSE_SECONDS: Final = 5.0

OnCommitted = Callable[[Part, wire.ImportProfilesResponse], None]


class Sender:
    """Sends all parts of an import.

    Args:
        parts: in the order of their sequence.
        on_committed: called for each part once it is committed, in their order.
        patience_seconds: how long to try again without a single part being committed.
    """

    def __init__(
        self,
        client: LeoClient,
        parts: Iterator[Part],
        *,
        region: str,
        on_committed: OnCommitted,
        patience_seconds: float,
    ) -> None:
        self._client = client
        self._parts = parts
        self._region = region
        self._on_committed = on_committed
        self._patience_seconds = patience_seconds
        self._sent: deque[Part] = deque()
        self._committed = 0
        self._all_read = False
        self._unreadable: FileNotReadable | None = None

    async def run(self) -> None:
        """Until every part is committed.

        Raises:
            FileNotReadable: the file can not be read any further; what was read is committed.
            LeoApiError: the server refused, or was away for too long.
        """
        loop = asyncio.get_running_loop()
        last_progress, pause = loop.time(), 0.1
        while not self._all_read or self._sent:
            before = self._committed
            try:
                await self._stream()
            except LeoApiError as error:
                if self._committed > before:
                    last_progress, pause = loop.time(), 0.1
                waited = loop.time() - last_progress
                if error.code not in _BREAKS or waited > self._patience_seconds:
                    raise
                await asyncio.sleep(error.retry_after_seconds or pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
        if self._unreadable is not None:
            raise self._unreadable

    async def _stream(self) -> None:
        """One stream, from the first part that is not committed."""
        room = asyncio.Semaphore(_AHEAD)
        answers = self._client.profiles.ImportProfiles(self._requests(list(self._sent), room))
        async for answer in answers:
            part = self._sent.popleft()
            assert part.sequence == answer.sequence, "parts are answered in their order"
            self._committed = part.sequence
            self._on_committed(part, answer)
            room.release()

    async def _requests(
        self, again: list[Part], room: asyncio.Semaphore
    ) -> AsyncIterator[wire.ImportProfilesRequest]:
        for sent in again:
            await room.acquire()
            yield sent.request(self._region)
        # What was read is noted before anything is awaited: a break may come at any point where this waits.
        while (part := self._next()) is not None:
            self._sent.append(part)
            await room.acquire()
            yield part.request(self._region)

    def _next(self) -> Part | None:
        """The next part; None at the end of the file, also where it can not be read any further."""
        part: Part | None = None
        try:
            part = next(self._parts, None)
        except FileNotReadable as error:
            self._unreadable = error
        self._all_read = part is None
        return part


def rejects_of(part: Part, answer: wire.ImportProfilesResponse) -> list[Reject]:
    """The rows of a part that were refused, by the mapping or by the server, in the order of the file."""
    refused = [
        Reject(
            part.rows[each.index],
            [
                FieldViolation(
                    fault.field.removeprefix(f"profiles[{each.index}]").lstrip("."), fault.description
                )
                for fault in each.faults
            ],
        )
        for each in answer.refused
    ]
    return sorted([*part.rejects, *refused], key=lambda reject: reject.row.number)
