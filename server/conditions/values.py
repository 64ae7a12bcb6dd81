"""Kinds of values, how a rule writes them, and how facts are read as them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TypeGuard

MAX_TEXT_LENGTH = 1024
MAX_INTEGER = 2**53
MAX_DURATION_DAYS = 36_500
MAX_DISTANCE_KM = 20_000.0
MIN_DISTANCE_KM = 0.001

# PostgreSQL reads the same pattern, so it keeps to what both engines understand alike. Years are bounded so
# that no offset or duration can push an instant out of the range of either.
TIME_PATTERN = (
    r"[12][0-9]{3}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?"
    r"(Z|[+-](0[0-9]|1[0-5]):[0-5][0-9])"
)
_TIME = re.compile(TIME_PATTERN)
_DURATION = re.compile(r"([1-9][0-9]{0,9})([smhd])")
_UNIT_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


class Kind(StrEnum):
    """What a value is; an attribute without a declared kind takes the kind of the rule's value."""

    NUMBER = "number"
    TEXT = "text"
    BOOLEAN = "boolean"
    TIME = "time"
    DURATION = "duration"
    POINT = "point"
    LIST = "list"


Number = int | Decimal
Scalar = bool | int | Decimal | str


@dataclass(frozen=True, slots=True)
class Circle:
    """The operand of `within_km`: degrees (WGS 84) and a radius in kilometres."""

    latitude: float
    longitude: float
    km: float


Operand = Scalar | datetime | timedelta | Circle | tuple[Scalar, ...] | tuple[datetime, ...]


def read_number(value: object) -> Number:
    """A rule's number, as an int where it is whole.

    Raises:
        ValueError: not a number, or one that a double does not keep exactly (so that JSON may carry it).
    """
    if type(value) is int:
        return _bounded(value)
    if type(value) is not float and type(value) is not Decimal:
        raise ValueError("must be a number")
    exact = value if isinstance(value, Decimal) else Decimal(repr(value))
    if not exact.is_finite():
        raise ValueError("must be a finite number")
    if abs(exact) > MAX_INTEGER or (exact and abs(exact) < Decimal("1e-15")):
        raise ValueError(f"must be 0 or lie between 1e-15 and {MAX_INTEGER} in size")
    if Decimal(repr(float(exact))) != exact:
        raise ValueError("has more digits than a double-precision number keeps")
    return int(exact) if exact == exact.to_integral_value() else exact.normalize()


def _bounded(value: int) -> int:
    if abs(value) > MAX_INTEGER:
        raise ValueError(f"must not exceed {MAX_INTEGER} in size")
    return value


def read_text(value: object) -> str:
    """A rule's text.

    Raises:
        ValueError: not a string, too long, or with a character that PostgreSQL cannot store.
    """
    if not isinstance(value, str):
        raise ValueError("must be a string")
    if len(value) > MAX_TEXT_LENGTH:
        raise ValueError(f"must have at most {MAX_TEXT_LENGTH} characters")
    if "\0" in value:
        raise ValueError("must not contain the NUL character")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("must not contain half of a surrogate pair")
    return value


def read_time(value: object) -> datetime:
    """A rule's instant, in UTC.

    Raises:
        ValueError: not an RFC 3339 date-time with a zone.
    """
    instant = instant_of(value) if isinstance(value, str) else None
    # Near the bounds a zone can move an instant into a year that its canonical form may not have.
    if instant is None or instant_of(write_time(instant)) is None:
        raise ValueError("must be an RFC 3339 time with a zone, such as 2026-01-31T09:00:00Z")
    return instant.astimezone(UTC)


def read_duration(value: object) -> timedelta:
    """A rule's duration: a whole number and one of `s m h d`, where a day is exactly 24 hours.

    Raises:
        ValueError: any other form, or longer than `MAX_DURATION_DAYS`.
    """
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be a duration such as 30d, 12h, 15m or 45s")
    seconds = int(match[1]) * _UNIT_SECONDS[match[2]]
    if seconds > MAX_DURATION_DAYS * 86_400:
        raise ValueError(f"must be at most {MAX_DURATION_DAYS}d")
    return timedelta(seconds=seconds)


def write_number(number: Number) -> int | float:
    """The JSON form of a rule's number; exact, because `read_number` took only what a double keeps."""
    return number if isinstance(number, int) else float(number)


def write_time(instant: datetime) -> str:
    """The one spelling of an instant: UTC, with `Z`."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def write_duration(duration: timedelta) -> str:
    """The one spelling of a duration: in the largest unit that keeps it whole."""
    seconds = int(duration.total_seconds())
    unit, size = next((unit, size) for unit, size in _UNIT_SECONDS.items() if seconds % size == 0)
    return f"{seconds // size}{unit}"


def instant_of(value: object) -> datetime | None:
    """A fact read as an instant: a datetime with a zone, or RFC 3339 text; anything else is None."""
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else None
    if not isinstance(value, str) or _TIME.fullmatch(value) is None:
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def is_finite_number(value: object) -> TypeGuard[int | float | Decimal]:
    """Whether a fact is a number: booleans, NaN and infinities are not."""
    if type(value) is float:
        return math.isfinite(value)
    return type(value) is int or (type(value) is Decimal and value.is_finite())
