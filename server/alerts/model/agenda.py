"""Which rules wait for what: for each quantity, the values that it has to reach, sorted."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from server.alerts.model.conditions import Wait, price_of_change
from server.alerts.model.view import FALL, PRICE, RISE, TIME, VOLUME, Gauge, View
from server.alerts.model.watch import Watch

_Rung: TypeAlias = tuple[int, bytes, Watch]


class Agenda:
    """The waits of all rules with modifiers on one instrument. O(log n + k) a tick for each quantity in use."""

    __slots__ = ("_falling", "_rising")

    def __init__(self) -> None:
        self._rising: dict[Gauge, list[_Rung]] = {}
        self._falling: dict[Gauge, list[_Rung]] = {}

    def put(self, watch: Watch, waits: Iterable[Wait]) -> None:
        """Make a rule, which waits for nothing so far, wait."""
        watch.waits = list(waits)
        for wait in watch.waits:
            side = self._rising if wait.at_least else self._falling
            insort(side.setdefault(wait.gauge, []), (wait.value, watch.rule.key, watch))

    def remove(self, watch: Watch) -> None:
        """Make a rule wait for nothing."""
        for wait in watch.waits:
            side = self._rising if wait.at_least else self._falling
            rungs = side[wait.gauge]
            del rungs[bisect_left(rungs, (wait.value, watch.rule.key))]
            if not rungs:
                del side[wait.gauge]
        watch.waits = []

    def take_reached(self, view: View) -> list[Watch]:
        """The rules of which a wait is reached at a tick; they wait for nothing any more."""
        reached: dict[int, Watch] = {}
        for side, at_least in ((self._rising, True), (self._falling, False)):
            for gauge in list(side):
                for _, _, watch in self._cut(side, gauge, view, at_least=at_least):
                    watch.waits = [wait for wait in watch.waits if wait[:2] != (gauge, at_least)]
                    reached[id(watch)] = watch
        for watch in reached.values():
            self.remove(watch)
        return list(reached.values())

    def _cut(
        self, side: dict[Gauge, list[_Rung]], gauge: Gauge, view: View, *, at_least: bool
    ) -> list[_Rung]:
        value, rungs = view.measure(gauge), side[gauge]
        if value is None:
            return []
        start, stop = (
            (0, bisect_left(rungs, (value + 1,))) if at_least else (bisect_left(rungs, (value,)), len(rungs))
        )
        cut = rungs[start:stop]
        del rungs[start:stop]
        if not rungs:
            del side[gauge]
        return cut

    def next_time(self) -> int | None:
        """The earliest time that a rule waits for; None where none does."""
        times = self._rising.get(TIME)
        return times[0][0] if times else None

    def next_volume(self) -> int | None:
        """The lowest volume of the day that a rule waits for; None where none does."""
        volumes = self._rising.get(VOLUME)
        return volumes[0][0] if volumes else None

    def lowest(self, close: int | None) -> Iterator[int]:
        """Prices that the price must not fall below while nothing is to happen.

        Args:
            close: the price that changes of the day are measured from.
        """
        if rungs := self._falling.get(PRICE):
            yield rungs[-1][0] + 1
        if close is None:
            return
        if rungs := self._falling.get(RISE):
            yield price_of_change(close, rungs[-1][0] + 1, up=True)
        if rungs := self._rising.get(FALL):
            yield price_of_change(close, rungs[0][0], up=False) + 1

    def highest(self, close: int | None) -> Iterator[int]:
        """Prices that the price must not rise above while nothing is to happen."""
        if rungs := self._rising.get(PRICE):
            yield rungs[0][0] - 1
        if close is None:
            return
        if rungs := self._rising.get(RISE):
            yield price_of_change(close, rungs[0][0], up=True) - 1
        if rungs := self._falling.get(FALL):
            yield price_of_change(close, rungs[-1][0] + 1, up=False)
