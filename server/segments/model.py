"""Definitions of segments, and how membership in all of them is asked in one expression. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from server.conditions import Condition, SqlFragment, compile_sql, parse
from server.errors import InvalidInput

ENTERED: Final = "segment.entered"
LEFT: Final = "segment.left"
FIRST_PARAMETER: Final = 7
"""Number of the first parameter of a judgement; those before it are the query's own."""

_OF_AN_EVENT: Final = "event."
# Both coordinates are written together, as a position.
_PLACE: Final = frozenset({"location", "latitude", "longitude", "position"})


@dataclass(frozen=True, slots=True)
class Segment:
    """A named condition in force.

    Args:
        version: hash of the condition.
    """

    name: str
    version: str
    condition: Condition

    def reads(self, attributes: Collection[str], event_types: Collection[str]) -> bool:
        """Whether its condition reads one of these columns or attributes, or counts events of one of these types.

        Args:
            attributes: columns of the profile, and `raw_attributes.<first key>` for those inside it.
        """
        for leaf in self.condition.comparisons():
            attribute = leaf.attribute
            if attribute.window is not None:
                if attribute.window.event_type in event_types:
                    return True
            elif attribute.column == "raw_attributes":
                if f"raw_attributes.{attribute.path[0]}" in attributes:
                    return True
            elif attribute.column in _PLACE:
                if not _PLACE.isdisjoint(attributes):
                    return True
            elif attribute.column in attributes:
                return True
        return False


@dataclass(frozen=True, slots=True)
class Changed:
    """What is new about profiles.

    Args:
        attributes: columns that were written, `raw_attributes.<first key>` for those inside that.
        event_types: types of events that came in.
        new: whether profiles are new: then every segment may hold for them.
    """

    attributes: Collection[str] = frozenset()
    event_types: Collection[str] = frozenset()
    new: bool = False

    def concerns(self, segments: Iterable[Segment]) -> bool:
        """Whether one of these segments may be another one now."""
        return any(self.new or segment.reads(self.attributes, self.event_types) for segment in segments)

    @classmethod
    def united(cls, changes: Iterable[Changed]) -> Changed:
        """All of them together."""
        every = list(changes)
        return cls(
            frozenset(name for each in every for name in each.attributes),
            frozenset(name for each in every for name in each.event_types),
            any(each.new for each in every),
        )


class Definition(NamedTuple):
    """A stored definition; `condition` is JSON."""

    name: str
    version: str
    condition: bytes


class Judged(NamedTuple):
    """What became of a batch of profiles.

    Args:
        last_profile_id: the last one of them; None where there was none.
        changed: how many are in other segments than before.
        entered: how often a profile entered a segment.
        left: how often one left.
        asked: how many decisions were asked for.
    """

    last_profile_id: str | None
    changed: int
    entered: int
    left: int
    asked: int


def segments_of(definitions: Iterable[Definition]) -> tuple[Segment, ...]:
    """The segments that can be evaluated without an event, in the order of their names."""
    segments = []
    for definition in definitions:
        try:
            condition = parse(definition.condition)
        except InvalidInput:
            continue
        if not any(name.startswith(_OF_AN_EVENT) for name in condition.attributes):
            segments.append(Segment(definition.name, definition.version, condition))
    return tuple(sorted(segments, key=lambda segment: segment.name))


def judgement(
    segments: Sequence[Segment], *, at: datetime, asked: Collection[str] | None = None
) -> SqlFragment:
    """The names of the segments that a row of `cdp_profiles p` is in, as a jsonb array in their order.

    Args:
        at: the instant that windows end before and ages count from.
        asked: names of those whose condition is asked; the others stay as they are. None: all.
    """
    parts: list[str] = []
    values: list[object] = []
    for segment in segments:
        values.append(segment.name)
        name = f"${FIRST_PARAMETER + len(values) - 1}::text"
        if asked is None or segment.name in asked:
            first = FIRST_PARAMETER + len(values)
            fragment = compile_sql(segment.condition, at=at, first_parameter=first)
            values.extend(fragment.parameters)
            holds = fragment.text
        else:
            holds = f"p.evaluated_segments ? {name}"
        parts.append(f"CASE WHEN {holds} THEN {name} END")
    return SqlFragment(f"to_jsonb(array_remove(ARRAY[{', '.join(parts)}]::text[], NULL))", tuple(values))


def versions_of(segments: Sequence[Segment]) -> dict[str, str]:
    """Version by name."""
    return {segment.name: segment.version for segment in segments}
