"""What sources say of a customer gives the same profile in whatever order it arrives, over the real database."""

from __future__ import annotations

from itertools import count
from typing import Any

import orjson
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from leo.activation.v1 import profile_service_pb2 as wire

from tests.profiles.conftest import Profiles

_NUMBERS = count()
_LISTS = st.lists(st.sampled_from(["a", "b"]), unique=True).map(lambda texts: {"values": texts})
_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "primary_email": st.sampled_from(["a@example.com", "b@example.com"]),
    "living_location": st.sampled_from(["Huế", "Hà Nội"]),
    "segments": _LISTS,
    "interests": _LISTS,
    "portfolio_risk_score": st.sampled_from([0.25, 0.5]),
    "portfolio_snapshot": st.sampled_from([b'{"cash": 1}', b"{}"]),
    "raw_attributes": st.dictionaries(
        st.sampled_from("xyz"), st.sampled_from([1, True, None, "1"]), max_size=2
    ).map(orjson.dumps),
    "replace_raw_attributes": st.booleans(),
    "channel_addresses": st.dictionaries(
        st.sampled_from(["push", "telegram"]), st.sampled_from([{}, {"addresses": ["1"]}, {"addresses": ["2"]}])
    ),
    "clear_fields": st.lists(st.sampled_from(["language", "mobile_number"]), unique=True),
    "consents": st.lists(
        st.builds(
            lambda status, basis, at: {
                "channel": "email",
                "status": status,
                "legal_basis": basis,
                "source": "form",
                "stated_at": Timestamp(seconds=1_700_000_000 + at),
            },
            st.sampled_from([wire.CONSENT_STATUS_GRANTED, wire.CONSENT_STATUS_WITHDRAWN]),
            st.sampled_from(["consent", "contract"]),
            st.integers(0, 3),
        ),
        max_size=1,
    ),
}  # fmt: skip
_PATCHES = st.builds(
    lambda at, fields: {"source_updated_at": Timestamp(seconds=1_700_000_000 + at), **fields},
    st.integers(0, 3),
    st.fixed_dictionaries({}, optional=_FIELDS),
)
_ORDERS = st.lists(_PATCHES, min_size=2, max_size=5).flatmap(
    lambda patches: st.tuples(st.just(patches), st.permutations(patches))
)


async def stored(profiles: Profiles, profile_id: str) -> tuple[Any, ...]:
    """What is known in the end, but when it was written, and when a consent was first granted."""
    answer = await profiles.get(profile_id)
    for field in ("created_at", "updated_at"):
        answer.profile.ClearField(field)
    consents = [
        (each.channel, each.status, each.legal_basis, each.stated_at.seconds) for each in answer.consents
    ]
    return answer.profile, consents


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(orders=_ORDERS)
async def test_the_order_of_arrival_does_not_matter(
    profiles: Profiles, other_profiles: Profiles, orders: tuple[list[dict[str, Any]], list[dict[str, Any]]]
) -> None:
    profile_id = f"c{next(_NUMBERS)}"
    one, other = ([{"profile_id": profile_id, **patch} for patch in order] for order in orders)
    for patch in one:
        await profiles.upsert(patch)
    await other_profiles.importing([other[:2], other[2:]])
    first = await stored(profiles, profile_id)
    assert await stored(other_profiles, profile_id) == first
    again = await profiles.upsert(one[0])
    assert again[0] in (wire.PROFILE_WRITE_OUTCOME_UNCHANGED, wire.PROFILE_WRITE_OUTCOME_STALE)
    assert await stored(profiles, profile_id) == first
