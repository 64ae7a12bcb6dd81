"""A collection of LEO CDP that is followed to the end: documents become profiles, and those that vanish are noticed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from server.errors import InvalidInput
from server.mapping.files import mapping_of
from server.platform.clock import utc_now
from server.profiles.erasure import Person, ProfileErasure
from server.profiles.erasure_store import ErasureStore
from server.profiles.store import ProfileStore
from server.sync.known import ProfileNames
from server.sync.model import Health, SourceType
from server.sync.store import SourceStore
from tests.fixtures.tenants import Tenant
from tests.sync.arango_documents import Collection
from tests.sync.arango_server import COLLECTION, DATABASE, PASSWORD, USERNAME, ArangoServer
from tests.sync.conftest import Following, profiles_of
from tests.workers.conftest import until

ARANGODB = SourceType.ARANGODB
MAPPING: dict[str, Any] = {
    "ignore": ["_id", "_rev"],
    "fields": {
        "ext_id": {"from": "_key", "prefix": "cdp-"},
        "identities": {"from": "identities"},
        "primary_email": "primaryEmail",
        "segments": "inSegments",
        "job_titles": {"from": "jobTitle", "split": ";"},
        "source_updated_at": "updatedAt",
    },
    "consents": [{"channel": "email", "from": "receiveEmail", "granted": ["1"], "withdrawn": ["0"]}],
}
SWEPT = {"sweep": {"every_seconds": 1}}


def document(number: int, **changes: Any) -> dict[str, Any]:
    """As LEO CDP writes one."""
    return {
        "_key": str(number),
        "primaryEmail": f"c{number}@example.com",
        "identities": [f"cdp:{number}"],
        "inSegments": ["vip"],
        "jobTitle": "Director; Nurse",
        "receiveEmail": 1,
        "totalCLV": number,
        "updatedAt": f"2026-04-01T00:{number // 60:02}:{number % 60:02}.000Z",
        **changes,
    }


@pytest.fixture
async def server() -> AsyncIterator[ArangoServer]:
    """It has 1,100 documents, and nobody else."""
    server = ArangoServer()
    for number in range(1_100):
        server.collection().put(document(number))
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def followed(following: Following, server: ArangoServer, tenant_a: Tenant) -> Following:
    following.open(server.url.removeprefix("http://"))
    await following.put(tenant_a, ARANGODB, connection(server, **SWEPT), mapping=MAPPING, password=PASSWORD)
    return following


def connection(server: ArangoServer, **changes: Any) -> dict[str, Any]:
    return {
        "url": server.url,
        "database": DATABASE,
        "collection": COLLECTION,
        "username": USERNAME,
        "update_attribute": "updatedAt",
        "deleted": {"attribute": "status", "values": [-4]},
        **changes,
    }


def changed(collection: Collection, number: int, **changes: Any) -> None:
    collection.put(document(number, updatedAt=utc_now().isoformat(), **changes))


async def test_documents_become_profiles_and_follow_theirs_to_the_end(
    followed: Following, server: ArangoServer, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await proof.execute(
        "insert into cdp_profiles (tenant_id, profile_id, ext_id) values ($1, 'theirs', 'cdp-elsewhere')",
        tenant_a,
    )
    collection = server.collection()
    collection.put(document(2_000, primaryEmail="nonsense"))

    first = (await followed.run(tenant_a)).condition

    assert (first.health, first.last_error) == (Health.HEALTHY, None)
    assert (first.total.read, first.total.written) == (1_101, 1_100)
    assert first.last_run.reasons == {"REFUSED:primary_email": 1}
    one = (await profiles_of(proof, tenant_a))["cdp-42"]
    assert (json.loads(one["segments"]), json.loads(one["job_titles"])) == (["vip"], ["Director", "Nurse"])
    assert one["raw_attributes"] == {"totalCLV": 42, "synced_from": "crm"}

    changed(collection, 1, inSegments=["vip", "new"])
    changed(collection, 2, status=-4)
    del collection.documents["3"]

    async def both_gone() -> bool:
        return (await followed.run(tenant_a)).condition.total.deleted == 2

    await until(both_gone)
    profiles = await profiles_of(proof, tenant_a)
    assert json.loads(profiles["cdp-1"]["segments"]) == ["vip", "new"]
    assert {name for name, row in profiles.items() if "deleted_at_source" in row["raw_attributes"]} == {
        "cdp-2",
        "cdp-3",
    }, "whoever came from elsewhere is not looked for here"
    granted = await proof.fetchval("select count(*) from consent_management where status = 'granted'")
    assert granted == 1_098


async def test_who_was_erased_is_not_brought_back(
    followed: Following, server: ArangoServer, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await followed.run(tenant_a)
    erasure = ProfileErasure(
        database=followed.worker,
        store=ErasureStore(),
        profiles=ProfileStore(),
        suppression=followed.suppression,
    )
    await erasure.erase_profile(
        UUID(int=tenant_a.int), Person("ext_id", "cdp-7"), asked_by="test", reason="asked for it"
    )
    changed(server.collection(), 7)
    changed(server.collection(), 8)

    condition = (await followed.run(tenant_a)).condition

    assert (condition.last_run.suppressed, condition.last_run.rejected) == (1, 0)
    assert condition.last_run.written == 1
    assert "cdp-7" not in await profiles_of(proof, tenant_a)


async def test_a_sweep_looks_for_names_of_its_own_kind_alone(
    followed: Following, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    """Somebody else gave one of its customers another name, which would hold the sweep up at its place."""
    await followed.run(tenant_a)
    await proof.execute("update cdp_profiles set ext_id = 'web-1' where ext_id = 'cdp-998'")
    names = ProfileNames(
        database=followed.worker,
        store=SourceStore(),
        tenant_id=UUID(int=tenant_a.int),
        source_id="crm",
        mapping=mapping_of(MAPPING),
        attribute="_key",
    )
    assert await names("997", 10) == ["999"]


async def test_a_sweep_needs_a_name_by_which_to_find_who_vanished(
    followed: Following, server: ArangoServer, tenant_a: Tenant
) -> None:
    nameless = {**MAPPING, "fields": {"ext_id": "crmId"}}
    with pytest.raises(InvalidInput, match="profile_id from _key"):
        await followed.put(tenant_a, ARANGODB, connection(server, **SWEPT), mapping=nameless)
