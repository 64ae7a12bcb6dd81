"""What is kept of the past of an instrument beside its last prices: days, the last 24 hours, windows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from server.alerts.model.extremes import Extremes
from server.alerts.model.last_day import LastDay
from server.alerts.model.logic import LONGEST_PAST_DAYS
from server.alerts.model.window import Window
from server.trading_calendar import Calendar


class Past:
    """Days, the last 24 hours, and the windows of rules. Bounded: 366 days, 97 slices, 60 slices for each window.

    Args:
        symbol: the instrument.
        document: what `document` gave.

    Attributes:
        day: number of the day of the last tick; 0 before the first one.
        high, low: of that day so far; None before its first tick is settled.
        close: the last price of the day with ticks before it; None where there was none.
        day_ago: the last price before the quarter of an hour of 24 hours ago; None where that is not known.
        days: how many days with ticks came before it.
        windows: by their length in seconds.
        changed: whether something differs from what was read, or copied.
    """

    __slots__ = (
        "_day_until_us",
        "_highs",
        "_last_day",
        "_lows",
        "_slice_until_us",
        "_windows_are_own",
        "changed",
        "close",
        "day",
        "day_ago",
        "days",
        "high",
        "low",
        "windows",
    )

    def __init__(self, symbol: str, document: Mapping[str, Any] | None = None) -> None:
        given = document or {}
        self._day_until_us = self._slice_until_us = 0
        self.day_ago: int | None = None
        self.day: int = given.get("day", 0)
        self.high: int | None = given.get("high")
        self.low: int | None = given.get("low")
        self.close: int | None = given.get("close")
        self.days: int = given.get("days", 0)
        self._highs = Extremes(1, given.get("highs", ()))
        self._lows = Extremes(-1, given.get("lows", ()))
        self._last_day = LastDay(symbol, given.get("slices", ()))
        windows = given.get("windows", {})
        self.windows = {int(seconds): Window(int(seconds), kept) for seconds, kept in windows.items()}
        self._windows_are_own = True
        self.changed = False

    def copy(self) -> Past:
        """One that changes on its own: what it shares with this one is copied before it is changed."""
        other = Past.__new__(Past)
        other._day_until_us, other._slice_until_us = self._day_until_us, self._slice_until_us
        other.day, other.high, other.low, other.close = self.day, self.high, self.low, self.close
        other.days, other.day_ago = self.days, self.day_ago
        other._highs, other._lows, other._last_day = self._highs, self._lows, self._last_day
        other.windows, other._windows_are_own, other.changed = self.windows, False, False
        return other

    def until(self) -> int:
        """Up to when ticks meet the same day and quarter of an hour as the last one that `begin` was told of."""
        return min(self._day_until_us, self._slice_until_us)

    def look_up_day(self) -> None:
        """The calendar changed: find out at the next tick whether its day has begun."""
        self._day_until_us = 0

    def day_ends(self) -> int:
        """When the day of the last tick is over, in microseconds since 1970."""
        return self._day_until_us

    def begin(self, moment_us: int, price: int | None, observed_at_us: int, calendar: Calendar) -> bool:
        """A tick comes: end what it is behind of.

        Args:
            price: the last one before; None for the first tick.
            observed_at_us: its time.

        Returns:
            Whether a day began.
        """
        if moment_us >= self._slice_until_us:
            self._begin_slice(moment_us, price, observed_at_us)
        if moment_us < self._day_until_us:
            return False
        number, self._day_until_us = calendar.day(moment_us)
        if number <= self.day:
            return False
        self._end_day(price)
        self.day = number
        return True

    def _begin_slice(self, moment_us: int, price: int | None, observed_at_us: int) -> None:
        if price is not None and self._last_day.is_over(observed_at_us, moment_us):
            self._last_day = self._last_day.copy()
            self._last_day.push(observed_at_us, price, moment_us)
            self.changed = True
        self._slice_until_us = self._last_day.until(moment_us)
        self.day_ago = self._last_day.price_before(moment_us)

    def _end_day(self, price: int | None) -> None:
        if self.high is not None and self.low is not None:
            self.days += 1
            self._highs, self._lows = self._highs.copy(), self._lows.copy()
            self._highs.push(self.days, self.high)
            self._lows.push(self.days, self.low)
            for side in (self._highs, self._lows):
                side.forget(self.days - LONGEST_PAST_DAYS + 1)
            self.close = price
        self.high = self.low = None
        self.changed = True

    def extend(self, price: int) -> None:
        """A tick was evaluated: it belongs to the day."""
        if self.high is None or price > self.high:
            self.high, self.changed = price, True
        if self.low is None or price < self.low:
            self.low, self.changed = price, True

    def keep_windows(self, lengths: Collection[int]) -> None:
        """Open the windows that are missing, and forget those that no rule has any more."""
        if self.windows.keys() != set(lengths):
            self.windows = {seconds: self.windows.get(seconds) or Window(seconds) for seconds in lengths}
            self._windows_are_own = False
            self.changed = True

    def push_windows(self, moment_us: int, price: int) -> None:
        """A tick belongs to every window."""
        if not self._windows_are_own:
            self.windows = {seconds: window.copy() for seconds, window in self.windows.items()}
            self._windows_are_own = True
        for window in self.windows.values():
            window.push(moment_us, price)
            self.changed = True

    def days_surpassed(self, price: int, *, up: bool) -> int:
        """How many days with ticks, up to yesterday, a price is beyond; 0 where it is within the day so far."""
        extreme, side = (self.high, self._highs) if up else (self.low, self._lows)
        if extreme is not None and (price <= extreme if up else price >= extreme):
            return 0
        reached = side.reached(price)
        return min(self.days, LONGEST_PAST_DAYS) if reached is None else self.days - reached

    def extreme(self, days: int, *, up: bool) -> int | None:
        """The highest or lowest price of the day so far and of so many days before it."""
        today, side = (self.high, self._highs) if up else (self.low, self._lows)
        found = [value for value in (today, side.since(self.days - days + 1)) if value is not None]
        return (max(found) if up else min(found)) if found else None

    def document(self) -> dict[str, Any]:
        """As it is stored."""
        document: dict[str, Any] = {
            "day": self.day,
            "high": self.high,
            "low": self.low,
            "close": self.close,
            "days": self.days,
            "highs": self._highs.document(),
            "lows": self._lows.document(),
            "slices": self._last_day.document(),
        }
        if self.windows:
            document["windows"] = {str(seconds): kept.document() for seconds, kept in self.windows.items()}
        return document
