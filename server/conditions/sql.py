"""A condition as SQL: a WHERE fragment over `cdp_profiles p`, true for the rows where the closure is.

Values only ever travel as parameters. Every comparison is made two-valued, so that NOT means the same as in
Python. Equality and membership in JSON use `@>`, which the GIN indexes answer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import cast

from server.conditions.attributes import Attribute, Source
from server.conditions.expressions import Expressions, Parameters
from server.conditions.geography import centre_cosine, haversine_bound, haversine_sql
from server.conditions.model import AllOf, AnyOf, Comparison, Condition, Node, Not
from server.conditions.values import Circle, Kind, Operand, Scalar, write_number
from server.errors import FieldViolation, InvalidInput

_OF_THE_EVENT = frozenset({Source.EVENT, Source.EVENT_TYPE, Source.EVENT_TIME})
_COMPARE = {"==": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">=", "before": "<", "after": ">"}
_ORDERING = frozenset({"<", "<=", ">", ">="})


@dataclass(frozen=True, slots=True)
class SqlFragment:
    """A boolean SQL expression, never null, and the values of its parameters in their order."""

    text: str
    parameters: tuple[object, ...]


def compile_sql(condition: Condition, *, at: datetime, first_parameter: int = 1) -> SqlFragment:
    """The condition as a WHERE fragment over `cdp_profiles` under the alias `p`.

    It must run inside a tenant's context; the subqueries name the tenant as well.

    Args:
        condition: what to select by.
        at: the instant that windows end before and ages count from (with a zone).
        first_parameter: number of the fragment's first `$n`; those before it are the caller's.

    Raises:
        errors.InvalidInput: the condition reads the triggering event, and a segment has none. Each place
            is listed.
    """
    faults = list(_event_faults(condition.root, "$"))
    if faults:
        raise InvalidInput(faults)
    compiler = _Compiler(Parameters(first_parameter), at)
    text = compiler.node(condition.root)
    return SqlFragment(text, compiler.parameters.values)


def _event_faults(node: Node, path: str) -> list[FieldViolation]:
    match node:
        case AllOf(parts) | AnyOf(parts):
            name = "all" if isinstance(node, AllOf) else "any"
            return [
                fault
                for index, part in enumerate(parts)
                for fault in _event_faults(part, f"{path}.{name}[{index}]")
            ]
        case Not(part):
            return _event_faults(part, f"{path}.not")
        case Comparison(attribute) if attribute.source in _OF_THE_EVENT:
            return [FieldViolation(f"{path}.attribute", "reads the triggering event, and a segment has none")]
    return []


class _Compiler:
    def __init__(self, parameters: Parameters, at: datetime) -> None:
        self.parameters = parameters
        self._at = at
        self._expressions = Expressions(parameters, at)

    def node(self, node: Node) -> str:
        match node:
            case AllOf(parts):
                return f"({' AND '.join(map(self.node, parts))})" if parts else "true"
            case AnyOf(parts):
                return f"({' OR '.join(map(self.node, parts))})"
            case Not(part):
                return f"(NOT {self.node(part)})"
            case Comparison():
                return self._comparison(node)

    def _comparison(self, leaf: Comparison) -> str:
        match leaf.operator:
            case "exists":
                present = self._expressions.present(leaf.attribute)
                return present if leaf.operand else f"(NOT {present})"
            case "contains":
                return self._contains(leaf.attribute, (cast("Scalar", leaf.operand),))
            case "contains_any":
                return self._contains(leaf.attribute, cast("tuple[Scalar, ...]", leaf.operand))
            case "==" if leaf.attribute.source is Source.DOCUMENT:
                return self._holds(leaf.attribute, cast("Scalar", leaf.operand))
            case "within_km":
                return self._within(leaf.attribute, cast("Circle", leaf.operand))
        return self._two_valued(leaf, self._relation(leaf))

    def _two_valued(self, leaf: Comparison, relation: str) -> str:
        """A null value makes it false; on a bare column in a form that an index can still answer."""
        value = self._expressions.value(leaf.attribute, leaf.kind)
        if leaf.attribute.source is Source.COLUMN:
            return f"({value} IS NOT NULL AND {value} {relation})"
        return f"COALESCE({value} {relation}, false)"

    def _relation(self, leaf: Comparison) -> str:
        operand = leaf.operand
        match leaf.operator:
            case "between":
                low, high = cast("tuple[Operand, Operand]", operand)
                return f"BETWEEN {self._scalar(leaf, low)} AND {self._scalar(leaf, high)}"
            case "in":
                return f"= ANY({self._array(leaf)})"
            case "not_in":
                return f"<> ALL({self._array(leaf)})"
            case "starts_with":
                return f"^@ {self._scalar(leaf, operand)}"
            case "ends_with":
                return f"LIKE {self._text('%' + _escaped(cast('str', operand)))}"
            case "glob":
                return f"LIKE {self._text(_like(cast('str', operand)))}"
            case "older_than":
                cutoff = self._at - cast("timedelta", operand)
                return f"< {self.parameters.add(cutoff, 'timestamptz')}"
            case name:
                return f"{_COMPARE[name]} {self._scalar(leaf, operand)}"

    def _scalar(self, leaf: Comparison, value: Operand) -> str:
        if leaf.kind is Kind.TEXT:
            ordered = leaf.operator in _ORDERING or leaf.operator == "between"
            text = self._text(cast("str", value))
            return f'({text} COLLATE "C")' if ordered else text
        if leaf.kind is Kind.NUMBER:
            return self._expressions.number(leaf.attribute, cast("int | Decimal", value))
        return self.parameters.add(value, "bool" if leaf.kind is Kind.BOOLEAN else "timestamptz")

    def _array(self, leaf: Comparison) -> str:
        members = cast("tuple[Scalar, ...]", leaf.operand)
        if leaf.kind is Kind.NUMBER:
            return self._expressions.numbers(leaf.attribute, cast("tuple[int | Decimal, ...]", members))
        return self.parameters.add(members, "text[]" if leaf.kind is Kind.TEXT else "bool[]")

    def _text(self, value: str) -> str:
        return self.parameters.add(value, "text")

    def _contains(self, attribute: Attribute, members: tuple[Scalar, ...]) -> str:
        """Containment of one-element lists; `@>` on a NOT NULL column is never null."""
        documents = tuple(_nested(attribute.path, [_json(member)]) for member in members)
        if len(documents) == 1:
            return f"p.{attribute.column} @> {self._text(documents[0])}::jsonb"
        return f"p.{attribute.column} @> ANY({self.parameters.add(documents, 'text[]')}::jsonb[])"

    def _holds(self, attribute: Attribute, value: Scalar) -> str:
        document = _nested(attribute.path, _json(value))
        return f"p.{attribute.column} @> {self._text(document)}::jsonb"

    def _within(self, attribute: Attribute, circle: Circle) -> str:
        place = self._expressions.place(attribute)
        centre = (circle.latitude, circle.longitude, centre_cosine(circle))
        numbers = [self.parameters.add(number, "float8") for number in centre]
        haversine = haversine_sql(place.latitude, place.longitude, (numbers[0], numbers[1], numbers[2]))
        bound = self.parameters.add(haversine_bound(circle), "float8")
        return f"(CASE WHEN {place.is_place} THEN {haversine} <= {bound} ELSE false END)"


def _json(value: Scalar) -> object:
    return value if isinstance(value, bool | str) else write_number(value)


def _nested(path: tuple[str, ...], value: object) -> str:
    for key in reversed(path):
        value = {key: value}
    return json.dumps(value, ensure_ascii=False)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _like(pattern: str) -> str:
    return _escaped(pattern).replace("*", "%").replace("?", "_")
