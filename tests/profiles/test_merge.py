"""Merging, without a database: what the property over a real one would take long to meet."""

from __future__ import annotations

from itertools import permutations
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.platform.ids import canonical_json
from server.profiles.merge import (
    ABSENT,
    EMPTY,
    FieldPatch,
    ProfileState,
    decode_times,
    encode_times,
    first_state,
    merge,
    same,
)
from server.profiles.model import CheckedPatch
from server.profiles.rows import PROFILES, first_row, profile_row

_TENANT = UUID(int=7)
_VALUES = st.sampled_from([ABSENT, "x", "y", 1, 1.0, True, [1], {"a": 1}])
_KEYS = st.sampled_from(["raw_attributes.a", "raw_attributes.b", "raw_attributes.c"])
_FIELDS = st.sampled_from(["primary_email", "segments", "position", "channel_addresses.push"])
_PATCHES = st.builds(
    FieldPatch,
    st.builds(
        lambda fields, keys: fields | keys,
        st.dictionaries(_FIELDS, _VALUES, max_size=3),
        st.dictionaries(_KEYS, st.sampled_from(["x", None, 2]), max_size=2),
    ),
    st.integers(1, 4),
    st.booleans(),
)


def merged(*patches: FieldPatch) -> ProfileState:
    """The state after these patches, stored and read back after each."""
    state = EMPTY
    for patch in patches:
        state = merge(state, patch).state
        state = ProfileState(
            state.values, decode_times(state.values, encode_times(state), state.newest), state.newest
        )
    return state


def told(state: ProfileState) -> dict[str, str]:
    return {path: repr(value).replace("1.0", "1") for path, value in state.values.items()}


@settings(max_examples=300, deadline=None)
@given(patches=st.lists(_PATCHES, min_size=2, max_size=4))
def test_every_order_gives_the_same_profile(patches: list[FieldPatch]) -> None:
    first = merged(*patches)
    for order in permutations(patches):
        assert told(merged(*order)) == told(first)
    again = merge(first, patches[0])
    assert (again.changed, again.retimed) == (frozenset(), False)


@settings(max_examples=200, deadline=None)
@given(patch=_PATCHES, timed=st.booleans())
def test_a_first_patch_is_as_if_merged_into_nothing(patch: FieldPatch, timed: bool) -> None:
    given_patch = patch if timed else FieldPatch(patch.values, None, patch.replaces_attributes)
    one, other = first_state(given_patch), merge(EMPTY, given_patch).state
    assert (told(one), encode_times(one), one.newest) == (told(other), encode_times(other), other.newest)


_TEXTS = st.sampled_from([[], ["x"], ["y", "x"]])
_DOCUMENTS: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.sampled_from("ab"), st.sampled_from([None, 0, "x", {}])
)
_COLUMNS = st.builds(
    lambda some, position: some | position,
    st.fixed_dictionaries(
        {},
        optional={
            "ext_id": st.sampled_from([None, "e"]),
            "portfolio_risk_score": st.sampled_from([None, 0.0, 0.5]),
            "identities": _TEXTS,
            "segments": _TEXTS,
            "portfolio_snapshot": _DOCUMENTS,
            "raw_attributes": _DOCUMENTS,
            "channel_addresses": st.dictionaries(st.sampled_from(["push"]), st.sampled_from([None, ["x"]])),
        },
    ),
    st.sampled_from([{}, *({"latitude": each, "longitude": each} for each in (None, 0.0, 1.5))]),
)


@settings(max_examples=500, deadline=None)
@given(columns=_COLUMNS, at=st.sampled_from([None, 0, 7]), replaces=st.booleans())
def test_the_first_row_is_that_of_the_merged_patch(
    columns: dict[str, Any], at: int | None, replaces: bool
) -> None:
    patch = CheckedPatch(0, "p", columns, at, replaces and "raw_attributes" in columns)
    rows = first_row(_TENANT, patch), profile_row(_TENANT, "p", first_state(patch.fields))
    quick, merged_row = (_readable(row) for row in rows)
    assert quick == merged_row


def _readable(row: tuple[Any, ...]) -> dict[str, Any]:
    return {
        name: canonical_json(orjson.loads(value)) if kind == "jsonb" else value
        for name, kind, value in zip(PROFILES.columns, PROFILES.types, row, strict=True)
    }


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [(1, 1.0, True), (True, 1, False), (None, False, False), ([1, {"a": 2}], [1.0, {"a": 2}], True),
     ({"a": True}, {"a": 1}, False), ("1", 1, False), ([1], [1, 2], False)],
)  # fmt: skip
def test_values_are_compared_as_json(one: Any, other: Any, equal: bool) -> None:
    assert same(one, other) is equal


def test_times_that_all_fields_share_take_no_room() -> None:
    whole = FieldPatch({"primary_email": "a", "segments": ["x"], "raw_attributes.age": 4}, 10)
    assert encode_times(merged(whole)) == {}
    part = FieldPatch({"segments": ["y"]}, 20)
    assert encode_times(merged(whole, part)) == {"": 10, "segments": 20}
    assert encode_times(merged(whole, part, FieldPatch(whole.values, 30))) == {}


def test_a_replacement_of_attributes_outlives_what_is_older_than_it() -> None:
    replacing = FieldPatch({"raw_attributes.b": 1}, 10, replaces_attributes=True)
    late = FieldPatch({"raw_attributes.a": 1, "raw_attributes.c": 2}, 5)
    later = FieldPatch({"raw_attributes.a": 3}, 15)
    for order in permutations((replacing, late, later)):
        assert merged(*order).values == {"raw_attributes.b": 1, "raw_attributes.a": 3}


def test_a_patch_without_a_time_applies_and_lets_any_source_correct_it() -> None:
    timed = FieldPatch({"language": "vi"}, 10)
    by_hand = FieldPatch({"language": "en", "time_zone": "Asia/Tokyo"})
    assert merged(timed, by_hand).values["language"] == "en"
    assert merged(timed, by_hand, FieldPatch({"language": "de"}, 9)).values["language"] == "en"
    assert (
        merged(timed, by_hand, FieldPatch({"time_zone": "Asia/Seoul"}, 1)).values["time_zone"] == "Asia/Seoul"
    )
    assert merge(EMPTY, FieldPatch({"language": ABSENT})).retimed is False
