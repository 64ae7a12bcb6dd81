"""Snapshots on the profiles of their members."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from server.embedded.database_setup import DatabaseUrls
from server.platform.postgres import Database
from server.snapshots.jobs import append_snapshot_to_profiles
from server.snapshots.model import FreezeRequest, Label
from server.snapshots.service import SnapshotService
from tests.fixtures.erasing import erase
from tests.fixtures.tenants import Tenant
from tests.snapshots.rows import acting_for, add_profiles, stored

COUNT = 25


@pytest.fixture
async def workers(database: DatabaseUrls) -> AsyncIterator[Database]:
    """A worker's pool."""
    pool = await Database.connect(
        database.worker_url, minimum_connections=1, maximum_connections=4, application_name="test-jobs"
    )
    yield pool
    await pool.close()


async def _freeze(service: SnapshotService, tenant: Tenant, label: str) -> str:
    frozen = await service.snapshot(UUID(int=tenant.int), FreezeRequest(Label(label), "a test", "test"))
    return frozen.snapshot.snapshot_id


async def _snapshots_by_profile(proof: asyncpg.Connection, tenant: Tenant) -> dict[str, list[str]]:
    rows = await stored(proof, "cdp_profiles", tenant)
    return {row["profile_id"]: json.loads(row["segment_snapshots"]) for row in rows}


async def test_members_get_the_id_once(
    service: SnapshotService,
    workers: Database,
    app: asyncpg.Connection,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
    tenant_b: Tenant,
) -> None:
    ids = [f"p{number}" for number in range(COUNT)]
    await add_profiles(app, tenant_a, *ids, segments=["vip", "new"])
    await add_profiles(app, tenant_a, "outside")
    await add_profiles(app, tenant_b, *ids, segments=["vip"])
    tenant_id = UUID(int=tenant_a.int)
    first, second = [await _freeze(service, tenant_a, label) for label in ("vip", "new")]
    for snapshot_id in (first, second):
        assert await append_snapshot_to_profiles(workers, tenant_id, snapshot_id, batch_size=10) == COUNT
        assert await append_snapshot_to_profiles(workers, tenant_id, snapshot_id, batch_size=7) == 0
    found = await _snapshots_by_profile(proof, tenant_a)
    assert found == {"outside": [], **{profile_id: [first, second] for profile_id in ids}}
    assert not any((await _snapshots_by_profile(proof, tenant_b)).values())


async def test_two_workers_at_once_append_it_once(
    service: SnapshotService,
    workers: Database,
    app: asyncpg.Connection,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
) -> None:
    await add_profiles(app, tenant_a, *(f"p{number}" for number in range(COUNT)), segments=["vip"])
    snapshot_id = await _freeze(service, tenant_a, "vip")
    appended = await asyncio.gather(
        *(
            append_snapshot_to_profiles(workers, UUID(int=tenant_a.int), snapshot_id, batch_size=size)
            for size in (2, 3, 5, 25)
        )
    )
    assert sum(appended) == COUNT
    assert all(ids == [snapshot_id] for ids in (await _snapshots_by_profile(proof, tenant_a)).values())


async def test_what_was_erased_meanwhile_stays_as_it_is(
    service: SnapshotService,
    workers: Database,
    app: asyncpg.Connection,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
) -> None:
    await add_profiles(app, tenant_a, "alive", "erased", segments=["vip"])
    snapshot_id = await _freeze(service, tenant_a, "vip")
    async with acting_for(app, tenant_a):
        await erase(app, "erased")
    assert await append_snapshot_to_profiles(workers, UUID(int=tenant_a.int), snapshot_id) == 1
    assert await _snapshots_by_profile(proof, tenant_a) == {"alive": [snapshot_id], "erased": []}
