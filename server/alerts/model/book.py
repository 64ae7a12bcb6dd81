"""One instrument: its last price, its past, and the rules that wait for the next one."""

from __future__ import annotations

from collections import Counter
from typing import Final, NamedTuple

from server.alerts.model.agenda import Agenda
from server.alerts.model.board import BAND, DAY_AGO, STATE, UNTIL, feed_number, single_row
from server.alerts.model.ladder import Ladder
from server.alerts.model.logic import Direction, Operator
from server.alerts.model.past import Past
from server.alerts.model.watch import Watch
from server.trading_calendar import ALWAYS_OPEN, Calendar


class PriceState(NamedTuple):
    """What is written of the ticks of an instrument at every commit.

    Args:
        price_nanos: the last price.
        previous_price_nanos: the one before; None where there was none.
        observed_at_us: time of the last tick, microseconds since 1970.
        feed: the feed that it came from; empty for none.
        sequence: its place in that feed.
        volume_micros: of its day so far.
    """

    price_nanos: int
    previous_price_nanos: int | None
    observed_at_us: int
    feed: str = ""
    sequence: int = 0
    volume_micros: int = 0


class Band(NamedTuple):
    """Where nothing happens: prices from `lowest` to `highest`, before `until_us`, volumes below `full_micros`."""

    lowest: int
    highest: int
    until_us: int
    full_micros: int


NO_BAND: Final = Band(1, 0, 0, 0)


class Book:
    """The rules on one instrument, its last price and its past.

    Plain rules (above, below, crosses, without modifiers) stand in four ladders that only lose rungs; every other one
    is a watch, which stands in the agenda.

    Last price and quiet band are numbers in a row of a table, which it shares with others once it stands on a board.

    Attributes:
        symbol: the instrument.
        rows, place: the table, and which row of it is this book's.
        feed: the feed that its last tick came from; empty for none.
        past: days, the last 24 hours, windows.
        calendar: its days, and when its market is open.
        resumed: whether its last tick was evaluated by another owner, or by an earlier run of this one.
        watches: rules with modifiers, by key.
        fresh: those of them that wait for the next tick, whatever it is.
        windows: how many of them need a window of which length.
    """

    __slots__ = (
        "above",
        "agenda",
        "below",
        "calendar",
        "down",
        "feed",
        "fresh",
        "past",
        "place",
        "resumed",
        "rows",
        "symbol",
        "up",
        "watches",
        "windows",
    )

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.rows, self.place = single_row(), 0
        self.feed = ""
        self.past = Past(symbol)
        self.calendar: Calendar = ALWAYS_OPEN
        self.resumed = False
        self.above, self.below, self.up, self.down = Ladder(), Ladder(), Ladder(), Ladder()
        self.watches: dict[bytes, Watch] = {}
        self.fresh: dict[bytes, Watch] = {}
        self.agenda = Agenda()
        self.windows: Counter[int] = Counter()

    def ladder(self, operator: Operator, direction: Direction | None) -> Ladder:
        """Where plain rules of this kind stand."""
        if operator is Operator.CROSSES:
            return self.up if direction is Direction.UP else self.down
        return self.above if operator is Operator.ABOVE else self.below

    @property
    def state(self) -> PriceState | None:
        """What is known of its ticks; None before the first one."""
        price, previous, moment, _, sequence, volume = self.rows[self.place, STATE].tolist()
        return PriceState(price, previous or None, moment, self.feed, sequence, volume) if price else None

    @property
    def band(self) -> Band:
        """The quiet band around the last price."""
        return Band(*self.rows[self.place, BAND].tolist())

    def disturb(self) -> None:
        """Something changed: there is no quiet band before the next tick."""
        self.rows[self.place, UNTIL] = 0

    def resume(self, state: PriceState, past: Past) -> None:
        """Go on where another owner, or an earlier run of this one, came to."""
        self.past, self.resumed = past, True
        self.settle(state, NO_BAND, past.day_ago)

    def settle(self, state: PriceState, band: Band, day_ago: int | None) -> None:
        """Stand where ticks have led.

        Args:
            day_ago: the price of 24 hours ago; None where that is not known.
        """
        row, self.feed = self.rows[self.place], state.feed
        row[STATE] = (
            state.price_nanos,
            state.previous_price_nanos or 0,
            state.observed_at_us,
            feed_number(state.feed),
            state.sequence,
            state.volume_micros,
        )
        row[BAND], row[DAY_AGO] = band, day_ago or 0

    def follow(self, calendar: Calendar) -> None:
        """Have days and market hours of a calendar from the next tick on."""
        if calendar == self.calendar:
            return
        self.calendar = calendar
        self.disturb()
        self.past = self.past.copy()
        self.past.look_up_day()
        for watch in self.watches.values():
            self.agenda.remove(watch)
        self.fresh = dict(self.watches)

    def watch(self, watch: Watch) -> None:
        """Hold a rule with modifiers, in place of what is held of it; it is looked at on the next tick."""
        self.unwatch(watch.rule.key)
        self.watches[watch.rule.key] = self.fresh[watch.rule.key] = watch
        self.disturb()
        if watch.window_seconds:
            self.windows[watch.window_seconds] += 1

    def unwatch(self, key: bytes) -> None:
        """Hold a rule with modifiers no longer, where it is held."""
        watch = self.watches.pop(key, None)
        if watch is None:
            return
        self.agenda.remove(watch)
        self.fresh.pop(key, None)
        self.disturb()
        if watch.window_seconds:
            self.windows[watch.window_seconds] -= 1
            self.windows += Counter()
