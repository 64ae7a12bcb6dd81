"""The tree that a rule is, once it is known to be good. Trees are immutable, hashable and comparable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from server.conditions.attributes import Attribute, Source
from server.conditions.values import (
    Circle,
    Kind,
    Operand,
    write_duration,
    write_number,
    write_time,
)
from server.conditions.windows import Window


@dataclass(frozen=True, slots=True)
class Comparison:
    """One leaf: an attribute, an operator and the value it is held against.

    Args:
        attribute: what is read.
        operator: one of `operators.OPERATORS`.
        kind: kind of the operand, or of each of its members where it is a list.
        operand: the rule's value, checked.
    """

    attribute: Attribute
    operator: str
    kind: Kind
    operand: Operand


@dataclass(frozen=True, slots=True)
class AllOf:
    """True when every part is; true when there are none."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """True when at least one part is."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """True when the part is false. A comparison with a missing value is false, so its negation is true."""

    part: Node


Node = Comparison | AllOf | AnyOf | Not


@dataclass(frozen=True, slots=True)
class Condition:
    """A rule's condition, parsed and type-checked."""

    root: Node

    def canonical(self) -> dict[str, object]:
        """The one JSON-able spelling: equal conditions give equal documents, and parsing it gives `self`."""
        return _document(self.root)

    @property
    def attributes(self) -> frozenset[str]:
        """Names of all attributes that it reads."""
        return frozenset(leaf.attribute.name for leaf in self.comparisons())

    @property
    def aggregates(self) -> frozenset[Window]:
        """The window aggregates it needs; each value goes to `Facts.aggregates` under `Window.key`."""
        return frozenset(leaf.attribute.window for leaf in self.comparisons() if leaf.attribute.window)

    @property
    def symbols(self) -> frozenset[str]:
        """Market symbols it reads; each row goes to `Facts.market` under the symbol."""
        leaves = (leaf for leaf in self.comparisons() if leaf.attribute.source is Source.MARKET)
        return frozenset(leaf.attribute.path[0] for leaf in leaves)

    def comparisons(self) -> Iterator[Comparison]:
        """Every leaf, in the order written."""
        return _leaves(self.root)


def _leaves(node: Node) -> Iterator[Comparison]:
    match node:
        case Comparison():
            yield node
        case Not(part):
            yield from _leaves(part)
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from _leaves(part)


def _document(node: Node) -> dict[str, object]:
    match node:
        case AllOf(parts):
            return {"all": [_document(part) for part in parts]}
        case AnyOf(parts):
            return {"any": [_document(part) for part in parts]}
        case Not(part):
            return {"not": _document(part)}
        case Comparison(attribute, operator, _, operand):
            return {"attribute": attribute.name, "operator": operator, "value": _value(operand)}


def _value(operand: Operand) -> object:
    match operand:
        case tuple():
            return [_value(member) for member in operand]
        case Circle(latitude, longitude, km):
            return {"latitude": latitude, "longitude": longitude, "km": km}
        case datetime():
            return write_time(operand)
        case timedelta():
            return write_duration(operand)
        case bool() | str():
            return operand
        case int() | Decimal():
            return write_number(operand)
