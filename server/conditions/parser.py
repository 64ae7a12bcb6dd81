"""From a JSON document to a `Condition`: checked whole, so that every fault is told at once."""

from __future__ import annotations

import json
from decimal import Decimal

from server.conditions.attributes import Attribute, parse_attribute
from server.conditions.model import AllOf, AnyOf, Comparison, Condition, Node, Not
from server.conditions.operators import OPERATORS, OPERATORS_OF_KIND, Faults, Typed
from server.conditions.values import Kind, Operand
from server.conditions.windows import Window
from server.errors import FieldViolation, InvalidInput

MAX_BYTES = 262_144
MAX_DEPTH = 16
MAX_NODES = 256
MAX_AGGREGATES = 16
MAX_FAULTS = 200

_BRANCHES = ("all", "any", "not")
_LEAF_KEYS = ("attribute", "operator", "value")
_ABSENT = object()


def parse(document: object, *, path: str = "$") -> Condition:
    """Reads a condition and checks all of it.

    Args:
        document: JSON as bytes (UTF-8), or as already decoded by a JSON reader.
        path: what the paths of faults start with, such as the name of the request's field.

    Raises:
        errors.InvalidInput: with each fault and its JSON path, the first 200 of them.
    """
    if isinstance(document, bytes | bytearray | memoryview):
        document = _decode(bytes(document), path)
    reader = _TreeReader()
    root = reader.node(document, path, 1)
    if len(reader.aggregates) > MAX_AGGREGATES:
        reader.faults.add(path, f"must not read more than {MAX_AGGREGATES} different window aggregates")
    if root is None or reader.faults.found:
        raise _refusal(reader.faults)
    return Condition(root)


def _refusal(faults: Faults) -> InvalidInput:
    return InvalidInput(
        [FieldViolation(path, description) for path, description in faults.found[:MAX_FAULTS]]
    )


def _decode(data: bytes, path: str) -> object:
    if len(data) > MAX_BYTES:
        raise InvalidInput([FieldViolation(path, f"must have at most {MAX_BYTES} bytes")])
    try:
        text = data.decode("utf-8")
        return json.loads(
            text, parse_float=_decimal, parse_constant=_refuse_constant, object_pairs_hook=_object
        )
    except UnicodeDecodeError:
        description = "must be UTF-8"
    except RecursionError:
        description = f"must not be nested deeper than {MAX_DEPTH} levels"
    except json.JSONDecodeError as fault:
        description = f"must be JSON: {fault.msg} at character {fault.pos}"
    except ValueError as fault:
        description = f"must be JSON: {fault}"
    raise InvalidInput([FieldViolation(path, description)])


def _decimal(text: str) -> Decimal:
    if len(text) > 64:
        raise ValueError("a number has more than 64 characters")
    return Decimal(text)


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not a JSON number")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("an object has the same key twice")
    return members


def _shown(key: object) -> str:
    """A key as a path shows it: half of a surrogate pair, which no answer could carry, as its escape."""
    return str(key)[:64].encode(errors="backslashreplace").decode()


