"""Window aggregates: what a rule may ask of a profile's past events.

A window is `[at - duration, at)`: the instant itself is outside, so an event never counts itself, and the
answer is the same whether events are recorded in order, out of order or twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Context, Decimal
from typing import NamedTuple

from server.conditions.values import Kind, is_finite_number, read_duration, write_duration

FUNCTIONS = ("count", "sum", "max", "last_seen")
_CALL = re.compile(r"(count|sum|max|last_seen)\(\s*([^,()\s]+)\s*(?:,\s*([^,()\s]+)\s*)?\)")
_EVENT_TYPE = re.compile(r"[A-Za-z0-9_:-]{1,64}")
_FORMS = "count(type, 30d), sum(type.attribute, 30d), max(type.attribute, 30d) or last_seen(type)"

# Wide enough for any sum of doubles: no digit is ever rounded away, as in PostgreSQL's numeric.
_EXACT = Context(prec=2_000, Emin=-5_000, Emax=5_000)

WindowValue = int | Decimal | datetime | None


class PastEvent(NamedTuple):
    """One row of behavioral_events: its type, its time (with a zone) and its decoded attributes."""

    event_type: str
    occurred_at: datetime
    attributes: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Window:
    """One aggregate over past events of one type.

    Args:
        function: one of `FUNCTIONS`.
        event_type: the `event_type` that counts.
        path: where in the event's attributes the number is; empty for `count` and `last_seen`.
        duration: how far back; None for `last_seen`, which looks back without end.
    """

    function: str
    event_type: str
    path: tuple[str, ...]
    duration: timedelta | None

    @property
    def key(self) -> str:
        """The one spelling of this aggregate, and its key in `Facts.aggregates`."""
        subject = ".".join((self.event_type, *self.path))
        return f"{self.function}({subject}{f', {write_duration(self.duration)}' if self.duration else ''})"

    @property
    def kind(self) -> Kind:
        """The kind of its value."""
        return Kind.TIME if self.function == "last_seen" else Kind.NUMBER

    def starts_at(self, at: datetime) -> datetime | None:
        """The first instant inside the window that ends before `at`; None when it has no beginning."""
        return None if self.duration is None else at - self.duration


def is_window(name: str) -> bool:
    """Whether an attribute's name is meant as an aggregate."""
    return name.endswith(")") or name.split("(", 1)[0] in FUNCTIONS


def parse_window(name: str) -> Window:
    """The aggregate that a rule names.

    Raises:
        ValueError: says which forms there are, or what is wrong with this one.
    """
    match = _CALL.fullmatch(name)
    if match is None:
        raise ValueError(f"must be {_FORMS}")
    function, (event_type, *path), duration = match[1], match[2].split("."), match[3]
    if _EVENT_TYPE.fullmatch(event_type) is None:
        raise ValueError("names an event type with characters other than letters, digits, '_', ':' and '-'")
    if bool(path) != (function in ("sum", "max")) or (duration is None) != (function == "last_seen"):
        raise ValueError(f"must be {_FORMS}")
    try:
        span = None if duration is None else read_duration(duration)
    except ValueError as fault:
        raise ValueError(f"has a window that {fault}") from None
    return Window(function, event_type, tuple(path), span)


def value_at(document: object, path: tuple[str, ...]) -> object:
    """What a path of object keys leads to; None where it leads nowhere."""
    for key in path:
        if not isinstance(document, Mapping):
            return None
        document = document.get(key)
    return document


def measure(windows: Iterable[Window], events: Iterable[PastEvent], at: datetime) -> dict[str, WindowValue]:
    """Values of aggregates for one profile, as the SQL reader would find them.

    Args:
        windows: what `Condition.aggregates` of the rules in play ask for.
        events: past events of this profile, in any order, going back as far as the longest window.
        at: the instant that the windows end before.
    """
    past = [event for event in events if event.occurred_at < at]
    return {window.key: _measure(window, past, at) for window in windows}


def _measure(window: Window, past: list[PastEvent], at: datetime) -> WindowValue:
    start = window.starts_at(at)
    inside = [
        event
        for event in past
        if event.event_type == window.event_type and (start is None or event.occurred_at >= start)
    ]
    if window.function == "count":
        return len(inside)
    if window.function == "last_seen":
        return max((event.occurred_at for event in inside), default=None)
    numbers = [number for event in inside if (number := _number(event, window.path)) is not None]
    return max(numbers, default=None) if window.function == "max" else _sum(numbers)


def _number(event: PastEvent, path: tuple[str, ...]) -> Decimal | None:
    value = value_at(event.attributes, path)
    if not is_finite_number(value):
        return None
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


def _sum(numbers: list[Decimal]) -> Decimal:
    total = Decimal(0)
    for number in numbers:
        total = _EXACT.add(total, number)
    return total
