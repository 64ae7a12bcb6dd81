"""Places for batches of callers: so many at once, the others wait in their order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from server.decisions.admission import Backlog
from server.decisions.waiting_line import WaitingLine


class BatchPlaces:
    """Bounds how many batches of callers are under way.

    Args:
        places: batches that may be under way at once.
        maximum_wait_seconds: a batch that would wait longer is refused by `line`.
    """

    def __init__(self, *, places: int, maximum_wait_seconds: float) -> None:
        self.line = WaitingLine(
            "batch", lanes=places, maximum_wait_seconds=maximum_wait_seconds, backlog=self.backlog
        )
        self._free = asyncio.Semaphore(places)
        self._deciding = 0
        self._deciding_events = 0
        self._waiting: dict[object, tuple[float, int]] = {}

    def backlog(self) -> Backlog:
        """What waits and what is being decided, now."""
        waiting = self._waiting.values()
        oldest = next(iter(waiting), None)
        return Backlog(
            waiting=len(waiting),
            events=self._deciding_events + sum(events for _, events in waiting),
            batches=self._deciding + len(waiting),
            oldest_seconds=0.0 if oldest is None else asyncio.get_running_loop().time() - oldest[0],
        )

    @asynccontextmanager
    async def held(self, events: int) -> AsyncIterator[None]:
        """Wait for a place, and hold it while the block runs.

        Args:
            events: events of the batch.
        """
        since = asyncio.get_running_loop().time()
        await self._wait(since, events)
        self._deciding += 1
        self._deciding_events += events
        try:
            with self.line.measured(events, asyncio.get_running_loop().time() - since):
                yield
        finally:
            self._deciding -= 1
            self._deciding_events -= events
            self._free.release()

    async def _wait(self, since: float, events: int) -> None:
        """A caller that gives up meanwhile takes no place, so nothing is done for it."""
        key = object()
        self._waiting[key] = (since, events)
        try:
            await self._free.acquire()
        finally:
            del self._waiting[key]
