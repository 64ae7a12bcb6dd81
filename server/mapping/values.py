"""How values of rows and documents are read, by what a mapping takes them for. Pure.

Each function answers None where the column has nothing in it, and raises ValueError with the cure where it has
something else than is expected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import orjson

from server.mapping.spec import Column

Document: TypeAlias = Mapping[str, Any]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TRUE: Final = frozenset({"true", "yes", "y", "t", "1"})
_FALSE: Final = frozenset({"false", "no", "n", "f", "0"})


def value_at(row: Document, source: str) -> Any:
    """The value of a column, or at the end of a path; None where there is none, or nothing in it."""
    value: Any = row
    if source in row:
        value = row[source]
    else:
        for part in source.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    return None if isinstance(value, str) and not value.strip() else value


def read_text(row: Document, column: Column) -> str | None:
    """A text, or a number as one."""
    value = value_at(row, column.source)
    if value is None:
        return None
    return column.prefix + _as_text(value)


def _as_text(value: object) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"must be a text, not {_kind_of(value)}")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def read_texts(row: Document, columns: Sequence[Column]) -> list[str] | None:
    """The texts of all columns, each once; None where no column has any."""
    found = [text for column in columns for text in _texts_of(row, column)]
    return list(dict.fromkeys(found)) or None


def _texts_of(row: Document, column: Column) -> list[str]:
    value = value_at(row, column.source)
    if value is None:
        return []
    if isinstance(value, str) and value.lstrip().startswith("[") and not column.split:
        value = orjson.loads(value)
    if isinstance(value, str) and column.split:
        value = [part for part in value.split(column.split) if part.strip()]
    items = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return [column.prefix + _as_text(item) for item in items]


def read_number(row: Document, column: Column) -> float | None:
    """A number, also from text, scaled."""
    value = value_at(row, column.source)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"must be a number, not {_kind_of(value)}")
    try:
        return float(value) * column.scale
    except ValueError:
        raise ValueError("must be a number") from None


def read_object(row: Document, column: Column) -> Mapping[str, Any] | None:
    """A JSON object, also from text."""
    value = value_at(row, column.source)
    if value is None:
        return None
    try:
        value = orjson.loads(value) if isinstance(value, str) else value
    except orjson.JSONDecodeError:
        raise ValueError("must be a JSON object") from None
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a JSON object, not {_kind_of(value)}")
    return value


def read_moment(row: Document, column: Column) -> datetime | None:
    """A moment as the column writes it; without a zone it is in UTC."""
    value = value_at(row, column.source)
    if value is None:
        return None
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if column.time != "iso":
        return _EPOCH + timedelta(seconds=float(value) / (1000 if column.time == "unix_ms" else 1))
    try:
        moment = datetime.fromisoformat(value)
    except (ValueError, TypeError):
        raise ValueError('must be a moment such as "2026-05-01T10:00:00Z"') from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def read_attribute(row: Document, column: Column) -> Any:
    """A JSON value, of the column's type where it names one."""
    value = value_at(row, column.source)
    if value is None or column.kind is None:
        return value
    return _KINDS[column.kind](value)


def _integer(value: object) -> int:
    number = float(value) if isinstance(value, (int, float)) else None
    text = _as_text(value) if number is None else ""
    if number is None and text.lstrip("+-").isdecimal():
        return int(text)
    if number is None or not number.is_integer():
        raise ValueError("must be a whole number")
    return int(number)


def _boolean(value: object) -> bool:
    text = str(value).strip().lower()
    if text not in _TRUE | _FALSE:
        raise ValueError("must be true or false")
    return text in _TRUE


def _kind_of(value: object) -> str:
    names = {bool: "true or false", dict: "an object", list: "a list"}
    return names.get(type(value), type(value).__name__)


_KINDS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "text": _as_text,
    "integer": _integer,
    "number": float,
    "boolean": _boolean,
    "json": lambda value: orjson.loads(value) if isinstance(value, str) else value,
}
