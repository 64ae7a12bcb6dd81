"""Rows of CSV, NDJSON and Parquet files, with the numbers by which people find them."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from server.mapping.failure import FileNotReadable
from server.mapping.parquet import parquet_rows, parquet_size

_SURPLUS: Final = "surplus"


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Args:
        number: its line (of CSV, the last one of the row), from 1; of Parquet, its place, from 1.
        document: its values by column; None where it can not be read.
        fault: why it can not; empty where it can.
        done: how much of the file is read with it, in the unit of `RowFile.size`.
    """

    number: int
    document: Mapping[str, Any] | None
    fault: str
    done: int


class RowFile:
    """A file of profiles; its kind is told by its ending.

    Raises:
        FileNotReadable: there is no such file, its kind is not known, its reader is not installed, or the first
            line of CSV is not one of names.
    """

    def __init__(self, path: Path, *, delimiter: str = ",") -> None:
        readers: dict[str, Callable[[], Iterator[Row]]] = {
            ".csv": lambda: _csv_rows(path, delimiter),
            ".ndjson": lambda: _json_rows(path),
            ".jsonl": lambda: _json_rows(path),
            ".parquet": lambda: _parquet_rows(path),
        }
        if path.suffix not in readers:
            raise FileNotReadable(f"{path}: the kind of file is told by its ending: {', '.join(readers)}")
        if not path.is_file():
            raise FileNotReadable(f"{path}: there is no such file")
        self._read = readers[path.suffix]
        self.size = parquet_size(path) if path.suffix == ".parquet" else path.stat().st_size
        self.columns = _csv_columns(path, delimiter) if path.suffix == ".csv" else None

    def rows(self) -> Iterator[Row]:
        """All rows, in their order.

        Raises:
            FileNotReadable: the file can not be read any further.
        """
        try:
            yield from self._read()
        except (OSError, csv.Error) as error:
            raise FileNotReadable(f"the file can not be read any further: {error}") from error


class _Lines:
    """The lines of a file as text, and how much of it they were; a line that is no UTF-8 gets marks for what is not."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.done = 0

    def texts(self) -> Iterator[str]:
        """All lines, once."""
        for line in self._file:
            self.done += len(line)
            yield line.decode("utf-8", errors="surrogateescape")


@contextmanager
def _lines(path: Path) -> Iterator[_Lines]:
    with path.open("rb") as file:
        if file.read(3) != b"\xef\xbb\xbf":
            file.seek(0)
        yield _Lines(file)


def _csv_rows(path: Path, delimiter: str) -> Iterator[Row]:
    with _lines(path) as lines:
        reader = csv.DictReader(lines.texts(), delimiter=delimiter, restkey=_SURPLUS)
        for document in reader:
            fault = ""
            if isinstance(document.get(_SURPLUS), list):
                fault = "has more values than the first line has names"
            elif not all(_is_utf8(value) for value in document.values()):
                fault = "is not UTF-8"
            yield Row(reader.line_num, None if fault else document, fault, lines.done)


def _csv_columns(path: Path, delimiter: str) -> frozenset[str]:
    try:
        with _lines(path) as lines:
            return frozenset(next(csv.reader(lines.texts(), delimiter=delimiter), ()))
    except csv.Error as error:
        raise FileNotReadable(
            f"{path}: the first line can not be read as names of columns ({error}): give the delimiter of the file, and"
            " close every quote"
        ) from error


def _is_utf8(value: str | None) -> bool:
    return (
        value is None or value.isascii() or not any("\udc80" <= character <= "\udcff" for character in value)
    )


def _json_rows(path: Path) -> Iterator[Row]:
    with path.open("rb") as file:
        done = 0
        for number, line in enumerate(file, start=1):
            done += len(line)
            if not line.strip():
                continue
            try:
                document = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                yield Row(number, None, f"is not JSON: {error}", done)
                continue
            whole = isinstance(document, dict)
            yield Row(number, document if whole else None, "" if whole else "is not a JSON object", done)


def _parquet_rows(path: Path) -> Iterator[Row]:
    for number, document in enumerate(parquet_rows(path), start=1):
        yield Row(number, document, "", number)


def as_json(document: Mapping[str, Any] | None) -> Any:
    """The document with everything that JSON has no form for as text."""
    if document is None:
        return None
    return orjson.loads(orjson.dumps(document, default=str, option=orjson.OPT_NON_STR_KEYS))
