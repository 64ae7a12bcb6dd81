"""Every comparison of a condition with what it found: the reason as data, for whoever asks why afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from server.conditions.closure import compile_node
from server.conditions.facts import Facts
from server.conditions.model import AllOf, AnyOf, Comparison, Condition, Node, Not
from server.conditions.reading import reader_of
from server.conditions.sentence import compile_explainer
from server.conditions.values import write_time
from server.conditions.words import HIDDEN, fact_writer

_MOST_MEMBERS: Final = 20


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was held against a rule's value.

    Args:
        path: where it stands, e.g. `condition.all[1]`.
        subject: what was read, e.g. `event.amount`.
        expected, actual: as JSON would have them; `actual` is None where there was no value.
        hidden: the values may identify a person, and are left out.
    """

    path: str
    subject: str
    operator: str
    expected: object
    actual: object
    holds: bool
    words: str
    hidden: bool = False


def check(condition: Condition, facts: Facts, *, path: str) -> list[Check]:
    """All comparisons of a condition, in the order written, also those that did not matter.

    Args:
        path: what the paths begin with.
    """
    return [_check(leaf, where, facts) for leaf, where in _leaves(condition.root, path)]


def _leaves(node: Node, path: str) -> Iterator[tuple[Comparison, str]]:
    match node:
        case Comparison():
            yield node, path
        case Not(part):
            yield from _leaves(part, f"{path}.not")
        case AllOf(parts) | AnyOf(parts):
            name = "all" if isinstance(node, AllOf) else "any"
            for place, part in enumerate(parts):
                yield from _leaves(part, f"{path}.{name}[{place}]")


def _check(leaf: Comparison, path: str, facts: Facts) -> Check:
    alone, value = Condition(leaf), reader_of(leaf.attribute)(facts)
    hidden = leaf.attribute.personal or fact_writer(leaf.attribute)(value) == HIDDEN
    return Check(
        path=path,
        subject=leaf.attribute.name,
        operator=leaf.operator,
        expected=None if hidden else alone.canonical()["value"],
        actual=None if hidden else _data(leaf, value),
        holds=compile_node(leaf)(facts),
        words=compile_explainer(alone)(facts)[1],
        hidden=hidden,
    )


def _data(leaf: Comparison, value: object) -> object:
    """The value as JSON has it; of a list what may be told, and of an object only that it is one."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Decimal():
            return float(value) if value.is_finite() else str(value)
        case datetime():
            return write_time(value)
        case list() | tuple() | set() | frozenset():
            write = fact_writer(leaf.attribute)
            told = (member for member in value if isinstance(member, str | int | float))
            return sorted((m for m in told if write(m) != HIDDEN), key=str)[:_MOST_MEMBERS]
    return {}
