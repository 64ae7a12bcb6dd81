"""Rows of profiles and events: how states are written, and read back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias
from uuid import UUID

import orjson

from server.platform.bulk_sql import TableWrite
from server.profiles.columns import KEYED, LISTS, SCALARS, paths_of
from server.profiles.merge import (
    ABSENT,
    ADDRESSES,
    ATTRIBUTES,
    POSITION,
    ProfileState,
    decode_times,
    encode_times,
    first_state,
)
from server.profiles.model import CheckedPatch, StoredProfile

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_DOCUMENTS: Final = (*LISTS, "portfolio_snapshot", ATTRIBUTES, ADDRESSES)
_EMPTY_DOCUMENTS: Final = tuple((name, b"[]" if name in LISTS else b"{}") for name in _DOCUMENTS)
_NOTHING: Final[tuple[object, ...]] = (None, [], {})
_PLAIN: Final = (*SCALARS, "latitude", "longitude")
# What PostgreSQL converts on writing, so that values travel in the driver's quickest forms.
_TYPES: Final = {"portfolio_risk_score": "double precision"}

PROFILES: Final = TableWrite(
    table="cdp_profiles",
    columns=(
        *("tenant_id", "profile_id", *SCALARS, "latitude", "longitude"),
        *(*_DOCUMENTS, "field_times", "source_updated_at"),
    ),
    types=(
        *("uuid", "text", *(_TYPES.get(name, "text") for name in SCALARS)),
        *("double precision", "double precision"),
        *("jsonb" for _ in _DOCUMENTS),
        *("jsonb", "timestamptz"),
    ),
    key=("tenant_id", "profile_id"),
)

ProfileRow: TypeAlias = tuple[Any, ...]

EventRow: TypeAlias = tuple[
    UUID, str, str, str, str, str | None, str | None, int | None, bytes | str, datetime
]

EVENTS: Final = TableWrite(
    table="behavioral_events",
    columns=(
        *(
            "tenant_id",
            "event_key",
            "profile_id",
            "source_event_id",
            "event_type",
            "entity_type",
            "entity_id",
        ),
        *("sentiment_val", "attributes", "occurred_at"),
    ),
    types=(
        *("uuid", "text", "text", "text", "text", "text", "text"),
        *("integer", "jsonb", "timestamptz"),
    ),
    key=("tenant_id", "occurred_at", "event_key"),
)


def first_row(tenant_id: UUID, patch: CheckedPatch) -> ProfileRow:
    """The row of a profile of which nothing is known but one patch.

    Its columns as they are, and times of their own only for what it empties: the same as merging the patch into
    nothing, for a third of the time. What is rare is merged.
    """
    columns = patch.columns
    given = columns.get
    if patch.replaces_attributes or not all((given(ADDRESSES) or {}).values()):
        return profile_row(tenant_id, patch.profile_id, first_state(patch.fields))
    emptied = () if all(columns.values()) else [name for name in columns if columns[name] in _NOTHING]
    if "latitude" in emptied:
        return profile_row(tenant_id, patch.profile_id, first_state(patch.fields))
    times = {} if patch.at is None else {name: patch.at for name in emptied if name not in KEYED}
    return (
        tenant_id,
        patch.profile_id,
        *[given(name) for name in SCALARS],
        given("latitude"),
        given("longitude"),
        *[orjson.dumps(columns[name]) if name in columns else empty for name, empty in _EMPTY_DOCUMENTS],
        orjson.dumps(times) if times else b"{}",
        None if patch.at is None else _EPOCH + timedelta(0, 0, patch.at),
    )


def profile_row(tenant_id: UUID, profile_id: str, state: ProfileState) -> ProfileRow:
    """The row of a new profile, in the order of `PROFILES`."""
    values = state.values
    latitude, longitude = values.get(POSITION, (None, None))
    times = encode_times(state)
    documents: dict[str, dict[str, Any]] = {ATTRIBUTES: {}, ADDRESSES: {}}
    for path, value in values.items():
        column, dot, key = path.partition(".")
        if dot:
            documents[column][key] = value
    return (
        tenant_id,
        profile_id,
        *[values.get(name) for name in SCALARS],
        latitude,
        longitude,
        *[orjson.dumps(values[name]) if name in values else b"[]" for name in LISTS],
        orjson.dumps(values.get("portfolio_snapshot", {})),
        orjson.dumps(documents[ATTRIBUTES]),
        orjson.dumps(documents[ADDRESSES]),
        orjson.dumps(times) if times else b"{}",
        None if state.newest is None else _EPOCH + state.newest * _MICROSECOND,
    )


def stored_profile(row: Mapping[str, Any]) -> StoredProfile:
    """A profile as `lock_profiles` returns it."""
    columns = {name: row[name] for name in _PLAIN}
    columns |= {name: orjson.loads(row[name]) for name in _DOCUMENTS}
    values = {path: value for path, value in paths_of(columns).items() if value is not ABSENT}
    newest = row["newest"]
    times = decode_times(values, orjson.loads(row["field_times"]), newest)
    return StoredProfile(row["profile_id"], row["erased"], ProfileState(values, times, newest))
