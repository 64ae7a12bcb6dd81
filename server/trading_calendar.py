"""When a market is open, and which day a moment belongs to. Pure: moments come in, in microseconds since 1970."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from server.validation import Violations

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_DAY: Final = timedelta(days=1)
_LONGEST_CLOSED_DAYS: Final = 370
_MOST_HOLIDAYS: Final = 1_000
_TIME: Final = re.compile(r"([01]\d|2[0-3]):[0-5]\d", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_KEYS: Final = ("time_zone", "open", "close", "days", "holidays")


class Span(NamedTuple):
    """A stretch of time in which nothing changes.

    Args:
        open: whether the hours hold.
        until_us: it ends before this.
    """

    open: bool
    until_us: int


class Day(NamedTuple):
    """A local date.

    Args:
        number: days since the year 1, as `date.toordinal`.
        until_us: the next one begins then.
    """

    number: int
    until_us: int


@dataclass(frozen=True, slots=True)
class Hours:
    """A part of the day in a time zone, on some days.

    Args:
        time_zone: IANA name.
        start: local wall time "HH:MM".
        end: the same, itself outside; at or before `start`, it is on the next day.
        days: ISO weekdays (1 is Monday) on which it begins; none means every day.
        holidays: dates on which it does not begin.
    """

    time_zone: str
    start: str
    end: str
    days: tuple[int, ...] = ()
    holidays: tuple[date, ...] = ()

    def check(self, violations: Violations, *, start: str = "start", end: str = "end") -> None:
        """Note every fault.

        Args:
            start, end: what the caller calls these fields.
        """
        if self.time_zone not in _zones():
            violations.add("time_zone", 'must be an IANA time zone, such as "Europe/Paris"')
        for field, value in ((start, self.start), (end, self.end)):
            if not _TIME.fullmatch(value):
                violations.add(field, 'must be a local time "HH:MM", 00:00 to 23:59')
        violations.count("days", self.days, lowest=0, highest=7)
        for place, day in enumerate(self.days[:7]):
            if not 1 <= day <= 7:
                violations.add(f"days[{place}]", "must be a day of the week, 1 (Monday) to 7")
            elif day in self.days[:place]:
                violations.add(f"days[{place}]", "is there twice; name each day once")

    def at(self, moment_us: int) -> Span:
        """Whether the hours hold at a moment, and how long that stays so."""
        today = _local(self.time_zone, moment_us).date()
        for day in (today - _DAY, today):
            opening = _opening(self, day)
            if opening is not None and opening[0] <= moment_us < opening[1]:
                return Span(True, opening[1])
        for ahead in range(_LONGEST_CLOSED_DAYS):
            opening = _opening(self, today + ahead * _DAY)
            if opening is not None and opening[0] > moment_us:
                return Span(False, opening[0])
        return Span(False, _microseconds(datetime.combine(today, time(), UTC) + _LONGEST_CLOSED_DAYS * _DAY))


@dataclass(frozen=True, slots=True)
class Calendar:
    """The days of an instrument, and when its market is open.

    Args:
        hours: None for one that is always open, with days of UTC.
    """

    hours: Hours | None = None

    def day(self, moment_us: int) -> Day:
        """The day that a moment belongs to: a date of the calendar's time zone."""
        zone = "UTC" if self.hours is None else self.hours.time_zone
        today = _local(zone, moment_us).date()
        midnight = datetime.combine(today + _DAY, time(), ZoneInfo(zone))
        return Day(today.toordinal(), max(_microseconds(midnight), moment_us + 1))

    @classmethod
    def from_document(cls, document: Mapping[str, Any] | None) -> Calendar:
        """Out of an instrument's metadata; what `check_calendar` would have refused counts as none."""
        violations = Violations()
        hours = None if document is None else check_calendar(document, violations)
        return cls(None if violations.found else hours)


ALWAYS_OPEN: Final = Calendar()
"""Days of UTC, and no hour closed."""


def check_calendar(document: object, violations: Violations) -> Hours | None:
    """Note every fault of `{time_zone, open, close, days, holidays}`; the hours, where there is none."""
    before = len(violations.found)
    if not isinstance(document, Mapping):
        violations.add("", "must be an object: time_zone, open, close, and perhaps days and holidays")
        return None
    for key in sorted(document.keys() - set(_KEYS)):
        violations.add(key, f"is not known; a calendar has {', '.join(_KEYS)}")
    days = _weekdays(document.get("days", []), violations)
    holidays = _dates(document.get("holidays", []), violations)
    zone, start, end = (_text(document.get(key)) for key in _KEYS[:3])
    hours = Hours(zone, start, end, days, holidays)
    hours.check(violations, start="open", end="close")
    return hours if len(violations.found) == before else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _weekdays(value: object, violations: Violations) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(day) is int for day in value):
        violations.add("days", "must be a list of days of the week, 1 (Monday) to 7")
        return ()
    return tuple(value)


def _dates(value: object, violations: Violations) -> tuple[date, ...]:
    try:
        if not isinstance(value, list) or len(value) > _MOST_HOLIDAYS:
            raise ValueError
        if not all(isinstance(day, str) and _DATE.fullmatch(day) for day in value):
            raise ValueError
        return tuple(map(date.fromisoformat, value))
    except ValueError:
        violations.add("holidays", f'must be a list of up to {_MOST_HOLIDAYS:,} dates "YYYY-MM-DD"')
        return ()


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


@lru_cache(maxsize=16_384)
def _opening(hours: Hours, day: date) -> tuple[int, int] | None:
    """When the hours that begin on a day begin and end; None where none do."""
    if (hours.days and day.isoweekday() not in hours.days) or day in hours.holidays:
        return None
    zone, start, end = (
        ZoneInfo(hours.time_zone),
        time.fromisoformat(hours.start),
        time.fromisoformat(hours.end),
    )
    last = day + _DAY if end <= start else day
    return (
        _microseconds(datetime.combine(day, start, zone)),
        _microseconds(datetime.combine(last, end, zone)),
    )


def _local(zone: str, moment_us: int) -> datetime:
    return (_EPOCH + moment_us * _MICROSECOND).astimezone(ZoneInfo(zone))


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND
