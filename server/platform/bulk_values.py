"""Which column holds the value that can't be written: asked only after a batch failed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from operator import index
from typing import Any
from uuid import UUID

import asyncpg

from server.platform.bulk_sql import TableWrite

_PARAMETER = re.compile(r"(?:query argument|parameter) \$(\d+)")
_COPY_COLUMN = re.compile(r"^COPY .*, column ([^:\n]+)", re.MULTILINE)


class BadValue(ValueError):
    """A value that its column can't hold. The value itself is left out: it may be personal data.

    Args:
        table: the table that was to be written.
        column: the column's name.
        kind: the error's class at the driver or the server.
    """

    def __init__(self, table: str, column: str, kind: str) -> None:
        super().__init__(f"{table}.{column}: a value doesn't fit the column ({kind})")
        self.table = table
        self.column = column
        self.kind = kind


def bad_value(write: TableWrite, rows: Sequence[Sequence[Any]], error: Exception) -> BadValue | None:
    """The column behind a failed batch; None when the error isn't about a value that was sent."""
    column = _column_told(write, error)
    if column is None and not isinstance(error, asyncpg.PostgresError):
        column = _column_found(write, rows)
    return None if column is None else BadValue(write.table, column, type(error).__name__)


def _column_told(write: TableWrite, error: Exception) -> str | None:
    """Server and driver name the parameter of an INSERT; the server names the column of a COPY."""
    context = getattr(error, "context", None) or ""
    copied = _COPY_COLUMN.search(context)
    if copied:
        return copied[1]
    parameter = _PARAMETER.search(context) or _PARAMETER.match(str(error), len("invalid input for "))
    return write.columns[int(parameter[1]) - 1] if parameter else None


def _column_found(write: TableWrite, rows: Sequence[Sequence[Any]]) -> str | None:
    """The driver doesn't say which value of a COPY it could not encode."""
    for position, (column, kind) in enumerate(zip(write.columns, write.types, strict=True)):
        check = _CHECKS.get(kind)
        if check is not None and not all(
            row[position] is None or _fits(check, row[position]) for row in rows
        ):
            return column
    return None


def _fits(check: Callable[[Any], object], value: object) -> bool:
    try:
        check(value)
    except (TypeError, ValueError, ArithmeticError):
        return False
    return True


def _check_document(value: object) -> None:
    if isinstance(value, str):
        value.encode()
    elif not isinstance(value, bytes):
        raise TypeError


def _check_time(value: object) -> None:
    if not isinstance(value, date):
        raise TypeError


def _integer_of(octets: int) -> Callable[[Any], object]:
    return lambda value: index(value).to_bytes(octets, signed=True)


_CHECKS: Mapping[str, Callable[[Any], object]] = {
    "uuid": lambda value: value if isinstance(value, UUID) else UUID(value),
    "text": str.encode,
    "citext": str.encode,
    "json": _check_document,
    "jsonb": _check_document,
    "smallint": _integer_of(2),
    "integer": _integer_of(4),
    "bigint": _integer_of(8),
    "numeric": Decimal,
    "double precision": float,
    "bytea": memoryview,
    "date": _check_time,
    "timestamptz": _check_time,
}
