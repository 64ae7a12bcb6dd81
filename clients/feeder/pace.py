"""Ticks of the past at the speed at which they came, or a multiple of it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

from feeder.sources import Source
from feeder.ticks import Sequenced, Tick

_SECOND_US = 1_000_000


class Paced:
    """A source whose ticks come when they are due: the first one now, the others by the distance of their times.

    Args:
        factor: how many times quicker than they were observed; 1 for the original speed.
    """

    def __init__(
        self,
        source: Source,
        *,
        factor: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._source = source
        self._factor = factor
        self._clock = clock
        self._sleep = sleep
        self._ahead: deque[Sequenced] = deque()
        self._begin: tuple[float, int] | None = None

    @property
    def total(self) -> int | None:
        """As the source says."""
        return self._source.total

    async def take(self, limit: int) -> list[Sequenced]:
        """Those that are due: waits for the next one."""
        if not self._ahead:
            self._ahead.extend(await self._source.take(limit))
        if not self._ahead:
            return []
        first = self._due(self._ahead[0][1])
        if first > self._clock():
            await self._sleep(first - self._clock())
        # A timer may ring a little early.
        now = max(first, self._clock())
        due: list[Sequenced] = []
        while self._ahead and len(due) < limit and self._due(self._ahead[0][1]) <= now:
            due.append(self._ahead.popleft())
        return due

    def stop(self) -> None:
        """Those that are not due yet are left to the next run."""
        self._ahead.clear()
        self._source.stop()

    def _due(self, tick: Tick) -> float:
        if self._begin is None:
            self._begin = (self._clock(), tick.observed_at_us)
        began, first_us = self._begin
        return began + (tick.observed_at_us - first_us) / _SECOND_US / self._factor


def speed_factor(text: str) -> float | None:
    """What `--speed` says: `original`, `10x`, or `max`, which is None.

    Raises:
        ValueError: it says something else.
    """
    if text == "max":
        return None
    try:
        factor = 1.0 if text == "original" else float(text.removesuffix("x"))
    except ValueError:
        factor = 0.0
    if not 0 < factor < float("inf"):
        raise ValueError(f"a speed is original, max, or a multiple of the original such as 10x, not {text!r}")
    return factor
