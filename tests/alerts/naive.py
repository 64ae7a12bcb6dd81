"""What fires, found by looking at every rule on every tick, and at all ticks before. Shares nothing with the server."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class NaiveHours:
    """Wall times "HH:MM" on ISO weekdays (none: all) in a time zone, but on holidays."""

    zone: str
    start: str
    end: str
    days: tuple[int, ...] = ()
    holidays: tuple[date, ...] = ()


@dataclass(frozen=True, slots=True)
class NaiveRule:
    """`kind` is ">", "<", "between", "leaves", "volume", or, with "up" or "down" behind it, "crosses", "close",
    "within" or "new"; the other numbers belong to some of these, or are modifiers."""

    name: str
    symbol: str
    kind: str
    price: int = 0
    high: int = 0
    ppm: int = 0
    seconds: int = 0
    days: int = 0
    volume: int = 0
    hold: int = 0
    clear: int = 0
    hours: NaiveHours | str | None = None
    rearms: bool = False
    cooldown: int = 0
    expires: int | None = None


@dataclass(frozen=True, slots=True)
class NaiveTick:
    """A price at a time, in microseconds."""

    symbol: str
    price: int
    time: int
    volume: int = 0


class NaiveFiring(NamedTuple):
    """A rule that fired, with what the price was compared with where that is none of its own numbers, else 0."""

    name: str
    generation: int
    place: int
    price: int
    time: int
    reference: int
    after_restart: bool


@dataclass(slots=True)
class _Standing:
    """A rule on its way; `since` is when it began to hold, `fired` when it fired last and has not been armed since."""

    rule: NaiveRule
    generation: int = 1
    since: int | None = None
    level: int = 0
    reference: int = 0
    fired: int | None = None
    clear: bool = False


@dataclass(slots=True)
class _Symbol:
    ticks: list[NaiveTick] = field(default_factory=list)
    days: list[date] = field(default_factory=list)
    opened: dict[int, int] = field(default_factory=dict)
    restarted: bool = False


class Naive:
    """A market and its rules.

    Args:
        calendars: of symbols that have one.
    """

    def __init__(self, calendars: dict[str, NaiveHours] | None = None) -> None:
        self._calendars = calendars or {}
        self._symbols: dict[str, _Symbol] = {}
        self._rules: dict[str, _Standing] = {}
        self._generations: dict[str, int] = {}

    def put(self, rule: NaiveRule) -> None:
        """Make a rule active; one that is so gets these terms."""
        standing = self._rules.get(rule.name)
        if standing is not None:
            standing.rule = rule
            return
        self._generations[rule.name] = self._generations.get(rule.name, 0) + 1
        self._rules[rule.name] = _Standing(rule, self._generations[rule.name])

    def delete(self, name: str) -> None:
        """Stop a rule."""
        self._rules.pop(name, None)

    def restart(self) -> None:
        """Another process goes on."""
        for symbol in self._symbols.values():
            symbol.restarted = True

    def last_time(self, symbol: str) -> int:
        """Of the last tick."""
        ticks = self._symbols.setdefault(symbol, _Symbol()).ticks
        return ticks[-1].time if ticks else 0

    def tick(self, tick: NaiveTick, place: int) -> list[NaiveFiring]:
        """What a tick fires, by name; it is not before the last one."""
        symbol = self._symbols.setdefault(tick.symbol, _Symbol())
        symbol.ticks.append(tick)
        symbol.days.append(self._day(tick.symbol, tick.time))
        here = sorted(
            (s for s in self._rules.values() if s.rule.symbol == tick.symbol), key=lambda s: s.rule.name
        )
        wanted = {s.rule.seconds for s in here if s.rule.seconds}
        symbol.opened = {seconds: symbol.opened.get(seconds, len(symbol.ticks) - 1) for seconds in wanted}
        fired = []
        for standing in here:
            reference = self._fires(standing, symbol)
            if reference is not None:
                name, generation = standing.rule.name, standing.generation
                fired.append(
                    NaiveFiring(name, generation, place, tick.price, tick.time, reference, symbol.restarted)
                )
                self._end(standing)
        symbol.restarted = False
        return fired

    def _end(self, standing: _Standing) -> None:
        if standing.rule.rearms:
            standing.generation += 1
            self._generations[standing.rule.name] = standing.generation
        else:
            del self._rules[standing.rule.name]

    def _fires(self, standing: _Standing, symbol: _Symbol) -> int | None:
        """What the price was compared with, where it fires."""
        rule, tick = standing.rule, symbol.ticks[-1]
        if rule.expires is not None and tick.time >= rule.expires:
            return None
        self._free(standing, symbol)
        if standing.fired is not None or not self._is_open(rule, tick.time):
            return None
        if standing.since is None:
            met = self._met(rule, symbol)
            if met is None:
                return None
            standing.level, standing.reference = met
            if rule.hold:
                standing.since = tick.time
                return None
        elif tick.time - standing.since < rule.hold * MICRO:
            return None
        standing.since, standing.fired, standing.clear = None, tick.time, False
        return standing.reference

    def _free(self, standing: _Standing, symbol: _Symbol) -> None:
        rule, now = standing.rule, symbol.ticks[-1].time
        if standing.since is not None and not self._stays(standing, symbol):
            standing.since = None
        if standing.fired is not None:
            standing.clear = standing.clear or self._clears(standing, symbol)
            if standing.clear and now - standing.fired >= rule.cooldown * MICRO:
                standing.fired = None

    def _met(self, rule: NaiveRule, symbol: _Symbol) -> tuple[int, int] | None:
        """From which price on it is as the rule wants it, and the reference; None where it is not so."""
        kind = rule.kind.partition(" ")[0]
        if kind in ("close", "within", "new"):
            return self._met_by_past(rule, symbol)
        prices = [tick.price for tick in symbol.ticks[-2:]]
        holds = {
            ">": prices[-1] > rule.price,
            "<": prices[-1] < rule.price,
            "between": _inside(rule, prices[-1]),
            "leaves": [_inside(rule, price) for price in prices] == [True, False],
            "volume": kind == "volume" and self._volume(symbol) > rule.volume,
            "crosses": (
                rule.kind == "crosses up" and [price > rule.price for price in prices] == [False, True]
            )
            or (rule.kind == "crosses down" and [price < rule.price for price in prices] == [False, True]),
        }[kind]
        beyond = {">": rule.price + 1, "crosses up": rule.price + 1, "<": rule.price - 1}
        return (beyond.get(rule.kind, rule.price - 1), 0) if holds else None

    def _met_by_past(self, rule: NaiveRule, symbol: _Symbol) -> tuple[int, int] | None:
        kind, _, way = rule.kind.partition(" ")
        base, price = self._base(rule, symbol), symbol.ticks[-1].price
        if base is None:
            return None
        if kind == "new":
            return (base + _sign(way), base) if (price - base) * _sign(way) > 0 else None
        if (price - base) * _sign(way) * MICRO < rule.ppm * base:
            return None
        away = (rule.ppm * base + MICRO - 1) // MICRO
        return base + away * _sign(way), base

    def _base(self, rule: NaiveRule, symbol: _Symbol) -> int | None:
        """What a change or an extreme is measured from."""
        kind, _, way = rule.kind.partition(" ")
        now = symbol.ticks[-1]
        dated = [(day, tick.price) for day, tick in zip(symbol.days, symbol.ticks[:-1], strict=False)]
        today = symbol.days[-1]
        if kind == "close":
            before = [price for day, price in dated if day < today]
            return before[-1] if before else None
        if kind == "within":
            slice_us = -(-rule.seconds * MICRO // 60)
            since = symbol.ticks[symbol.opened[rule.seconds] :]
            prices = [t.price for t in since if now.time // slice_us - t.time // slice_us < 60]
            return min(prices) if way == "up" else max(prices)
        days = sorted({day for day, _ in dated if day < today})[-rule.days :]
        if len(days) < rule.days:
            return None
        prices = [price for day, price in dated if day >= days[0]]
        return max(prices) if way == "up" else min(prices)

    def _volume(self, symbol: _Symbol) -> int:
        today = symbol.days[-1]
        return sum(t.volume for day, t in zip(symbol.days, symbol.ticks, strict=True) if day == today)

    def _stays(self, standing: _Standing, symbol: _Symbol) -> bool:
        rule, price = standing.rule, symbol.ticks[-1].price
        inside = _inside(rule, price)
        if rule.kind in ("between", "leaves"):
            return inside if rule.kind == "between" else not inside
        up = rule.kind == ">" or rule.kind.endswith("up")
        return price >= standing.level if up else price <= standing.level

    def _clears(self, standing: _Standing, symbol: _Symbol) -> bool:
        rule, now = standing.rule, symbol.ticks[-1]
        kind, _, way = rule.kind.partition(" ")
        inside = _inside(rule, now.price)
        if kind in ("between", "leaves"):
            return not inside if kind == "between" else inside
        if kind in ("new", "volume"):
            assert standing.fired is not None
            return self._day(now.symbol, now.time) > self._day(now.symbol, standing.fired)
        if kind in ("close", "within"):
            base = self._base(rule, symbol)
            assert base is not None
            return (now.price - base) * _sign(way) * MICRO < (rule.clear or rule.ppm) * base
        clear = rule.clear or rule.price
        return now.price <= clear if kind == ">" or way == "up" else now.price >= clear

    def _day(self, symbol: str, moment: int) -> date:
        calendar = self._calendars.get(symbol)
        return _local(calendar.zone if calendar else "UTC", moment).date()

    def _is_open(self, rule: NaiveRule, moment: int) -> bool:
        hours = self._calendars.get(rule.symbol) if isinstance(rule.hours, str) else rule.hours
        if hours is None:
            return True
        now = _local(hours.zone, moment)
        start, end = time.fromisoformat(hours.start), time.fromisoformat(hours.end)
        yesterday = now.date() - timedelta(days=1)
        if start < end:
            return _begins(hours, now.date()) and start <= now.time() < end
        return (_begins(hours, now.date()) and start <= now.time()) or (
            _begins(hours, yesterday) and now.time() < end
        )


def naive_firings(rules: Iterable[NaiveRule], ticks: Sequence[NaiveTick]) -> list[tuple[str, int, int, int]]:
    """Name of the rule, place of the tick, its price and time; in the order of ticks, then of names."""
    naive = Naive()
    for rule in rules:
        naive.put(rule)
    fired = [firing for place, tick in enumerate(ticks) for firing in naive.tick(tick, place)]
    return [(firing.name, firing.place, firing.price, firing.time) for firing in fired]


def _inside(rule: NaiveRule, price: int) -> bool:
    return rule.price <= price <= rule.high


def _begins(hours: NaiveHours, day: date) -> bool:
    return (not hours.days or day.isoweekday() in hours.days) and day not in hours.holidays


def _sign(way: str) -> int:
    return 1 if way == "up" else -1


def _local(zone: str, moment: int) -> datetime:
    return datetime.fromtimestamp(moment / MICRO, UTC).astimezone(ZoneInfo(zone))
