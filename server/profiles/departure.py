"""What it means that the source of a profile has deleted it, or has it again. Pure.

The profile stays: what it says is still true of the past, and only an erasure removes it. It is marked with the time
of the deletion, and its consents end, so that nobody is written to who left. A source that has it again takes the mark
off; consents have to be given anew.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from server.profiles.merge import ABSENT, ATTRIBUTES, FieldPatch, ProfileState
from server.profiles.model import CheckedPatch

DELETED_AT_SOURCE: Final = "deleted_at_source"
"""The raw attribute that says since when the source has it no more, ISO 8601 in UTC."""

_MARK: Final = f"{ATTRIBUTES}.{DELETED_AT_SOURCE}"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def departed_at(patch: CheckedPatch, now: datetime) -> datetime:
    """When the source deleted it: its own time, or the present where it tells none."""
    at = patch.at
    return now if at is None else _EPOCH + timedelta(microseconds=at)


def with_mark(patch: CheckedPatch, state: ProfileState, now: datetime) -> FieldPatch:
    """What the patch says of fields, and of the mark, where that has to change."""
    fields = patch.fields
    if patch.presence is None:
        return fields
    is_marked = _MARK in state.values
    if patch.presence.gone == is_marked:
        return fields
    mark = departed_at(patch, now).isoformat() if patch.presence.gone else ABSENT
    return fields._replace(values={**fields.values, _MARK: mark})
