"""Rows of Parquet files, read by DuckDB where that is installed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from server.mapping.failure import FileNotReadable

_AT_ONCE: Final = 1_000
_COLUMNS: Final = "describe select * from read_parquet(?)"
_COUNT: Final = "select count(*) from read_parquet(?)"


def parquet_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """All rows, in their order, as values that JSON has or as moments.

    Raises:
        FileNotReadable: the reader is not installed, or the file is not good.
    """
    with _reading() as connection:
        columns = connection.execute(_COLUMNS, [str(path)]).fetchall()
        names = [name for name, *_ in columns]
        # Not from outside: names are quoted. Moments with a zone come as UTC, which needs no module of zones.
        wanted = ", ".join(_selected(name, kind) for name, kind, *_ in columns)
        rows = connection.execute(f"select {wanted} from read_parquet(?)", [str(path)])  # noqa: S608
        while values := rows.fetchmany(_AT_ONCE):
            for row in values:
                yield {name: _plain(value) for name, value in zip(names, row, strict=True)}


def parquet_size(path: Path) -> int:
    """The number of rows.

    Raises:
        FileNotReadable: as `parquet_rows`.
    """
    with _reading() as connection:
        return int(connection.execute(_COUNT, [str(path)]).fetchone()[0])


@contextmanager
def _reading() -> Iterator[Any]:
    try:
        duckdb = import_module("duckdb")
    except ImportError:
        raise FileNotReadable(
            "Parquet files need a reader that is not installed: pip install 'leo-activation[parquet]'"
        ) from None
    connection = duckdb.connect(config={"threads": 1})
    try:
        yield connection
    except duckdb.Error as error:
        raise FileNotReadable(f"the file can not be read: {str(error).partition(chr(10))[0]}") from error
    finally:
        connection.close()


def _selected(name: str, kind: str) -> str:
    column = '"' + name.replace('"', '""') + '"'
    return f"make_timestamp(epoch_us({column}))" if kind == "TIMESTAMP WITH TIME ZONE" else column


def _plain(value: object) -> object:
    """Decimals as numbers, days and bytes as text, and the same inside of lists and maps."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    return value
