"""SetConsents through the real server."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from leo.activation.v1 import profile_service_pb2 as wire

from tests.profiles.conftest import CREATED, REFUSED, UNCHANGED, UPDATED, Profiles

GRANTED = wire.CONSENT_STATUS_GRANTED
WITHDRAWN = wire.CONSENT_STATUS_WITHDRAWN


def consent(profile_id: str = "c1", channel: str = "email", **fields: Any) -> dict[str, Any]:
    return {"profile_id": profile_id, "channel": channel, "status": GRANTED, "legal_basis": "consent",
            "source": "form", **fields}  # fmt: skip


async def outcomes(profiles: Profiles, *consents: dict[str, Any]) -> list[int]:
    return [result.outcome for result in await profiles.consent(*consents)]


async def test_the_last_word_counts_and_times_tell_when(profiles: Profiles) -> None:
    await profiles.upsert({"profile_id": "c1"})
    assert await outcomes(profiles, consent()) == [CREATED]
    assert await outcomes(profiles, consent()) == [UNCHANGED]
    granted = (await profiles.get()).consents[0]
    assert granted.HasField("granted_at")
    assert not granted.HasField("withdrawn_at")
    assert await outcomes(profiles, consent(expires_at=Timestamp(seconds=2_000_000_000))) == [UPDATED]
    extended = (await profiles.get()).consents[0]
    assert (extended.granted_at, extended.expires_at.seconds) == (granted.granted_at, 2_000_000_000)
    assert await outcomes(profiles, consent(status=WITHDRAWN)) == [UPDATED]
    withdrawn = (await profiles.get()).consents[0]
    assert (withdrawn.status, withdrawn.granted_at) == (WITHDRAWN, granted.granted_at)
    assert withdrawn.HasField("withdrawn_at")
    assert await outcomes(profiles, consent()) == [UPDATED]
    again = (await profiles.get()).consents[0]
    assert not again.HasField("withdrawn_at")
    assert again.granted_at.ToNanoseconds() > granted.granted_at.ToNanoseconds()


BAD: list[tuple[str, dict[str, Any]]] = [
    (".profile_id", consent("nobody")),
    (".profile_id", consent("")),
    (".profile_id", consent("a\x00")),
    (".channel", consent(channel="Email")),
    (".status", consent(status=0)),
    (".status", consent(status=9)),
    (".legal_basis", consent(legal_basis="")),
    (".source", consent(source="x" * 201)),
    (".expires_at", consent(expires_at=Timestamp(seconds=0))),
    (".expires_at", consent(status=WITHDRAWN, expires_at=Timestamp(seconds=2_000_000_000))),
]


async def test_bad_items_fail_alone_and_name_their_field(profiles: Profiles) -> None:
    await profiles.upsert({"profile_id": "c1"})
    results = await profiles.consent(*(item for _, item in BAD), consent(), consent())
    for place, (field, item) in enumerate(BAD):
        assert results[place].outcome == REFUSED, item
        assert f"consents[{place}]{field}" in [fault.field for fault in results[place].faults], item
    assert [result.outcome for result in results[-2:]] == [CREATED, REFUSED]
    assert len((await profiles.get()).consents) == 1


async def test_another_tenants_profile_can_not_be_named(profiles: Profiles, other_profiles: Profiles) -> None:
    await profiles.upsert({"profile_id": "c1"})
    await profiles.consent(consent())
    assert await outcomes(other_profiles, consent()) == [REFUSED]
    await other_profiles.upsert({"profile_id": "c1"})
    assert await outcomes(other_profiles, consent(status=WITHDRAWN)) == [CREATED]
    assert (await profiles.get()).consents[0].status == GRANTED


async def test_a_batch_that_is_none_is_refused(profiles: Profiles) -> None:
    for batch in ((), (consent(),) * 1001):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await profiles.consent(*batch)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
