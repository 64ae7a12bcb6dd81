"""Variables that a template needs: how they are named, and whether something holds them. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

Part: TypeAlias = str | int | None
"""A key of an object, a place in a list, or None for every item of a list."""

VariablePath: TypeAlias = tuple[Part, ...]
"""From the outermost name inwards: `("event", "items", None, "price")`."""

_PLAIN: Final = re.compile(r"[^\W\d]\w*")


def name_of(path: VariablePath) -> str:
    """As it is written in a template, each path differently: `event.items[].price`."""
    head, *rest = path
    return f"{head}{''.join(map(_written, rest))}"


def _written(part: Part) -> str:
    if part is None:
        return "[]"
    if isinstance(part, str) and _PLAIN.fullmatch(part):
        return f".{part}"
    return f"[{part!r}]"


def holds(value: Any, path: Sequence[Part]) -> bool:
    """Whether a value is there at the end of the path. What is null is not."""
    for place, part in enumerate(path):
        if part is None:
            rest = path[place + 1 :]
            return isinstance(value, (list, tuple, str, Mapping)) and all(holds(item, rest) for item in value)
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(part, int) and isinstance(value, (list, tuple, str)):
            value = value[part] if -len(value) <= part < len(value) else None
        else:
            return False
    return value is not None


def without_nulls(value: Any) -> Any:
    """The value without the keys of its objects that hold null: templates see what is null as missing."""
    if isinstance(value, dict):
        return {name: without_nulls(held) for name, held in value.items() if held is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


class Scope:
    """What the names of a template stand for while it is read from its beginning.

    A name that was set to a variable stands for it; one that holds anything else is none of the variables.
    """

    def __init__(self) -> None:
        self._names: dict[str, VariablePath | None] = {}

    def set(self, name: str, path: VariablePath | None) -> None:
        """From here on the name stands for this; None for what no variable tells."""
        self._names[name] = path if path is None else self.resolve(path)

    def resolve(self, path: VariablePath) -> VariablePath | None:
        """The variable itself; None where it is none."""
        head = path[0]
        if not isinstance(head, str) or head not in self._names:
            return path
        known = self._names[head]
        return None if known is None else (*known, *path[1:])

    def copy(self) -> Scope:
        """A scope of its own that knows the same names."""
        copied = Scope()
        copied._names = dict(self._names)
        return copied

    def merge(self, *others: Scope) -> None:
        """Forget what the ways that lead here disagree about."""
        for name in {name for scope in (self, *others) for name in scope._names}:
            found = {scope._names.get(name, (name,)) for scope in (self, *others)}
            self._names[name] = found.pop() if len(found) == 1 else None
