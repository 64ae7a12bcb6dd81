"""Applies a mapping to one row or document after the other. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from server.errors import FieldViolation
from server.mapping.spec import Column, ConsentRule, MappingSpec
from server.mapping.values import (
    Document,
    read_attribute,
    read_moment,
    read_number,
    read_object,
    read_text,
    read_texts,
    value_at,
)

_LISTS: Final = ("identities", "job_titles", "interests", "data_labels", "segments")
_NUMBERS: Final = ("latitude", "longitude", "portfolio_risk_score")
_OBJECTS: Final = ("portfolio_snapshot", "raw_attributes")
_MOMENTS: Final = ("source_updated_at",)


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
        reading = _Reading(row)
        fields = {
            name: value
            for name, source in self._fields
            for value in reading.values(name, _READERS.get(name, read_text), source)
        }
        attributes = {**fields.pop("raw_attributes", {}), **self._rest(row)}
        for name, column in self._spec.attributes.items():
            for value in reading.values(f"attributes.{name}", read_attribute, column):
                attributes[name] = value
        addresses = {
            channel: value
            for channel, columns in self._spec.channel_addresses.items()
            for value in reading.values(f"channel_addresses.{channel}", read_texts, columns)
        }
        consents = [
            value
            for place, rule in enumerate(self._spec.consents)
            for value in reading.values(f"consents[{place}]", _consent, rule)
        ]
        if reading.faults:
            raise BadRow(reading.faults)
        return MappedProfile(fields, attributes, addresses, consents)

    def _rest(self, row: Document) -> dict[str, Any]:
        """Columns, or members of a document, of which nothing is read."""
        if self._spec.rest == "ignore":
            return {}
        return {
            name: value for name, value in row.items() if name not in self._named and value not in (None, "")
        }


class _Reading:
    """Reads one row, and collects what is wrong with it."""

    def __init__(self, row: Document) -> None:
        self.faults: list[FieldViolation] = []
        self._row = row

    def values(self, name: str, read: Callable[[Document, Any], Any], source: Any) -> tuple[Any, ...]:
        """The one value of a field; none where there is none, or where it is not good."""
        try:
            value = read(self._row, source)
        except (ValueError, TypeError, OverflowError) as error:
            self.faults.append(FieldViolation(name, str(error)))
            return ()
        return () if value is None else (value,)


def _consent(row: Document, rule: ConsentRule) -> MappedConsent | None:
    value = value_at(row, rule.source)
    if value is None:
        return None
    text = str(value).strip().lower()
    granted = text in {known.lower() for known in rule.granted}
    if not granted and text not in {known.lower() for known in rule.withdrawn}:
        return None
    stated_at = None if rule.stated_at is None else read_moment(row, rule.stated_at)
    return MappedConsent(rule.channel, granted, rule.legal_basis, rule.recorded_as, stated_at)


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
    **dict.fromkeys(_LISTS, read_texts),
    **dict.fromkeys(_NUMBERS, read_number),
    **dict.fromkeys(_OBJECTS, read_object),
    **dict.fromkeys(_MOMENTS, read_moment),
}
