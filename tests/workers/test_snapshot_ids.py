"""Workers append the ids of snapshots to profiles: killed in the middle, and several at once."""

from __future__ import annotations

import json
from uuid import UUID

import asyncpg

from server.embedded.database_setup import DatabaseUrls
from server.platform.clock import utc_now
from server.platform.postgres import Database
from server.snapshots.model import FreezeRequest, Label
from server.snapshots.service import SnapshotService
from server.snapshots.store import SnapshotStore
from server.workers.broker import celery_app
from server.workers.routes import CeleryQueue, TaskName
from tests.fixtures.tenants import Tenant
from tests.snapshots.rows import acting_for
from tests.workers.conftest import Workers, until

COUNT = 2_500
HELD = "p1500"
"""A profile of the second batch."""

_WRITTEN = "select count(*) from cdp_profiles where tenant_id = $1 and segment_snapshots @> jsonb_build_array($2::text)"
_WAITING = (
    "select exists (select from pg_stat_activity"
    " where datname = current_database() and wait_event_type = 'Lock')"
)


async def test_killed_in_mid_batch_and_two_at_once_each_profile_has_the_id_once(
    workers: Workers,
    database: DatabaseUrls,
    broker_url: str,
    app: asyncpg.Connection,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
) -> None:
    tenant_id = UUID(int=tenant_a.int)
    snapshot_id = await _freeze(database, app, tenant_a)
    # Only a superuser sees what others wait for.
    holder = await asyncpg.connect(database.superuser_url)
    watcher = await asyncpg.connect(database.superuser_url)
    transaction = holder.transaction()
    await transaction.start()
    await holder.execute("select from cdp_profiles where profile_id = $1 for update", HELD)

    async def stuck() -> bool:
        return bool(await watcher.fetchval(_WAITING))

    async def complete() -> bool:
        return bool(await proof.fetchval(_WRITTEN, tenant_id, snapshot_id) == COUNT)

    first = workers.start()
    await first.ready()
    _wake(broker_url)
    await until(stuck)
    first.kill()
    assert await proof.fetchval(_WRITTEN, tenant_id, snapshot_id) == 1_000
    pair = [workers.start() for _ in range(2)]
    for worker in pair:
        await worker.ready()
    assert len({first.pid, *(worker.pid for worker in pair)}) == 3
    for _ in pair:
        _wake(broker_url)
    await transaction.commit()
    await holder.close()
    await watcher.close()
    await until(complete)
    assert [worker.stop() for worker in pair] == [0, 0]
    rows = await proof.fetch("select segment_snapshots from cdp_profiles where tenant_id = $1", tenant_id)
    assert [json.loads(row["segment_snapshots"]) for row in rows] == [[snapshot_id]] * COUNT


async def _freeze(database: DatabaseUrls, app: asyncpg.Connection, tenant: Tenant) -> str:
    async with acting_for(app, tenant):
        await app.execute(
            "insert into cdp_profiles (tenant_id, profile_id, segments)"
            " select $1, 'p' || lpad(n::text, 4, '0'), '[\"vip\"]' from generate_series(0, $2 - 1) as n",
            UUID(int=tenant.int),
            COUNT,
        )
    pool = await Database.connect(
        database.app_url, minimum_connections=1, maximum_connections=2, application_name="test-snapshots"
    )
    service = SnapshotService(database=pool, store=SnapshotStore(), clock=utc_now)
    frozen = await service.snapshot(UUID(int=tenant.int), FreezeRequest(Label("vip"), "a test", "test"))
    await pool.close()
    return frozen.snapshot.snapshot_id


def _wake(broker_url: str) -> None:
    """What the schedule does every ten seconds."""
    with celery_app(broker_url) as celery:
        celery.send_task(TaskName.APPEND_SNAPSHOTS.value, queue=CeleryQueue.MAINTENANCE.value)
