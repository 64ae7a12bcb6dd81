"""Which profile a patch is written to, when it names it by its id, an external id, or identities."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from server.platform.ids import key_id
from tests.fixtures.tenants import Tenant
from tests.profiles.conftest import CREATED, REFUSED, UNCHANGED, UPDATED, Profiles


def named(ext_id: str = "", identities: tuple[str, ...] = (), **fields: Any) -> dict[str, Any]:
    """A patch without profile_id."""
    texts = {"identities": {"values": identities}} if identities else {}
    return {**({"ext_id": ext_id} if ext_id else {}), **texts, **fields}


async def test_an_external_id_finds_its_profile_or_makes_one(profiles: Profiles, tenant_a: Tenant) -> None:
    await profiles.upsert({"profile_id": "c1", "ext_id": "e1"})
    results = await profiles.results(named("e1", language="vi"), named("e2", language="en"))
    made = key_id("profile", tenant_a, "e2")
    assert [(each.outcome, each.profile_id) for each in results] == [(UPDATED, "c1"), (CREATED, made)]
    assert (await profiles.get(made)).profile.ext_id == "e2"
    assert (await profiles.results(named("e2", time_zone="Asia/Tokyo")))[0].profile_id == made


async def test_identities_find_their_one_holder_and_link_an_external_id(profiles: Profiles) -> None:
    await profiles.upsert({"profile_id": "c1", "identities": {"values": ["web:1", "crm:7"]}})
    results = await profiles.results(named("e9", ("web:1", "web:2")))
    assert [(each.outcome, each.profile_id) for each in results] == [(UPDATED, "c1")]
    assert (await profiles.get("c1")).profile.ext_id == "e9"


async def test_two_people_are_never_made_one(profiles: Profiles) -> None:
    await profiles.upsert(
        {"profile_id": "c1", "ext_id": "e1", "identities": {"values": ["web:1", "shared:1"]}},
        {"profile_id": "c2", "ext_id": "e2", "identities": {"values": ["web:2", "shared:1"]}},
    )
    refused = {
        "identities": [named("e1", ("web:2",)), named("", ("web:1", "web:2")), named("", ("shared:1",)),
                       named("", ("unknown:1",))],
        "ext_id": [named("e3", ("web:1",)), named("0912345678"), {"profile_id": "c1", "ext_id": "e2"}],
        "profile_id": [{"language": "vi"}],
    }  # fmt: skip
    for field, patches in refused.items():
        for place, result in enumerate(await profiles.results(*patches)):
            assert result.outcome == REFUSED, patches[place]
            assert [fault.field for fault in result.faults] == [f"profiles[{place}].{field}"], patches[place]
            assert result.profile_id == ""


async def test_one_profile_by_two_names_is_a_repeated_item(profiles: Profiles) -> None:
    await profiles.upsert({"profile_id": "c1", "ext_id": "e1"})
    assert await profiles.upsert({"profile_id": "c1"}, named("e1", language="vi")) == [
        UNCHANGED,
        REFUSED,
    ]


async def test_another_tenants_names_lead_nowhere(profiles: Profiles, other_profiles: Profiles) -> None:
    await profiles.upsert({"profile_id": "c1", "ext_id": "e1", "identities": {"values": ["web:1"]}})
    results = await other_profiles.results(named("e1"), named("", ("web:1",)))
    assert [each.outcome for each in results] == [CREATED, REFUSED]
    assert results[0].profile_id != "c1"


@pytest.mark.parametrize("ids", [("",) * 6, ("c1", "c2", "c3", "c4", "c5", "c6")])
async def test_callers_at_once_make_one_holder_of_an_external_id(
    profiles: Profiles, proof: asyncpg.Connection[Any], ids: tuple[str, ...]
) -> None:
    patches = [
        named("e1", profile_id=profile_id, segments={"values": [profile_id or "x"]}) for profile_id in ids
    ]
    outcomes = await asyncio.gather(*(profiles.upsert(patch) for patch in patches))
    assert sorted(outcomes).count([CREATED]) == 1
    assert await proof.fetchval("select count(*) from cdp_profiles") == 1
