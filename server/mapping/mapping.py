"""Applies a mapping to one row or document after the other. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import orjson

from server.errors import FieldViolation
from server.mapping.spec import Column, ConsentRule, MappingSpec

Document: TypeAlias = Mapping[str, Any]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LISTS: Final = ("identities", "job_titles", "interests", "data_labels", "segments")
_NUMBERS: Final = ("latitude", "longitude", "portfolio_risk_score")
_OBJECTS: Final = ("portfolio_snapshot", "raw_attributes")
_MOMENTS: Final = ("source_updated_at",)
_TRUE: Final = frozenset({"true", "yes", "y", "t", "1"})
_FALSE: Final = frozenset({"false", "no", "n", "f", "0"})


@dataclass(frozen=True, slots=True)
class MappedConsent:
    """A consent, named as in the contract of profiles."""

    channel: str
    granted: bool
    legal_basis: str
    source: str
    stated_at: datetime | None


@dataclass(frozen=True, slots=True)
class MappedProfile:
    """What a row says of one customer.

    Args:
        fields: by the names of the contract of profiles: texts, lists of texts, numbers, objects and moments; what the
            row leaves empty is not there.
        attributes: what goes to raw_attributes, JSON values.
    """

    fields: Mapping[str, Any]
    attributes: Mapping[str, Any]
    channel_addresses: Mapping[str, Sequence[str]]
    consents: Sequence[MappedConsent] = field(default=())


class BadRow(Exception):
    """A row that can not be read as the mapping says; with each fault."""

    def __init__(self, violations: Sequence[FieldViolation]) -> None:
        super().__init__("; ".join(f"{fault.field}: {fault.description}" for fault in violations))
        self.violations = tuple(violations)


class ProfileMapping:
    """Reads rows as a mapping says."""

    def __init__(self, spec: MappingSpec) -> None:
        self._spec = spec
        self._fields = [
            (name, getattr(spec.fields, name))
            for name in type(spec.fields).model_fields
            if getattr(spec.fields, name) is not None
        ]
        self._named = frozenset(_first_parts(spec))

    @property
    def default_region(self) -> str:
        """Country of national phone numbers; may be empty."""
        return self._spec.default_region

    @property
    def columns(self) -> frozenset[str]:
        """Every column that the mapping reads."""
        return frozenset(column.source for column in _columns(self._spec))

    def read(self, row: Document) -> MappedProfile:
        """What a row says.

        Raises:
            BadRow: values are not what the mapping takes them for.
        """
        faults: list[FieldViolation] = []
        fields = {}
        for name, source in self._fields:
            value = _noting(faults, name, _READERS.get(name, _text), row, source)
            if value is not None:
                fields[name] = value
        attributes = {**fields.pop("raw_attributes", {}), **self._rest(row)}
        for name, column in self._spec.attributes.items():
            value = _noting(faults, f"attributes.{name}", _attribute, row, column)
            if value is not None:
                attributes[name] = value
        addresses = {
            channel: texts
            for channel, columns in self._spec.channel_addresses.items()
            if (texts := _noting(faults, f"channel_addresses.{channel}", _texts, row, columns)) is not None
        }
        consents = [
            consent
            for place, rule in enumerate(self._spec.consents)
            if (consent := _noting(faults, f"consents[{place}]", _consent, row, rule)) is not None
        ]
        if faults:
            raise BadRow(faults)
        return MappedProfile(fields, attributes, addresses, consents)

    def _rest(self, row: Document) -> dict[str, Any]:
        """Columns, or members of a document, of which nothing is read."""
        if self._spec.rest == "ignore":
            return {}
        return {
            name: value for name, value in row.items() if name not in self._named and value not in (None, "")
        }


def _noting(
    faults: list[FieldViolation], name: str, read: Callable[[Document, Any], Any], row: Document, source: Any
) -> Any:
    try:
        return read(row, source)
    except (ValueError, TypeError, OverflowError) as error:
        faults.append(FieldViolation(name, str(error)))
        return None


def _found(row: Document, source: str) -> Any:
    """The value of a column, or at the end of a path; None where there is none, or nothing in it."""
    value: Any = row
    if source in row:
        value = row[source]
    else:
        for part in source.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    return None if isinstance(value, str) and not value.strip() else value


def _text(row: Document, column: Column) -> str | None:
    value = _found(row, column.source)
    if value is None:
        return None
    return column.prefix + _as_text(value)


def _as_text(value: object) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"must be a text, not {_kind_of(value)}")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _texts(row: Document, columns: Sequence[Column]) -> list[str] | None:
    """The texts of all columns, each once; None where no column has any."""
    found = [text for column in columns for text in _texts_of(row, column)]
    return list(dict.fromkeys(found)) or None


def _texts_of(row: Document, column: Column) -> list[str]:
    value = _found(row, column.source)
    if value is None:
        return []
    if isinstance(value, str) and value.lstrip().startswith("[") and not column.split:
        value = orjson.loads(value)
    if isinstance(value, str) and column.split:
        value = [part for part in value.split(column.split) if part.strip()]
    items = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return [column.prefix + _as_text(item) for item in items]


def _number(row: Document, column: Column) -> float | None:
    value = _found(row, column.source)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"must be a number, not {_kind_of(value)}")
    try:
        return float(value) * column.scale
    except ValueError:
        raise ValueError("must be a number") from None


def _object(row: Document, column: Column) -> Mapping[str, Any] | None:
    value = _found(row, column.source)
    if value is None:
        return None
    try:
        value = orjson.loads(value) if isinstance(value, str) else value
    except orjson.JSONDecodeError:
        raise ValueError("must be a JSON object") from None
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a JSON object, not {_kind_of(value)}")
    return value


def _moment(row: Document, column: Column) -> datetime | None:
    value = _found(row, column.source)
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


def _attribute(row: Document, column: Column) -> Any:
    value = _found(row, column.source)
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


def _consent(row: Document, rule: ConsentRule) -> MappedConsent | None:
    value = _found(row, rule.source)
    if value is None:
        return None
    text = str(value).strip().lower()
    granted = text in {known.lower() for known in rule.granted}
    if not granted and text not in {known.lower() for known in rule.withdrawn}:
        return None
    stated_at = None if rule.stated_at is None else _moment(row, rule.stated_at)
    return MappedConsent(rule.channel, granted, rule.legal_basis, rule.recorded_as, stated_at)


def _kind_of(value: object) -> str:
    names = {bool: "true or false", dict: "an object", list: "a list"}
    return names.get(type(value), type(value).__name__)


def _columns(spec: MappingSpec) -> list[Column]:
    fields = [getattr(spec.fields, name) for name in type(spec.fields).model_fields]
    given = [*fields, *spec.attributes.values(), *spec.channel_addresses.values()]
    columns = [column for source in given if source for column in _each(source)]
    for rule in spec.consents:
        columns.append(Column.model_validate({"from": rule.source}))
        columns += _each(rule.stated_at) if rule.stated_at else []
    return columns


def _each(source: Column | Sequence[Column]) -> Sequence[Column]:
    return (source,) if isinstance(source, Column) else source


def _first_parts(spec: MappingSpec) -> set[str]:
    """What is not the rest: columns by their whole name, and members of a document by the first part of a path."""
    named = {column.source for column in _columns(spec)}
    return named | {source.partition(".")[0] for source in named} | set(spec.ignore)


_READERS: Final[Mapping[str, Callable[[Document, Any], Any]]] = {
    **dict.fromkeys(_LISTS, _texts),
    **dict.fromkeys(_NUMBERS, _number),
    **dict.fromkeys(_OBJECTS, _object),
    **dict.fromkeys(_MOMENTS, _moment),
}
_KINDS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "text": _as_text,
    "integer": _integer,
    "number": float,
    "boolean": _boolean,
    "json": lambda value: orjson.loads(value) if isinstance(value, str) else value,
}
