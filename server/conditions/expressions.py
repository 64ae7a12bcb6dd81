"""SQL expressions for attributes' values: null wherever the closure would find nothing of the asked kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import cast

from server.conditions.attributes import DOUBLE_COLUMNS, LOCATION, Attribute, Source
from server.conditions.geography import NEGLIGIBLE_DEGREES
from server.conditions.values import TIME_PATTERN, Kind, Number
from server.conditions.windows import Window

_TENANT = "nullif(current_setting('app.current_tenant_id', true), '')::uuid"


class Parameters:
    """Numbers the values as they come; equal values of one type share a number."""

    def __init__(self, first: int) -> None:
        self._first = first
        self._numbers: dict[tuple[object, str], int] = {}

    def add(self, value: object, sql_type: str) -> str:
        """The placeholder of a value, with its type."""
        number = self._numbers.setdefault((value, sql_type), self._first + len(self._numbers))
        return f"${number}::{sql_type}"

    @property
    def values(self) -> tuple[object, ...]:
        """All values, in the order of their numbers."""
        return tuple(value for value, _ in self._numbers)


@dataclass(frozen=True, slots=True)
class Place:
    """SQL of a place: whether it is one, and its double precision coordinates where it is."""

    is_place: str
    latitude: str
    longitude: str


class Expressions:
    """Writes the expressions of one fragment; windows end before `at`."""

    def __init__(self, parameters: Parameters, at: datetime) -> None:
        self._parameters = parameters
        self._at = at

    def value(self, attribute: Attribute, kind: Kind) -> str:
        """The attribute's value as the SQL type of a kind; null where it is missing or of another kind."""
        match attribute.source:
            case Source.COLUMN:
                # citext has operators of its own, which ignore case: plain text is what the closure sees.
                return f"p.{attribute.column}" + ("::text" if attribute.kind is Kind.TEXT else "")
            case Source.DOCUMENT:
                return self._json(self._document(attribute), kind)
            case Source.WINDOW:
                return self._window(cast("Window", attribute.window))
            case Source.MARKET:
                return self._market(attribute)
        raise AssertionError(f"{attribute.name} has no SQL expression")

    def present(self, attribute: Attribute) -> str:
        """Whether there is a value of any kind; never null."""
        if attribute.source is Source.DOCUMENT:
            return f"COALESCE(jsonb_typeof({self._document(attribute)}) <> 'null', false)"
        if attribute.column == LOCATION:
            return "(p.latitude IS NOT NULL AND p.longitude IS NOT NULL)"
        return f"({self.value(attribute, Kind.TEXT)} IS NOT NULL)"

    def number(self, attribute: Attribute, value: Number) -> str:
        """A number as a parameter of the attribute's own type."""
        if attribute.column in DOUBLE_COLUMNS:
            return self._parameters.add(float(value), "float8")
        return self._parameters.add(Decimal(value), "numeric")

    def numbers(self, attribute: Attribute, values: Sequence[Number]) -> str:
        """Numbers as an array parameter of the attribute's own type."""
        if attribute.column in DOUBLE_COLUMNS:
            return self._parameters.add(tuple(map(float, values)), "float8[]")
        return self._parameters.add(tuple(map(Decimal, values)), "numeric[]")

    def place(self, attribute: Attribute) -> Place:
        """The attribute as a place."""
        if attribute.column == LOCATION:
            return _place("p.latitude", "p.longitude")
        document = self._document(attribute)
        latitude, longitude = (
            self._json(f"({document} -> '{key}')", Kind.NUMBER) for key in ("latitude", "longitude")
        )
        return _place(latitude, longitude)

    def _document(self, attribute: Attribute) -> str:
        return f"(p.{attribute.column} #> {self._parameters.add(attribute.path, 'text[]')})"

    def _json(self, document: str, kind: Kind) -> str:
        """JSON as an SQL type. CASE, since a cast may not be tried before its test."""
        text, is_string = f"({document} #>> '{{}}')", f"jsonb_typeof({document}) = 'string'"
        match kind:
            case Kind.NUMBER:
                return f"(CASE WHEN jsonb_typeof({document}) = 'number' THEN {document}::numeric END)"
            case Kind.BOOLEAN:
                return f"(CASE WHEN jsonb_typeof({document}) = 'boolean' THEN {document}::boolean END)"
            case Kind.TIME | Kind.DURATION:
                pattern = self._parameters.add(f"^{TIME_PATTERN}$", "text")
                is_time = f"{text} ~ {pattern} AND pg_input_is_valid({text}, 'timestamptz')"
                return f"(CASE WHEN {is_string} AND {is_time} THEN {text}::timestamptz END)"
        return f"(CASE WHEN {is_string} THEN {text} END)"

    def _market(self, attribute: Attribute) -> str:
        symbol = self._parameters.add(attribute.path[0], "text")
        # Only names from fixed lists and placeholders are written into the text; the same goes for `_window`.
        return (
            f"(SELECT nullif(m.{attribute.column}, 'NaN') FROM market_snapshot m"  # noqa: S608
            f" WHERE m.symbol = {symbol}"
            f" AND (m.tenant_id = {_TENANT} OR m.tenant_id IS NULL)"
            " ORDER BY m.tenant_id IS NULL LIMIT 1)"
        )

    def _window(self, window: Window) -> str:
        aggregate, inside = self._aggregate(window), self._inside(window)
        return f"(SELECT {aggregate} FROM behavioral_events e WHERE {inside})"  # noqa: S608

    def _aggregate(self, window: Window) -> str:
        if window.function == "count":
            return "count(*)::numeric"
        if window.function == "last_seen":
            return "max(e.occurred_at)"
        path = self._parameters.add(window.path, "text[]")
        number = self._json(f"(e.attributes #> {path})", Kind.NUMBER)
        return f"max({number})" if window.function == "max" else f"COALESCE(sum({number}), 0)"

    def _inside(self, window: Window) -> str:
        conditions = [
            "e.profile_id = p.profile_id",
            "e.tenant_id = p.tenant_id",
            f"e.event_type = {self._parameters.add(window.event_type, 'text')}",
            f"e.occurred_at < {self._parameters.add(self._at, 'timestamptz')}",
        ]
        start = window.starts_at(self._at)
        if start is not None:
            conditions.append(f"e.occurred_at >= {self._parameters.add(start, 'timestamptz')}")
        return " AND ".join(conditions)


def _place(latitude: str, longitude: str) -> Place:
    is_place = f"{latitude} BETWEEN -90 AND 90 AND {longitude} BETWEEN -180 AND 180"
    return Place(is_place, _degrees(latitude), _degrees(longitude))


def _degrees(number: str) -> str:
    return f"(CASE WHEN abs({number}) < {NEGLIGIBLE_DEGREES!r} THEN 0 ELSE {number} END)::float8"
