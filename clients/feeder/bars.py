"""Daily bars as ticks: each day is an open, a high, a low and a close, at times of their own."""

from __future__ import annotations

import csv
import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Final

from leo_client.prices import to_price_nanos

TIMES_OF_DAY: Final[Mapping[str, time]] = {
    "Open": time(14, 30, tzinfo=UTC),
    "High": time(16, 0, tzinfo=UTC),
    "Low": time(18, 0, tzinfo=UTC),
    "Close": time(21, 0, tzinfo=UTC),
}
"""When each price of a bar is said to be observed (UTC)."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class BadFile(Exception):
    """The file holds no bars; the text says where."""


@dataclass(frozen=True, slots=True)
class Tick:
    """One price.

    Args:
        price_nanos: in 1e-9 units.
        observed_at_us: microseconds since 1970 (UTC).
    """

    symbol: str
    price_nanos: int
    observed_at_us: int


def read_bars(path: Path) -> list[Tick]:
    """Four ticks for each line, in the order of time, then of symbol.

    Args:
        path: CSV, gzipped where it ends in `.gz`, with the columns Ticker, Date, Open, High, Low, Close.

    Raises:
        BadFile: a column is missing, or a line holds no bar.
        OSError: the file can not be read.
    """
    opened = gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="")
    with opened as lines:
        reader = csv.DictReader(lines)
        missing = {"Ticker", "Date", *TIMES_OF_DAY} - set(reader.fieldnames or ())
        if missing:
            raise BadFile(f"{path}: the columns {', '.join(sorted(missing))} are missing")
        ticks = [tick for row in reader for tick in _ticks(row, f"{path}:{reader.line_num}")]
    return sorted(ticks, key=lambda tick: (tick.observed_at_us, tick.symbol))


def feed_name(path: Path) -> str:
    """A name for the stream of this very content, so that another content under the same name is another feed.

    Raises:
        OSError: the file can not be read.
    """
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{path.name[:60]}:{digest[:16]}"


def _ticks(row: Mapping[str, str], place: str) -> list[Tick]:
    try:
        day = datetime.strptime(row["Date"], "%Y-%m-%d").replace(tzinfo=UTC).date()
        return [
            Tick(row["Ticker"], to_price_nanos(row[name]), _microseconds(datetime.combine(day, moment)))
            for name, moment in TIMES_OF_DAY.items()
        ]
    except (ValueError, TypeError) as error:
        raise BadFile(f"{place}: {error}") from error


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND
