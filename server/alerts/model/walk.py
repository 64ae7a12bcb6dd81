"""The way of an instrument through ticks that are not committed yet."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Final, NamedTuple

from server.alerts.model.book import NO_BAND, Band, Book, PriceState
from server.alerts.model.ladder import Ladder, Rung
from server.alerts.model.logic import LARGEST_NUMBER
from server.alerts.model.past import Past
from server.alerts.model.runtime import Runtime
from server.alerts.model.view import View
from server.alerts.model.watch import Turn, Watch

_NO_STATE: Final = (None, None, 0, "", 0, 0)


class Fired(NamedTuple):
    """A rule that a tick fires.

    Args:
        key: tenant and rule id.
        after_restart: whether another owner, or an earlier run of this one, evaluated the tick before.
        reference_nanos: what the price was compared with, where that is none of the rule's; else 0.
        day_volume_micros: volume of the day; None where the rule is about something else.
    """

    key: bytes
    generation: int
    after_restart: bool
    reference_nanos: int = 0
    day_volume_micros: int | None = None


class Walk:
    """The way of an instrument through ticks: it ends with `settle` when they are committed, else with `abandon`.

    A price inside the quiet band (`lowest` to `highest`, before `until_us`, below `full`) fires nothing, wherever in
    the band the price before it was; most ticks cost one comparison of each.
    """

    __slots__ = (
        "_above_from",
        "_band",
        "_below_to",
        "_book",
        "_crossed",
        "_past",
        "_resumed",
        "_touched",
        "feed",
        "full",
        "highest",
        "lowest",
        "observed_at_us",
        "previous_price",
        "price",
        "sequence",
        "ticked",
        "until_us",
        "volume",
    )

    def __init__(self, book: Book) -> None:
        self._book = book
        self._above_from = 0
        self._below_to = len(book.below)
        # Most ways end without either: both are made when the first rule needs them.
        self._crossed: dict[bytes, tuple[Ladder, int]] | None = None
        self._touched: dict[bytes, tuple[Watch, int, Runtime]] | None = None
        self._past = book.past
        self._resumed = book.resumed
        self.ticked = False
        self._band = book.band
        self.lowest, self.highest, self.until_us, self.full = self._band
        self.price: int | None
        self.previous_price: int | None
        (
            self.price,
            self.previous_price,
            self.observed_at_us,
            self.feed,
            self.sequence,
            self.volume,
        ) = book.state or _NO_STATE

    @property
    def book(self) -> Book:
        """Whose way it is."""
        return self._book

    @property
    def has_looked(self) -> bool:
        """Whether a rule with modifiers was looked at."""
        return self._touched is not None

    @property
    def state(self) -> PriceState:
        """Where it has come to; only after a tick."""
        assert self.price is not None
        return PriceState(
            self.price, self.previous_price, self.observed_at_us, self.feed, self.sequence, self.volume
        )

    @property
    def day_ago(self) -> int | None:
        """The price of 24 hours ago; None where that is not known."""
        return self._past.day_ago

    @property
    def changed_past(self) -> Past | None:
        """The past, where it is another one than before."""
        past = self._past
        return past if past is not self._book.past and past.changed else None

    def changed_watches(self) -> Iterator[Watch]:
        """Rules that remember something else than before, without those that are over."""
        for key, (watch, generation, runtime) in (self._touched or {}).items():
            if key in self._book.watches and (watch.generation, watch.runtime) != (generation, runtime):
                yield watch

    def step(self, price: int, moment_us: int, volume: int) -> list[Fired]:
        """Go to a tick that is not inside the quiet band; returns what fires, by key. O(log n + k)."""
        book, previous, resumed = self._book, self.price, self._resumed
        self._begin(moment_us)
        self.volume = min(self.volume + volume, LARGEST_NUMBER)
        rungs = self._passed(price)
        if previous is not None and previous != price:
            rungs += self._crossings(previous, price)
        fired = [Fired(key, generation, resumed) for _, key, generation in rungs]
        if book.watches or self._past.windows:
            fired += self._look(price, moment_us, resumed)
        self._extend(price)
        self.previous_price, self.price, self._resumed = previous, price, False
        self._find_band(price)
        fired.sort()
        return fired

    def settle(self) -> None:
        """The ticks are committed: the book takes over where the way led, without what fired."""
        book = self._book
        if self._below_to < len(book.below):
            book.below.cut(self._below_to, len(book.below))
        if self._above_from:
            book.above.cut(0, self._above_from)
        if self._crossed:
            for key, (ladder, threshold) in self._crossed.items():
                ladder.remove(threshold, key)
        book.past, book.resumed = self._past, self._resumed
        book.settle(self.state, self._band, self._past.day_ago)

    def abandon(self) -> None:
        """The ticks are not committed: every rule remembers what it did before them."""
        for watch, generation, runtime in (self._touched or {}).values():
            watch.generation, watch.runtime = generation, runtime
            self._book.watch(watch)
        self._touched = None

    def _begin(self, moment_us: int) -> None:
        """End the day and the slice of time that the tick is behind of."""
        if moment_us < self.until_us:
            return
        if self._own_past().begin(moment_us, self.price, self.observed_at_us, self._book.calendar):
            self.volume = 0

    def _own_past(self) -> Past:
        """The past, to be changed: the book's stays as it is until the ticks are committed."""
        if self._past is self._book.past:
            self._past = self._past.copy()
        return self._past

    def _extend(self, price: int) -> None:
        past = self._past
        if past.high is None or past.low is None or price > past.high or price < past.low:
            self._own_past().extend(price)

    def _look(self, price: int, moment_us: int, resumed: bool) -> list[Fired]:
        """Look at every watch that the tick may change."""
        book = self._book
        if book.windows or self._past.windows:
            past = self._own_past()
            past.keep_windows(book.windows)
            past.push_windows(moment_us, price)
        view = View(price, self.price, moment_us, self.volume, self._past, book.calendar)
        watches = [*book.agenda.take_reached(view), *book.fresh.values()]
        book.fresh.clear()
        fired, touched = [], self._touched
        if touched is None:
            touched = self._touched = {}
        for watch in watches:
            touched.setdefault(watch.rule.key, (watch, watch.generation, watch.runtime))
            turn = watch.rule.look(watch.runtime, view)
            if turn.fired is not None:
                volume = self.volume if watch.shows_volume else None
                key, reference = watch.rule.key, turn.fired.reference_nanos
                fired.append(Fired(key, watch.generation, resumed, reference, volume))
            self._turn(watch, turn, view)
        return fired

    def _turn(self, watch: Watch, turn: Turn, view: View) -> None:
        """Have a watch go on, or end it."""
        if turn.fired is not None and not watch.rule.rearms:
            self._book.unwatch(watch.rule.key)
            return
        watch.generation += turn.fired is not None
        watch.runtime = turn.runtime
        self._book.agenda.put(watch, watch.rule.waits(turn.runtime, view))

    def _passed(self, price: int) -> list[Rung]:
        """Every rule above or below whose price this one is beyond."""
        above, below = self._book.above, self._book.below
        start, stop = self._above_from, self._below_to
        self._above_from = bisect_left(above.thresholds, price, start)
        self._below_to = bisect_right(below.thresholds, price, 0, stop)
        return _rungs(above, start, self._above_from) + _rungs(below, self._below_to, stop)

    def _crossings(self, previous: int, price: int) -> list[Rung]:
        if price > previous:
            ladder = self._book.up
            start, stop = bisect_left(ladder.thresholds, previous), bisect_left(ladder.thresholds, price)
        else:
            ladder = self._book.down
            start, stop = bisect_right(ladder.thresholds, price), bisect_right(ladder.thresholds, previous)
        if start == stop:
            return []
        if self._crossed is None:
            self._crossed = {}
        crossed = self._crossed
        rungs = [rung for rung in _rungs(ladder, start, stop) if rung[1] not in crossed]
        crossed.update({key: (ladder, threshold) for threshold, key, _ in rungs})
        return rungs

    def _find_band(self, price: int) -> None:
        self._band = self._next_band(price)
        self.lowest, self.highest, self.until_us, self.full = self._band

    def _next_band(self, price: int) -> Band:
        """From the nearest thresholds on both sides; those of crossings bound it before they are reached."""
        book, past = self._book, self._past
        if past.windows or book.windows or past.high is None or past.low is None:
            return NO_BAND
        lowest, highest = past.low, past.high
        if self._above_from < len(book.above):
            highest = min(highest, book.above.thresholds[self._above_from])
        if self._below_to:
            lowest = max(lowest, book.below.thresholds[self._below_to - 1])
        up, down = book.up.thresholds, book.down.thresholds
        if up:
            place = bisect_left(up, price)
            highest = min(highest, up[place] if place < len(up) else LARGEST_NUMBER)
            lowest = max(lowest, up[place - 1] + 1 if place else 1)
        if down:
            place = bisect_right(down, price)
            lowest = max(lowest, down[place - 1] if place else 1)
            highest = min(highest, down[place] - 1 if place < len(down) else LARGEST_NUMBER)
        until_us, full = past.until(), LARGEST_NUMBER
        if book.watches:
            lowest = max(lowest, *book.agenda.lowest(past.close), 1)
            highest = min(highest, *book.agenda.highest(past.close), LARGEST_NUMBER)
            until_us = min(until_us, book.agenda.next_time() or until_us)
            full = min(full, book.agenda.next_volume() or full)
        return Band(lowest, highest, until_us, full) if lowest <= highest else NO_BAND


def _rungs(ladder: Ladder, start: int, stop: int) -> list[Rung]:
    if start == stop:
        return []
    return list(
        zip(
            ladder.thresholds[start:stop],
            ladder.keys[start:stop],
            ladder.generations[start:stop],
            strict=True,
        )
    )