class _TreeReader:
    """Walks one document; keeps count and collects faults."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.aggregates: set[Window] = set()
        self._nodes = 0

    def node(self, document: object, path: str, depth: int) -> Node | None:
        """The node at `path`, or None after noting its faults."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            if self._nodes == MAX_NODES + 1:
                self.faults.add(path, f"must not be there: a condition has at most {MAX_NODES} nodes")
            return None
        if depth > MAX_DEPTH:
            self.faults.add(path, f"must not be nested deeper than {MAX_DEPTH} levels")
            return None
        return self._shaped(document, path, depth)

    def _shaped(self, document: object, path: str, depth: int) -> Node | None:
        if not isinstance(document, dict):
            self.faults.add(path, "must be an object")
            return None
        branches = [key for key in _BRANCHES if key in document]
        if len(branches) + ("attribute" in document) != 1:
            self.faults.add(path, "must have exactly one of all, any, not and attribute")
            self._faults_of_each(document, branches, path, depth)
            return None
        self._unknown_keys(document, branches or list(_LEAF_KEYS), path)
        if not branches:
            return self._comparison(document, path)
        return self._branch(branches[0], document[branches[0]], f"{path}.{branches[0]}", depth)

    def _faults_of_each(
        self, document: dict[str, object], branches: list[str], path: str, depth: int
    ) -> None:
        """What is wrong inside a node that is several at once is told as well."""
        for name in branches:
            self._branch(name, document[name], f"{path}.{name}", depth)
        if "attribute" in document:
            self._comparison(document, path)

    def _unknown_keys(self, document: dict[object, object], known: list[str], path: str) -> None:
        for key in document:
            if key not in known:
                self.faults.add(f"{path}.{_shown(key)}", f"is unknown; here may be {', '.join(known)}")

    def _branch(self, name: str, document: object, path: str, depth: int) -> Node | None:
        if name == "not":
            part = self.node(document, path, depth + 1)
            return None if part is None else Not(part)
        if not isinstance(document, list):
            self.faults.add(path, "must be a list of conditions")
            return None
        if name == "any" and not document:
            self.faults.add(path, "must have at least one condition, else it is never true")
            return None
        parts = [self.node(part, f"{path}[{index}]", depth + 1) for index, part in enumerate(document)]
        good = tuple(part for part in parts if part is not None)
        return AllOf(good) if name == "all" else AnyOf(good)

    def _comparison(self, document: dict[str, object], path: str) -> Comparison | None:
        attribute = self._attribute(document["attribute"], f"{path}.attribute")
        operator = document.get("operator", _ABSENT)
        if not isinstance(operator, str) or operator not in OPERATORS:
            self.faults.add(f"{path}.operator", f"must be one of {' '.join(OPERATORS)}")
            if "value" not in document:
                self.faults.add(f"{path}.value", "is missing")
            return None
        fits = attribute is not None and self._fits(attribute, operator, path)
        typed = self._operand(attribute, operator, document.get("value", _ABSENT), f"{path}.value")
        if attribute is None or typed is None or not fits:
            return None
        return self._comparable(attribute, operator, typed, path)

    def _attribute(self, name: object, path: str) -> Attribute | None:
        try:
            attribute = parse_attribute(name)
        except ValueError as fault:
            self.faults.add(path, str(fault))
            return None
        if attribute.window is not None:
            self.aggregates.add(attribute.window)
        return attribute

    def _fits(self, attribute: Attribute, operator: str, path: str) -> bool:
        if attribute.kind is None or operator in OPERATORS_OF_KIND[attribute.kind]:
            return True
        usable = " ".join(name for name in OPERATORS if name in OPERATORS_OF_KIND[attribute.kind])
        self.faults.add(f"{path}.operator", f"does not fit a {attribute.kind}; use one of {usable}")
        return False

    def _operand(self, attribute: Attribute | None, operator: str, value: object, path: str) -> Typed | None:
        if value is _ABSENT:
            self.faults.add(path, "is missing")
            return None
        return OPERATORS[operator](value, attribute.kind if attribute else None, path, self.faults)

    def _comparable(self, attribute: Attribute, operator: str, typed: Typed, path: str) -> Comparison | None:
        kind, operand = typed
        if attribute.kind in (Kind.NUMBER, Kind.TEXT) and operator != "exists" and kind is not attribute.kind:
            self.faults.add(f"{path}.value", f"must be a {attribute.kind}, as {attribute.name} is")
            return None
        return _one_way(attribute, operator, kind, operand)


def _one_way(attribute: Attribute, operator: str, kind: Kind, operand: Operand) -> Comparison:
    """`in` over a list means `contains_any`: one meaning, one canonical spelling."""
    if attribute.kind is Kind.LIST and operator == "in":
        return Comparison(attribute, "contains_any", kind, operand)
    return Comparison(attribute, operator, kind, operand)
