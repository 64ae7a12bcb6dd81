"""ImportProfiles: parts are committed one by one, and a break loses and doubles nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from leo.activation.v1 import profile_service_pb2 as wire
from leo_client import LeoApiError

from server.config import ServerSettings
from server.embedded.database_setup import DatabaseUrls
from server.platform.clock import utc_now
from server.platform.credential_keys import NO_KEYS
from server.platform.postgres import CommitOutcomeUnknown
from server.profiles.erasure_store import ErasureStore
from server.profiles.messages import to_patch
from server.profiles.model import Outcome, ProfilePatch
from server.profiles.service import ProfileService
from server.profiles.store import ProfileStore
from server.profiles.suppression import SuppressionList
from tests.decisions.processes import serving
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor
from tests.profiles.conftest import NobodyListens, Profiles, database_through_proxy

SCOPES = ("profiles.read", "profiles.write")


def people(first: int, count: int) -> list[dict[str, Any]]:
    """Patches of so many customers."""
    return [
        {"profile_id": f"p{number:05d}", "ext_id": f"e{number}", "source_updated_at": Timestamp(seconds=1_700_000_000),
         "consents": [{"channel": "email", "status": wire.CONSENT_STATUS_GRANTED, "legal_basis": "consent",
                       "source": "import"}]}
        for number in range(first, first + count)
    ]  # fmt: skip


async def test_parts_are_answered_in_order_with_what_became_of_them(profiles: Profiles) -> None:
    bad = {"profile_id": "bad", "primary_email": "nobody"}
    answers = await profiles.importing([[*people(0, 300), bad], people(200, 200), []])
    assert [answer.sequence for answer in answers] == [1, 2, 3]
    assert [(each.created, each.updated, each.unchanged) for each in answers] == [
        (300, 0, 0),
        (100, 0, 100),
        (0, 0, 0),
    ]
    assert [(each.index, each.faults[0].field) for each in answers[0].refused] == [
        (300, "profiles[300].primary_email")
    ]
    assert len((await profiles.get("p00299")).consents) == 1


async def test_patches_of_one_customer_in_one_part_are_merged_in_their_order(profiles: Profiles) -> None:
    patches = [{"profile_id": "c1", "language": "vi"}, {"profile_id": "c1", "language": "en"},
               {"profile_id": "c1", "ext_id": "e1"}]  # fmt: skip
    (answer,) = await profiles.importing([patches])
    assert (answer.created, answer.updated) == (1, 2)
    stored = (await profiles.get("c1")).profile
    assert (stored.language, stored.ext_id) == ("en", "e1")


async def test_a_sequence_only_grows(profiles: Profiles) -> None:
    for sequences in ((2, 2), (0,)):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await profiles.importing([[] for _ in sequences], sequences=sequences)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_tenants_import_beside_each_other(
    profiles: Profiles, other_profiles: Profiles, proof: asyncpg.Connection[Any]
) -> None:
    await asyncio.gather(profiles.importing([people(0, 250)]), other_profiles.importing([people(0, 250)]))
    assert await proof.fetchval("select count(*) from cdp_profiles") == 500
    assert await proof.fetchval("select count(distinct tenant_id) from cdp_profiles") == 2


async def test_a_server_killed_between_parts_loses_and_doubles_nothing(
    settings: ServerSettings, token_for: TokenFor, tenant_a: Tenant, proof: asyncpg.Connection[Any]
) -> None:
    token = token_for(tenant_a, SCOPES)
    parts = [people(number * 50, 50) for number in range(6)]
    answered: list[int] = []
    async with serving(settings, token) as server:
        with pytest.raises(LeoApiError):
            async for answer in server.client.profiles.ImportProfiles(requests(parts, first=1)):
                answered.append(answer.sequence)
                if answer.sequence == 2:
                    server.process.kill()
    assert answered[:2] == [1, 2]
    async with serving(settings, token) as server:
        rest = requests(parts[len(answered) :], first=len(answered) + 1)
        answered += [answer.sequence async for answer in server.client.profiles.ImportProfiles(rest)]
    assert answered == [1, 2, 3, 4, 5, 6]
    assert await proof.fetchval("select count(*) from cdp_profiles") == 300
    assert await proof.fetchval("select count(*) from consent_management") == 300


async def test_a_part_whose_commit_has_no_answer_is_sent_again(
    database: DatabaseUrls, tenant_a: Tenant, proof: asyncpg.Connection[Any]
) -> None:
    def patches(first: int) -> list[ProfilePatch]:
        return [to_patch(wire.ProfilePatch(**patch)) for patch in people(first, 10)]

    async with database_through_proxy(database.app_url) as (pool, proxy):
        service = ProfileService(
            database=pool,
            store=ProfileStore(),
            suppression=SuppressionList(keys=NO_KEYS, store=ErasureStore()),
            clock=utc_now,
            changes=NobodyListens(),
        )
        await service.import_profiles(tenant_a, patches(0), region="")
        proxy.armed = True
        with pytest.raises(CommitOutcomeUnknown):
            await service.import_profiles(tenant_a, patches(10), region="")
        again = await service.import_profiles(tenant_a, patches(10), region="")
        assert {result.outcome for result in again} <= {Outcome.CREATED, Outcome.UNCHANGED}
    assert proxy.cuts == 1
    assert await proof.fetchval("select count(*) from cdp_profiles") == 20
    assert await proof.fetchval("select count(*) from consent_management") == 20


async def requests(
    parts: list[list[dict[str, Any]]], *, first: int
) -> AsyncIterator[wire.ImportProfilesRequest]:
    """A message for each part."""
    for sequence, patches in enumerate(parts, start=first):
        yield wire.ImportProfilesRequest(
            sequence=sequence, profiles=[wire.ProfilePatch(**patch) for patch in patches]
        )
