"""What a rule waits for: an operator and its numbers. Equal logic gives an equal document, and with it an equal id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from server.trading_calendar import Hours
from server.validation import Violations

LARGEST_NUMBER: Final = 2**63 - 1
LONGEST_PAST_DAYS: Final = 366
MILLION: Final = 1_000_000
_LARGEST_RISE_PPM: Final = 1_000 * MILLION
_SHORTEST_WINDOW_SECONDS: Final = 10
_LONGEST_WINDOW_SECONDS: Final = 86_400
_LONGEST_HOLD_SECONDS: Final = 7 * 86_400


class Operator(StrEnum):
    """What must happen."""

    ABOVE = "above"
    BELOW = "below"
    CROSSES = "crosses"
    BETWEEN = "between"
    LEAVES_BAND = "leaves_band"
    CHANGE_FROM_CLOSE = "change_from_close"
    MOVES_WITHIN = "moves_within"
    NEW_HIGH = "new_high"
    NEW_LOW = "new_low"
    VOLUME_ABOVE = "volume_above"


class Direction(StrEnum):
    """Which way a price goes."""

    UP = "up"
    DOWN = "down"


_BAND: Final = ("low_price_nanos", "high_price_nanos")
_NUMBERS: Final[Mapping[Operator, tuple[str, ...]]] = {
    Operator.ABOVE: ("price_nanos",),
    Operator.BELOW: ("price_nanos",),
    Operator.CROSSES: ("price_nanos",),
    Operator.BETWEEN: _BAND,
    Operator.LEAVES_BAND: _BAND,
    Operator.CHANGE_FROM_CLOSE: ("change_ppm",),
    Operator.MOVES_WITHIN: ("change_ppm", "window_seconds"),
    Operator.NEW_HIGH: ("days",),
    Operator.NEW_LOW: ("days",),
    Operator.VOLUME_ABOVE: ("volume_micros",),
}
_EVERY_NUMBER: Final = tuple(dict.fromkeys(name for names in _NUMBERS.values() for name in names))
_DIRECTED: Final = (Operator.CROSSES, Operator.CHANGE_FROM_CLOSE, Operator.MOVES_WITHIN)
_DIRECTION_OF: Final = {
    Operator.ABOVE: Direction.UP,
    Operator.BELOW: Direction.DOWN,
    Operator.NEW_HIGH: Direction.UP,
    Operator.NEW_LOW: Direction.DOWN,
}
_CLEARS_BY: Final = {
    Operator.ABOVE: "clear_price_nanos",
    Operator.BELOW: "clear_price_nanos",
    Operator.CROSSES: "clear_price_nanos",
    Operator.CHANGE_FROM_CLOSE: "clear_change_ppm",
    Operator.MOVES_WITHIN: "clear_change_ppm",
}


@dataclass(frozen=True, slots=True)
class ActiveHours:
    """When a rule may fire.

    Args:
        market: while the instrument's market is open; there are no `hours` then.
        hours: else these.
    """

    market: bool = False
    hours: Hours | None = None

    def check(self, violations: Violations) -> None:
        """Note every fault."""
        if self.market and self.hours is not None:
            violations.add("market", "leaves no room for hours of the rule's own; give one of the two")
        elif self.hours is not None:
            self.hours.check(violations)
        elif not self.market:
            violations.add("time_zone", "is required without market, with start and end")

    def document(self) -> dict[str, Any] | str:
        """As it is stored."""
        if self.hours is None:
            return "market"
        return {
            "time_zone": self.hours.time_zone,
            "start": self.hours.start,
            "end": self.hours.end,
            "days": sorted(self.hours.days),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any] | str) -> ActiveHours:
        """Out of what is stored."""
        if isinstance(document, str):
            return cls(market=True)
        zone, start, end, days = (document[key] for key in ("time_zone", "start", "end", "days"))
        return cls(hours=Hours(zone, start, end, tuple(days)))


@dataclass(frozen=True, slots=True)
class Logic:
    """What a rule waits for. Prices are in 1e-9 units; a number that the operator does not have is 0.

    Args:
        operator: None where the caller gave none.
        direction: None where the caller gave none.
        change_ppm: millionths of the price that a change is measured from.
        volume_micros: in 1e-6 units.
        hold_seconds: how long it has to stay so.
        clear_price_nanos, clear_change_ppm: where a rule that re-arms clears; 0 for where it fires.
        active_hours: when it may fire; None for always.
    """

    operator: Operator | None
    price_nanos: int = 0
    direction: Direction | None = None
    low_price_nanos: int = 0
    high_price_nanos: int = 0
    change_ppm: int = 0
    window_seconds: int = 0
    days: int = 0
    volume_micros: int = 0
    hold_seconds: int = 0
    clear_price_nanos: int = 0
    clear_change_ppm: int = 0
    active_hours: ActiveHours | None = None

    @property
    def goes_up(self) -> bool:
        """Whether it waits for higher prices. Only of a checked one."""
        return (self.direction or _DIRECTION_OF.get(self.operator or Operator.BETWEEN)) is not Direction.DOWN

    def check(self, violations: Violations, *, rearms: bool) -> None:
        """Note every fault.

        Args:
            rearms: whether the rule goes on after it has fired; others have nothing to clear.
        """
        if self.operator is None:
            violations.add("operator", f"is required: one of {', '.join(Operator.__members__)}")
            return
        if self.operator in _DIRECTED and self.direction is None:
            violations.add("direction", f"is required for {self.operator.name}: UP or DOWN")
        if self.operator not in _DIRECTED and self.direction is not None:
            violations.add("direction", f"is not for {self.operator.name}; leave it out")
        for name in _EVERY_NUMBER:
            if name in _NUMBERS[self.operator]:
                violations.between(name, getattr(self, name), *self._range(name))
            elif getattr(self, name):
                violations.add(name, f"is not for {self.operator.name}; leave it out")
        self._check_hold(violations)
        self._check_clear(violations, rearms)
        if self.active_hours is not None:
            self.active_hours.check(violations.under("active_hours"))

    def _range(self, name: str) -> tuple[int, int]:
        rising = _LARGEST_RISE_PPM if self.direction is Direction.UP else MILLION - 1
        ranges = {
            "high_price_nanos": (max(1, self.low_price_nanos), LARGEST_NUMBER),
            "change_ppm": (1, rising),
            "window_seconds": (_SHORTEST_WINDOW_SECONDS, _LONGEST_WINDOW_SECONDS),
            "days": (1, LONGEST_PAST_DAYS),
        }
        return ranges.get(name, (1, LARGEST_NUMBER))

    def _check_hold(self, violations: Violations) -> None:
        if self.operator is Operator.VOLUME_ABOVE and self.hold_seconds:
            violations.add("hold_seconds", "is not for VOLUME_ABOVE; leave it out")
        else:
            violations.between("hold_seconds", self.hold_seconds, 0, _LONGEST_HOLD_SECONDS)

    def _check_clear(self, violations: Violations, rearms: bool) -> None:
        assert self.operator is not None
        for name in ("clear_price_nanos", "clear_change_ppm"):
            value = getattr(self, name)
            if not value:
                continue
            if _CLEARS_BY.get(self.operator) != name:
                violations.add(name, f"is not for {self.operator.name}; leave it out")
            elif not rearms:
                violations.add(name, "is for rules that re-arm; leave it out, or set repeat to REARM")
            elif name == "clear_change_ppm":
                violations.between(name, value, 1, self.change_ppm)
            elif self.goes_up:
                violations.between(name, value, 1, self.price_nanos)
            else:
                violations.between(name, value, self.price_nanos, LARGEST_NUMBER)

    def document(self) -> dict[str, Any]:
        """The logic as it is stored; what is not set is left out. Only of a checked one."""
        assert self.operator is not None
        document: dict[str, Any] = {"operator": self.operator}
        if direction := self.direction or _DIRECTION_OF.get(self.operator):
            document["direction"] = direction
        for name in (*_NUMBERS[self.operator], "hold_seconds", *_clear_names(self.operator)):
            if (value := getattr(self, name)) and value != self._clears_where_it_fires(name):
                document[name] = value
        if self.active_hours is not None:
            document["active_hours"] = self.active_hours.document()
        return document

    def _clears_where_it_fires(self, name: str) -> int | None:
        """What a clear value says that says nothing."""
        return {"clear_price_nanos": self.price_nanos, "clear_change_ppm": self.change_ppm}.get(name)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Logic:
        """Out of what is stored.

        Raises:
            ValueError, KeyError: it is none of this version's.
        """
        operator = Operator(document["operator"])
        direction = Direction(document["direction"]) if operator in _DIRECTED else None
        numbers = {name: document[name] for name in _NUMBERS[operator]}
        others = {
            name: document.get(name, 0) for name in ("hold_seconds", "clear_price_nanos", "clear_change_ppm")
        }
        hours = document.get("active_hours")
        active_hours = None if hours is None else ActiveHours.from_document(hours)
        return cls(operator, direction=direction, active_hours=active_hours, **numbers, **others)


def _clear_names(operator: Operator) -> tuple[str, ...]:
    return (_CLEARS_BY[operator],) if operator in _CLEARS_BY else ()
