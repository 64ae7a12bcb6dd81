"""A condition as a Python closure: the reader on the hot path."""

from __future__ import annotations

from collections.abc import Callable

from server.conditions.facts import Facts
from server.conditions.matching import matcher_of
from server.conditions.model import AllOf, AnyOf, Comparison, Condition, Node, Not
from server.conditions.reading import reader_of
from server.conditions.values import Kind, instant_of

Predicate = Callable[[Facts], bool]


def compile_predicate(condition: Condition) -> Predicate:
    """A function from facts to true or false; it never raises and keeps no state.

    Args:
        condition: compile once, evaluate often.
    """
    return compile_node(condition.root)


def compile_node(node: Node) -> Predicate:
    """The closure of one node."""
    match node:
        case Comparison():
            return _comparison(node)
        case Not(part):
            return _negation(compile_node(part))
        case AllOf(parts):
            return _all([compile_node(part) for part in parts])
        case AnyOf(parts):
            return _any([compile_node(part) for part in parts])


def _comparison(leaf: Comparison) -> Predicate:
    read = reader_of(leaf.attribute)
    if leaf.kind is Kind.DURATION:
        return _older_than(leaf)
    matches = matcher_of(leaf)
    return lambda facts: matches(read(facts))


def _older_than(leaf: Comparison) -> Predicate:
    read, age = reader_of(leaf.attribute), leaf.operand

    def predicate(facts: Facts) -> bool:
        instant = instant_of(read(facts))
        return instant is not None and instant < facts.occurred_at - age  # type: ignore[operator]

    return predicate


def _negation(part: Predicate) -> Predicate:
    return lambda facts: not part(facts)


# Two and three parts are what rules mostly have; more are nested, since a loop costs more than its tests.


def _all(parts: list[Predicate]) -> Predicate:
    if not parts:
        return lambda facts: True
    if len(parts) == 1:
        return parts[0]
    if len(parts) == 2:
        one, two = parts
        return lambda facts: one(facts) and two(facts)
    first, second, rest = parts[0], parts[1], _all(parts[2:])
    return lambda facts: first(facts) and second(facts) and rest(facts)


def _any(parts: list[Predicate]) -> Predicate:
    if len(parts) == 1:
        return parts[0]
    if len(parts) == 2:
        one, two = parts
        return lambda facts: one(facts) or two(facts)
    first, second, rest = parts[0], parts[1], _any(parts[2:])
    return lambda facts: first(facts) or second(facts) or rest(facts)
