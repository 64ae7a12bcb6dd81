"""Times as documents write them: read, and written in the same style, so that a server compares them well. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

from server.sync.sources.arango.settings import TimeFormat

Stamp: TypeAlias = str | int | float

_ISO: Final = re.compile(
    r"\d{4}-\d\d-\d\d(?P<separator>[T ])\d\d:\d\d:\d\d(?:\.(?P<fraction>\d{1,9}))?(?P<zone>Z|[+-]\d\d:?\d\d)?"
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS: Final = {"unix": 1, "unix_ms": 1_000}
# Every text that is a date begins with a digit from 1 on; every time as a number is positive.
_LOWEST: Final[dict[TimeFormat, Stamp]] = {"iso": "1", "unix": 0, "unix_ms": 0}


def lowest(form: TimeFormat) -> Stamp:
    """What is less than any time, but more than what is none."""
    return _LOWEST[form]


def moment_of(stamp: Any, form: TimeFormat) -> datetime | None:
    """The moment; None where this is none in that form. Text without a zone is in UTC."""
    try:
        if form != "iso":
            is_number = isinstance(stamp, (int, float)) and not isinstance(stamp, bool)
            return _EPOCH + timedelta(seconds=stamp / _SECONDS[form]) if is_number else None
        if not isinstance(stamp, str) or not _ISO.fullmatch(stamp):
            return None
        moment = datetime.fromisoformat(stamp)
    except (ValueError, OverflowError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def written_like(sample: Stamp | None, moment: datetime, form: TimeFormat) -> Stamp:
    """A moment as the collection writes it.

    Args:
        sample: one of its times; without one, text is the date of the day after, which any style compares well with.
    """
    if form != "iso":
        return int((moment - _EPOCH).total_seconds() * _SECONDS[form])
    style = _ISO.fullmatch(str(sample))
    if style is None:
        return (moment + timedelta(days=1)).date().isoformat()
    zone = datetime.fromisoformat(str(sample)).tzinfo or UTC
    local = moment.astimezone(zone).replace(tzinfo=None)
    digits = len(style["fraction"] or "")
    fraction = "." + f"{local.microsecond:06d}000"[:digits] if digits else ""
    text = local.isoformat(sep=style["separator"], timespec="seconds")
    return text + fraction + (style["zone"] or "")
