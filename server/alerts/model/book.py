"""One instrument: its last price, and the rules that wait for the next one."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import NamedTuple

from server.alerts.model.ladder import Ladder, Rung
from server.alerts.model.rule import LARGEST_PRICE, Direction, Operator


class PriceState(NamedTuple):
    """What is remembered of the ticks of an instrument.

    Args:
        price_nanos: the last price.
        previous_price_nanos: the one before; None where there was none.
        observed_at_us: time of the last tick, microseconds since 1970.
        feed: the feed that it came from; empty for none.
        sequence: its place in that feed.
    """

    price_nanos: int
    previous_price_nanos: int | None
    observed_at_us: int
    feed: str = ""
    sequence: int = 0


class Book:
    """The rules on one instrument, and its last price.

    Attributes:
        symbol: the instrument.
        state: None before the first tick.
        known: whether the instrument was looked up and is there.
        band: the quiet band around the last price; None where the rules changed since.
    """

    __slots__ = ("above", "band", "below", "down", "known", "state", "symbol", "up")

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.state: PriceState | None = None
        self.known = False
        self.band: tuple[int, int] | None = None
        self.above = Ladder()
        self.below = Ladder()
        self.up = Ladder()
        self.down = Ladder()

    def ladder(self, operator: Operator, direction: Direction | None) -> Ladder:
        """Where rules of this kind stand."""
        if operator is Operator.CROSSES:
            return self.up if direction is Direction.UP else self.down
        return self.above if operator is Operator.ABOVE else self.below


_NO_BAND = (1, 0)


class Walk:
    """The way of an instrument through ticks that are not committed yet: the book stays as it is until `settle`.

    A price inside the quiet band (`lowest` to `highest`) fires nothing, wherever in the band the price before it
    was; most ticks cost one comparison.
    """

    __slots__ = (
        "_above_from",
        "_below_to",
        "_book",
        "_crossed",
        "feed",
        "highest",
        "lowest",
        "observed_at_us",
        "previous_price",
        "price",
        "sequence",
        "ticked",
    )

    def __init__(self, book: Book) -> None:
        self._book = book
        self._above_from = 0
        self._below_to = len(book.below)
        self._crossed: dict[bytes, tuple[Ladder, int]] = {}
        self.ticked = False
        self.lowest, self.highest = book.band or _NO_BAND
        state = book.state
        self.price = None if state is None else state.price_nanos
        self.previous_price = None if state is None else state.previous_price_nanos
        self.observed_at_us = 0 if state is None else state.observed_at_us
        self.feed = "" if state is None else state.feed
        self.sequence = 0 if state is None else state.sequence

    @property
    def book(self) -> Book:
        """Whose way it is."""
        return self._book

    @property
    def state(self) -> PriceState | None:
        """Where the instrument stands now."""
        if self.price is None:
            return None
        return PriceState(self.price, self.previous_price, self.observed_at_us, self.feed, self.sequence)

    def step(self, price: int) -> list[Rung]:
        """Go to a price outside the quiet band; returns what fires, by key. O(log n + k)."""
        rungs = self._passed(price)
        if self.price is not None and self.price != price:
            rungs += self._crossings(self.price, price)
        self.previous_price, self.price = self.price, price
        self._find_band(price)
        rungs.sort(key=_key)
        return rungs

    def settle(self) -> None:
        """The ticks are committed: the book takes over where the way led, without what fired."""
        book = self._book
        if self._below_to < len(book.below):
            book.below.cut(self._below_to, len(book.below))
        if self._above_from:
            book.above.cut(0, self._above_from)
        for key, (ladder, threshold) in self._crossed.items():
            ladder.remove(threshold, key)
        book.state, book.band = self.state, (self.lowest, self.highest)

    def _passed(self, price: int) -> list[Rung]:
        """Every rule above or below whose price this one is beyond."""
        above, below = self._book.above, self._book.below
        start, stop = self._above_from, self._below_to
        self._above_from = bisect_left(above.thresholds, price, start)
        self._below_to = bisect_right(below.thresholds, price, 0, stop)
        return [
            *_rungs(above, start, self._above_from),
            *_rungs(below, self._below_to, stop),
        ]

    def _crossings(self, previous: int, price: int) -> list[Rung]:
        if price > previous:
            ladder = self._book.up
            start, stop = bisect_left(ladder.thresholds, previous), bisect_left(ladder.thresholds, price)
        else:
            ladder = self._book.down
            start, stop = bisect_right(ladder.thresholds, price), bisect_right(ladder.thresholds, previous)
        rungs = [rung for rung in _rungs(ladder, start, stop) if rung[1] not in self._crossed]
        self._crossed.update({key: (ladder, threshold) for threshold, key, _ in rungs})
        return rungs

    def _find_band(self, price: int) -> None:
        """From the nearest thresholds on both sides; those of crossings bound it before they are reached."""
        book, lowest, highest = self._book, 1, LARGEST_PRICE
        if self._above_from < len(book.above):
            highest = book.above.thresholds[self._above_from]
        if self._below_to:
            lowest = book.below.thresholds[self._below_to - 1]
        up, down = book.up.thresholds, book.down.thresholds
        if up:
            place = bisect_left(up, price)
            highest = min(highest, up[place]) if place < len(up) else highest
            lowest = max(lowest, up[place - 1] + 1) if place else lowest
        if down:
            place = bisect_right(down, price)
            lowest = max(lowest, down[place - 1]) if place else lowest
            highest = min(highest, down[place] - 1) if place < len(down) else highest
        self.lowest, self.highest = lowest, highest


def _rungs(ladder: Ladder, start: int, stop: int) -> list[Rung]:
    return list(
        zip(
            ladder.thresholds[start:stop],
            ladder.keys[start:stop],
            ladder.generations[start:stop],
            strict=True,
        )
    )


def _key(rung: Rung) -> bytes:
    return rung[1]
