"""Daily bars as ticks: each day is an open, a high, a low and a close, at times of their own."""

from __future__ import annotations

import csv
import gzip
import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Final

from feeder.ticks import Fault, Tick, microseconds, price_of, symbol_of, volume_of

TIMES_OF_DAY: Final[Mapping[str, time]] = {
    "Open": time(14, 30, tzinfo=UTC),
    "High": time(16, 0, tzinfo=UTC),
    "Low": time(18, 0, tzinfo=UTC),
    "Close": time(21, 0, tzinfo=UTC),
}
"""When each price of a bar is said to be observed (UTC)."""

_HASHED_BYTES: Final = 1 << 20


class BadFile(Exception):
    """The file holds no bars; the text says where."""


def read_bars(path: Path, on_fault: Callable[[Fault], None] | None = None) -> list[Tick]:
    """Four ticks for each line, in the order of time, then of symbol. The day's volume comes with its close.

    Args:
        path: CSV, gzipped where it ends in `.gz`, with the columns Ticker, Date, Open, High, Low, Close, and perhaps
            Volume.
        on_fault: is told of lines that hold no bar, and the others are read; without it, the first one ends the
            reading.

    Raises:
        BadFile: a column is missing, or it is no text; without `on_fault`, also where a line holds no bar.
        OSError: the file can not be read.
    """
    opened = gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="")
    ticks: list[Tick] = []
    try:
        with opened as lines:
            reader = csv.DictReader(lines)
            missing = {"Ticker", "Date", *TIMES_OF_DAY} - set(reader.fieldnames or ())
            if missing:
                raise BadFile(f"{path}: the columns {', '.join(sorted(missing))} are missing")
            for row in reader:
                try:
                    ticks += _ticks(row)
                except ValueError as error:
                    fault = Fault(f"line {reader.line_num}", str(error))
                    if on_fault is None:
                        raise BadFile(f"{path}:{reader.line_num}: {error}") from error
                    on_fault(fault)
    except (UnicodeDecodeError, EOFError, csv.Error, gzip.BadGzipFile) as error:
        raise BadFile(f"{path} is no CSV: {error}") from error
    return sorted(ticks, key=lambda tick: (tick.observed_at_us, tick.symbol))


def feed_name(path: Path) -> str:
    """A name for the stream of this very content, so that another content under the same name is another feed.

    Raises:
        OSError: the file can not be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as content:
        while block := content.read(_HASHED_BYTES):
            digest.update(block)
    return f"{path.name[:60]}:{digest.hexdigest()[:16]}"


def _ticks(row: Mapping[str, str | None]) -> list[Tick]:
    symbol = symbol_of(row["Ticker"])
    try:
        day = datetime.strptime(row["Date"] or "", "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise ValueError(f"a date is YYYY-MM-DD, not {row['Date']!r}") from None
    prices = {name: price_of(row[name] or "") for name in TIMES_OF_DAY}
    volume = volume_of(row.get("Volume"))
    return [
        Tick(symbol, prices[name], microseconds(datetime.combine(day, at)), volume if name == "Close" else 0)
        for name, at in TIMES_OF_DAY.items()
    ]
