"""How the closure finds an attribute's value among the facts. A missing value is None."""

from __future__ import annotations

from collections.abc import Callable

from server.conditions.attributes import LOCATION, Attribute, Source
from server.conditions.facts import Facts
from server.conditions.windows import value_at

Reader = Callable[[Facts], object]


def reader_of(attribute: Attribute) -> Reader:
    """A function from facts to the attribute's value, None where there is none."""
    match attribute.source:
        case Source.COLUMN:
            return _location if attribute.column == LOCATION else _column(attribute.column)
        case Source.DOCUMENT:
            return _document(attribute)
        case Source.EVENT:
            return _event(attribute.path)
        case Source.EVENT_TYPE:
            return lambda facts: facts.event_type
        case Source.EVENT_TIME:
            return lambda facts: facts.occurred_at
        case Source.SEGMENT:
            return lambda facts: facts.segments
        case Source.MARKET:
            return _market(attribute.path[0], attribute.column)
        case Source.WINDOW:
            return _aggregate(attribute.name)


def _column(column: str) -> Reader:
    return lambda facts: facts.profile.get(column)


def _location(facts: Facts) -> object:
    latitude, longitude = facts.profile.get("latitude"), facts.profile.get("longitude")
    if latitude is None or longitude is None:
        return None
    return {"latitude": latitude, "longitude": longitude}


def _document(attribute: Attribute) -> Reader:
    column, path = attribute.column, attribute.path
    if column != "raw_attributes":
        return lambda facts: value_at(facts.profile.get(column), path)
    if len(path) > 1:
        return lambda facts: value_at(facts.raw_attributes, path)
    key = path[0]

    def read(facts: Facts) -> object:
        document = facts.raw_attributes
        return document.get(key) if type(document) is dict else value_at(document, path)

    return read


def _event(path: tuple[str, ...]) -> Reader:
    if len(path) > 1:
        return lambda facts: value_at(facts.event, path)
    key = path[0]
    return lambda facts: facts.event.get(key)


def _market(symbol: str, column: str) -> Reader:
    def read(facts: Facts) -> object:
        row = facts.market.get(symbol)
        return None if row is None else row.get(column)

    return read


def _aggregate(key: str) -> Reader:
    return lambda facts: facts.aggregates.get(key)
