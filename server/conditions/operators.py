"""Operators: which value each takes, and which kinds of attribute it fits."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from server.conditions.values import (
    MAX_DISTANCE_KM,
    MIN_DISTANCE_KM,
    Circle,
    Kind,
    Operand,
    Scalar,
    read_duration,
    read_number,
    read_text,
    read_time,
)

MAX_LIST_LENGTH = 1_000
MAX_GLOB_STARS = 16
_STARS = re.compile(r"\*+")

_ORDERED = frozenset({"==", "!=", "<", "<=", ">", ">=", "between", "in", "not_in", "exists"})
OPERATORS_OF_KIND: dict[Kind, frozenset[str]] = {
    Kind.NUMBER: _ORDERED,
    Kind.TEXT: _ORDERED | {"starts_with", "ends_with", "glob"},
    Kind.TIME: frozenset({"before", "after", "between", "older_than", "exists"}),
    Kind.POINT: frozenset({"within_km", "exists"}),
    Kind.LIST: frozenset({"contains", "contains_any", "in"}),
}


@dataclass(slots=True)
class Faults:
    """Collects what is wrong with one document, each with its path."""

    found: list[tuple[str, str]] = field(default_factory=list)

    def add(self, path: str, description: str) -> None:
        """Notes one fault."""
        self.found.append((path, description))


Typed = tuple[Kind, Operand]
# (value as written, declared kind of the attribute or None, path, faults) → kind and operand, None if faulty
OperandReader = Callable[[object, Kind | None, str, Faults], Typed | None]


def _scalar(value: object, path: str, faults: Faults) -> tuple[Kind, Scalar] | None:
    try:
        if isinstance(value, bool):
            return Kind.BOOLEAN, value
        if isinstance(value, str):
            return Kind.TEXT, read_text(value)
        if isinstance(value, int | float | Decimal):
            return Kind.NUMBER, read_number(value)
        faults.add(path, "must be a string, a number, true or false")
    except ValueError as fault:
        faults.add(path, str(fault))
    return None


def _equal(value: object, _: Kind | None, path: str, faults: Faults) -> Typed | None:
    return _scalar(value, path, faults)


def _order(value: object, _: Kind | None, path: str, faults: Faults) -> Typed | None:
    typed = _scalar(value, path, faults)
    if typed is not None and typed[0] is Kind.BOOLEAN:
        faults.add(path, "must be a number or a string: true and false have no order")
        return None
    return typed


def _members(value: object, path: str, faults: Faults) -> Typed | None:
    """A list of scalars of one kind, sorted and without repeats: order and repeats mean nothing."""
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_LIST_LENGTH:
        faults.add(path, f"must be a list of 1 to {MAX_LIST_LENGTH} values")
        return None
    typed = [_scalar(member, f"{path}[{index}]", faults) for index, member in enumerate(value)]
    good = [member for member in typed if member is not None]
    for index, member in enumerate(typed):
        if member is not None and member[0] is not good[0][0]:
            faults.add(f"{path}[{index}]", f"must be a {good[0][0]}, as the values before it are")
    if len(good) < len(typed) or any(kind is not good[0][0] for kind, _ in good):
        return None
    return good[0][0], tuple(sorted({member for _, member in good}))


def _list(value: object, _: Kind | None, path: str, faults: Faults) -> Typed | None:
    return _members(value, path, faults)


def _range(value: object, declared: Kind | None, path: str, faults: Faults) -> Typed | None:
    if not isinstance(value, list) or len(value) != 2:
        faults.add(path, "must be a list of two values, the lowest and the highest")
        return None
    reader = _time if declared is Kind.TIME else _order
    ends = [reader(end, declared, f"{path}[{index}]", faults) for index, end in enumerate(value)]
    low, high = ends
    if low is None or high is None:
        return None
    if low[0] is not high[0]:
        faults.add(f"{path}[1]", f"must be a {low[0]}, as the first value is")
        return None
    if low[1] > high[1]:  # type: ignore[operator]
        faults.add(path, "must have the lowest value first")
        return None
    return low[0], (low[1], high[1])  # type: ignore[return-value]


def _reader(kind: Kind, read: Callable[[object], Operand]) -> OperandReader:
    def checked(value: object, _: Kind | None, path: str, faults: Faults) -> Typed | None:
        try:
            return kind, read(value)
        except ValueError as fault:
            faults.add(path, str(fault))
            return None

    return checked


_time = _reader(Kind.TIME, read_time)


def _part_of_text(value: object) -> str:
    text = read_text(value)
    if not text:
        raise ValueError("must not be empty")
    return text


def _glob(value: object) -> str:
    pattern = _STARS.sub("*", _part_of_text(value))
    if pattern.count("*") > MAX_GLOB_STARS:
        raise ValueError(f"must have at most {MAX_GLOB_STARS} stars")
    return pattern


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _circle(value: object, _: Kind | None, path: str, faults: Faults) -> Typed | None:
    if not isinstance(value, dict) or set(value) != {"latitude", "longitude", "km"}:
        faults.add(path, "must be an object of latitude, longitude and km")
        return None
    limits = {
        "latitude": (-90.0, 90.0),
        "longitude": (-180.0, 180.0),
        "km": (MIN_DISTANCE_KM, MAX_DISTANCE_KM),
    }
    numbers = {name: _between(value[name], limits[name], f"{path}.{name}", faults) for name in limits}
    latitude, longitude, km = numbers["latitude"], numbers["longitude"], numbers["km"]
    if latitude is None or longitude is None or km is None:
        return None
    return Kind.POINT, Circle(latitude, longitude, km)


def _between(value: object, limits: tuple[float, float], path: str, faults: Faults) -> float | None:
    try:
        number = float(read_number(value))
    except ValueError as fault:
        faults.add(path, str(fault))
        return None
    if not limits[0] <= number <= limits[1]:
        faults.add(path, f"must lie between {limits[0]:g} and {limits[1]:g}")
        return None
    return number


OPERATORS: dict[str, OperandReader] = {
    "==": _equal,
    "!=": _equal,
    "<": _order,
    "<=": _order,
    ">": _order,
    ">=": _order,
    "between": _range,
    "in": _list,
    "not_in": _list,
    "contains": _equal,
    "contains_any": _list,
    "exists": _reader(Kind.BOOLEAN, _boolean),
    "starts_with": _reader(Kind.TEXT, _part_of_text),
    "ends_with": _reader(Kind.TEXT, _part_of_text),
    "glob": _reader(Kind.TEXT, _glob),
    "within_km": _circle,
    "before": _time,
    "after": _time,
    "older_than": _reader(Kind.DURATION, read_duration),
}
