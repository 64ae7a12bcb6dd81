"""What a comparison asks of a value. One that is missing or of another kind never matches."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, cast

from server.conditions.geography import haversine, haversine_bound, place_of
from server.conditions.model import Comparison
from server.conditions.values import Circle, Kind, Number, Operand, Scalar, instant_of, write_number

Matcher = Callable[[object], bool]
_Compare = Callable[[Any, Any], bool]

_LISTS = frozenset({list, tuple, set, frozenset})


def matcher_of(leaf: Comparison) -> Matcher:
    """The matcher of any operator but `older_than`, which needs the clock as well."""
    return _MATCHERS[leaf.operator](leaf.kind, leaf.operand)


def _present(value: object) -> bool:
    return value is not None


def _absent(value: object) -> bool:
    return value is None


def _compare(kind: Kind, operand: Operand, *, compare: _Compare) -> Matcher:
    if kind is Kind.NUMBER:
        return _compare_number(compare, cast("Number", operand))
    if kind is Kind.TIME:
        return _compare_time(compare, operand)
    exact_type = bool if kind is Kind.BOOLEAN else str
    return lambda value: type(value) is exact_type and compare(value, operand)


def _compare_number(compare: _Compare, bound: Number) -> Matcher:
    # The bound is a double whose shortest text is the decimal that was written. Rounding keeps order, so
    # comparing doubles (or an int) with it says the same as comparing the decimals that JSON wrote.
    native, exact = write_number(bound), Decimal(bound)

    def matches(value: object) -> bool:
        kind = type(value)
        if kind is int or kind is float:
            return compare(value, native)
        return kind is Decimal and not cast("Decimal", value).is_nan() and compare(value, exact)

    return matches


def _compare_time(compare: _Compare, bound: object) -> Matcher:
    def matches(value: object) -> bool:
        instant = instant_of(value)
        return instant is not None and compare(instant, bound)

    return matches


def _between(kind: Kind, ends: Sequence[Operand]) -> Matcher:
    low, high = ends
    at_least = _compare(kind, low, compare=operator.ge)
    at_most = _compare(kind, high, compare=operator.le)
    return lambda value: at_least(value) and at_most(value)


def _member(kind: Kind, members: Sequence[Scalar], *, expected: bool) -> Matcher:
    if kind is not Kind.NUMBER:
        plain, exact_type = frozenset(members), bool if kind is Kind.BOOLEAN else str
        return lambda value: type(value) is exact_type and (value in plain) is expected
    exact = frozenset(Decimal(member) for member in members)
    native = frozenset(write_number(cast("Number", member)) for member in members)

    def matches(value: object) -> bool:
        kind = type(value)
        if kind is int or kind is float:
            return (value in native) is expected
        return kind is Decimal and not cast("Decimal", value).is_nan() and (value in exact) is expected

    return matches


def _contains_any(kind: Kind, members: Sequence[Scalar]) -> Matcher:
    if kind is Kind.TEXT and len(members) == 1:
        return _contains_text(members[0])
    is_member = _member(kind, members, expected=True)

    def matches(value: object) -> bool:
        return _is_list(value) and any(is_member(element) for element in cast("list[object]", value))

    return matches


def _contains_text(text: Scalar) -> Matcher:
    def matches(value: object) -> bool:
        return _is_list(value) and text in cast("list[object]", value)

    return matches


def _is_list(value: object) -> bool:
    return type(value) in _LISTS


def _text_method(method: Callable[[str, str], bool], part: str) -> Matcher:
    return lambda value: type(value) is str and method(value, part)


def _glob(pattern: str) -> Matcher:
    # Each run of literals is found at its leftmost place and never tried again (an atomic group), so that no
    # pattern can make a value cost more than their two lengths multiplied.
    first, *rest = ["".join("." if c == "?" else re.escape(c) for c in run) for run in pattern.split("*")]
    middle = "".join(f"(?>.*?{run})" for run in rest[:-1])
    full = re.compile(first + middle + (".*" + rest[-1] if rest else ""), re.DOTALL).fullmatch
    return lambda value: type(value) is str and full(value) is not None


def _within(circle: Circle) -> Matcher:
    bound = haversine_bound(circle)

    def matches(value: object) -> bool:
        place = place_of(value)
        return place is not None and haversine(*place, circle) <= bound

    return matches


# Kind and operand → matcher. The parser has checked that the operand is what its operator takes.
_MATCHERS: dict[str, Callable[[Kind, Any], Matcher]] = {
    "==": partial(_compare, compare=operator.eq),
    "!=": partial(_compare, compare=operator.ne),
    "<": partial(_compare, compare=operator.lt),
    "<=": partial(_compare, compare=operator.le),
    ">": partial(_compare, compare=operator.gt),
    ">=": partial(_compare, compare=operator.ge),
    "before": partial(_compare, compare=operator.lt),
    "after": partial(_compare, compare=operator.gt),
    "between": _between,
    "in": partial(_member, expected=True),
    "not_in": partial(_member, expected=False),
    "contains": lambda kind, operand: _contains_any(kind, (operand,)),
    "contains_any": _contains_any,
    "exists": lambda _, operand: _present if operand else _absent,
    "starts_with": lambda _, operand: _text_method(str.startswith, operand),
    "ends_with": lambda _, operand: _text_method(str.endswith, operand),
    "glob": lambda _, operand: _glob(operand),
    "within_km": lambda _, operand: _within(operand),
}
