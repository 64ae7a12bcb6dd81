"""What a feeder sends, and the exact reading of it: no price, time or volume goes through a binary fraction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, TypeAlias

from leo_client.prices import to_price_nanos

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LONGEST_SYMBOL: Final = 64
_LARGEST: Final = 2**63 - 1
# Seconds, milli-, micro- and nanoseconds of the years that ticks are from do not overlap.
_EARLIEST_SECONDS: Final = 315_532_800  # 1980
_LATEST_SECONDS: Final = 7_258_118_400  # 2200
_UNITS: Final = (1, 1_000, 1_000_000, 1_000_000_000)

Number: TypeAlias = Decimal | int | str
"""As it stands in a source: never a float."""


@dataclass(frozen=True, slots=True)
class Tick:
    """One price.

    Args:
        price_nanos: in 1e-9 units; above 0.
        observed_at_us: microseconds since 1970 (UTC).
        volume_micros: what was traded with this tick, in 1e-6 units; 0 where the source says nothing.
    """

    symbol: str
    price_nanos: int
    observed_at_us: int
    volume_micros: int = 0


Sequenced: TypeAlias = tuple[int, Tick]
"""A tick, and its place in the feed: from 1, and growing."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in a source that is no tick; what follows it goes on.

    Args:
        place: where, e.g. `line 17`.
        problem: what is wrong.
    """

    place: str
    problem: str

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}"


def symbol_of(value: object) -> str:
    """A symbol.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_SYMBOL or not value.isprintable():
        raise ValueError(f"a symbol is a text of 1 to {_LONGEST_SYMBOL} characters, not {shown(value)}")
    value.encode()
    return value


def price_of(value: object) -> int:
    """A price in 1e-9 units.

    Raises:
        ValueError: no number, not above 0, finer than 1e-9, or too large.
    """
    try:
        nanos = to_price_nanos(_number(value))
    except ValueError as error:
        raise ValueError(f"{error}, not {shown(value)}") from None
    if nanos <= 0:
        raise ValueError(f"a price is above 0, not {shown(value)}")
    return nanos


def volume_of(value: object) -> int:
    """A volume in 1e-6 units; 0 of nothing.

    Raises:
        ValueError: no number, negative, finer than 1e-6, or too large.
    """
    if value is None or value == "":
        return 0
    try:
        micros = Decimal(_number(value)).scaleb(6)
        is_good = 0 <= micros <= _LARGEST and int(micros) == micros
    except (ValueError, ArithmeticError):
        raise ValueError(f"a volume is a number, not {shown(value)}") from None
    if not is_good:
        raise ValueError(
            f"a volume is 0 to 9,223,372,036,854 with at most six decimal places, not {shown(value)}"
        )
    return int(micros)


def moment_of(value: object) -> int:
    """A time in microseconds since 1970: of ISO 8601 with its zone, or of a number since 1970.

    A number's size tells its unit: seconds, milli-, micro- or nanoseconds, between 1980 and 2200. What is finer than
    a microsecond is cut off.

    Raises:
        ValueError: it is no such time.
    """
    if isinstance(value, str) and not value.strip().isdigit():
        return microseconds(_parsed(value))
    number = Decimal(_number(value))
    for in_second in _UNITS:
        if number.is_finite() and _EARLIEST_SECONDS <= number / in_second < _LATEST_SECONDS:
            return int(number * 1_000_000 / in_second)
    raise ValueError(f"a time is between 1980 and 2200, not {shown(value)}")


def microseconds(moment: datetime) -> int:
    """A time in microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def shown(value: object) -> str:
    """A value of a source, short enough for a message."""
    text = value if isinstance(value, str) else str(value)
    return repr(text if len(text) <= 40 else f"{text[:40]}…") if isinstance(value, str) else text[:40]


def _parsed(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"a time is ISO 8601 or a number since 1970, not {shown(text)}") from None
    if moment.tzinfo is None:
        raise ValueError(f"a time names its zone, e.g. {text.strip()[:40]}Z")
    return moment


def _number(value: object) -> Number:
    """Numbers as JSON and people write them: without what Python allows besides, such as 1_000."""
    if isinstance(value, str):
        if value.isascii() and "_" not in value:
            return value.strip()
    elif isinstance(value, Decimal) or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise ValueError("that is no number")
