"""Where ticks come from, as the feeder asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from feeder.ticks import Sequenced, Tick


class Source(Protocol):
    """Ticks in their order, each with its sequence."""

    @property
    def total(self) -> int | None:
        """Sequence of the last tick, where it is known before the end."""
        ...

    async def take(self, limit: int) -> list[Sequenced]:
        """The next ticks, at most so many: waits for one, then gives what is there. Empty at the end.

        A call that is cancelled loses none.
        """
        ...

    def stop(self) -> None:
        """No more is read; `take` gives what would be lost else, and then ends."""
        ...


class Recorded:
    """Ticks that are there already; the first one has sequence 1.

    Args:
        after: sequence of the last one that is not wanted.
    """

    def __init__(self, ticks: Sequence[Tick], *, after: int = 0) -> None:
        self._ticks = ticks
        self._count = len(ticks)
        self._next = after

    @property
    def total(self) -> int:
        """How many there are."""
        return self._count

    async def take(self, limit: int) -> list[Sequenced]:
        """The next ones."""
        start, self._next = self._next, self._next + limit
        return list(enumerate(self._ticks[start : self._next], start=start + 1))

    def stop(self) -> None:
        """The others are left to the next run."""
        self._ticks = ()
