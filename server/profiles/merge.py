"""One profile out of patches that arrive in any order: of each field the value of the newest source time. Pure.

A field is named by its path: a column, or `raw_attributes.<key>` and `channel_addresses.<channel>`, which have a time
each. `position` is latitude and longitude together. Of two values of one time the greater counts, by its JSON text,
and any value counts more than none: so merging is the same in every order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Final, NamedTuple, TypeAlias

from server.platform.ids import canonical_json

ATTRIBUTES: Final = "raw_attributes"
ADDRESSES: Final = "channel_addresses"
POSITION: Final = "position"
_ATTRIBUTE: Final = f"{ATTRIBUTES}."
_MOST: Final = ""

Times: TypeAlias = Mapping[str, int | None]


class Absent(Enum):
    """The value of a field that has none."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT


class FieldPatch(NamedTuple):
    """What a source says of one profile.

    Args:
        values: by path; ABSENT empties the field.
        at: microseconds since 1970 at which the source knew this; None for a patch without a time, which applies
            always and leaves times as they are.
        replaces_attributes: whether keys of raw_attributes that are not named are removed.
    """

    values: Mapping[str, Any]
    at: int | None = None
    replaces_attributes: bool = False


class ProfileState(NamedTuple):
    """A profile's fields and their times.

    Args:
        values: by path; fields without a value are not there.
        times: of every field with a value, None where no source told one; of emptied fields; and, at "raw_attributes",
            of the last replacement of all attributes.
        newest: the newest time of any patch.
    """

    values: Mapping[str, Any]
    times: Times
    newest: int | None = None


EMPTY: Final = ProfileState({}, {})


class Merged(NamedTuple):
    """What became of a state.

    Args:
        changed: columns whose value is another one now.
        retimed: whether a time changed.
        lost: whether something differed from the state and was older.
    """

    state: ProfileState
    changed: frozenset[str]
    retimed: bool
    lost: bool


def first_state(patch: FieldPatch) -> ProfileState:
    """The state of a profile of which nothing was known: the same as merging into EMPTY, for a tenth of the time."""
    values = {path: value for path, value in patch.values.items() if value is not ABSENT}
    told = values if patch.at is None else patch.values
    times: dict[str, int | None] = dict.fromkeys(told, patch.at)
    if patch.replaces_attributes and patch.at is not None:
        times[ATTRIBUTES] = patch.at
    return ProfileState(values, times, patch.at)


def merge(state: ProfileState, patch: FieldPatch) -> Merged:
    """The state once the patch is merged into it."""
    merging = _Merging(state, patch.at)
    for path, value in _named(state, patch):
        merging.take(path, value)
    if patch.replaces_attributes:
        merging.raise_floor()
    return merging.result()


class _Merging:
    """A state that takes in what one patch says, field by field."""

    def __init__(self, state: ProfileState, at: int | None) -> None:
        self._before = state
        self._at = at
        self._values = dict(state.values)
        self._times = dict(state.times)
        self._floor = state.times.get(ATTRIBUTES)
        self._changed: set[str] = set()
        self._lost = False

    def take(self, path: str, value: object) -> None:
        """Take a value where it counts more than the stored one."""
        stored = self._values.get(path, ABSENT)
        known = self._times.get(path, self._floor if path.startswith(_ATTRIBUTE) else None)
        alike = same(value, stored)
        if not _wins(value, self._at, stored, known, alike):
            self._lost = self._lost or not alike
            return
        if not alike:
            self._changed.add(column_of(path))
        self._set(path, value, known if self._at is None else self._at)

    def raise_floor(self) -> None:
        """From now on an older attribute is refused without a time of its own."""
        if self._at is None:
            return
        floor = self._times[ATTRIBUTES] = max(self._at, self._floor or self._at)
        for path in [path for path in self._times if path.startswith(_ATTRIBUTE)]:
            if path not in self._values and (self._times[path] or floor) <= floor:
                del self._times[path]

    def result(self) -> Merged:
        """What became of the state."""
        newest = max((at for at in (self._before.newest, self._at) if at is not None), default=None)
        retimed = self._times != self._before.times or newest != self._before.newest
        state = ProfileState(self._values, self._times, newest)
        return Merged(state, frozenset(self._changed), retimed, self._lost)

    def _set(self, path: str, value: object, at: int | None) -> None:
        """A field without a value has a time only where a source told when it was emptied."""
        if value is not ABSENT:
            self._values[path], self._times[path] = value, at
            return
        self._values.pop(path, None)
        if at is None:
            self._times.pop(path, None)
        else:
            self._times[path] = at


def same(one: object, other: object) -> bool:
    """Whether two JSON values are equal; true is not 1, and 1 is 1.0."""
    if one is other:
        return True
    if isinstance(one, bool) or isinstance(other, bool):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def column_of(path: str) -> str:
    """The column that a path belongs to."""
    return path.partition(".")[0]


def decode_times(values: Mapping[str, Any], stored: Times, newest: int | None) -> dict[str, int | None]:
    """The times of a state from those that are stored (see `encode_times`)."""
    most = stored.get(_MOST, newest)
    times: dict[str, int | None] = dict.fromkeys(values, most)
    times.update((path, at) for path, at in stored.items() if path != _MOST)
    return times


def encode_times(state: ProfileState) -> dict[str, int | None]:
    """What is stored: times other than that of most fields, and that one, at "", where it is not the newest.

    A profile whose fields all come from one patch has none.
    """
    if len(state.times) == len(state.values) and set(state.times.values()) == {state.newest}:
        return {}
    counts = Counter(state.times[path] for path in state.values)
    most = max(counts, key=lambda at: (counts[at], at is not None, at or 0)) if counts else state.newest
    stored: dict[str, int | None] = {} if most == state.newest else {_MOST: most}
    for path, at in state.times.items():
        if at != most if path in state.values else at is not None:
            stored[path] = at
    return stored


def _named(state: ProfileState, patch: FieldPatch) -> Iterator[tuple[str, Any]]:
    """What the patch says, also of attributes that a replacement leaves out."""
    yield from patch.values.items()
    if patch.replaces_attributes:
        for path in state.values:
            if path.startswith(_ATTRIBUTE) and path not in patch.values:
                yield path, ABSENT


def _wins(value: object, at: int | None, stored: object, known: int | None, alike: bool) -> bool:
    if at is None or known is None or at > known:
        return True
    return at == known and not alike and _is_greater(value, stored)


def _is_greater(value: object, stored: object) -> bool:
    if value is ABSENT or stored is ABSENT:
        return stored is ABSENT
    return canonical_json(value) > canonical_json(stored)
