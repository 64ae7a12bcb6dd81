"""From an empty, never analysed database a session's plans stay right: the cost of a batch does not grow."""

from __future__ import annotations

import json
from uuid import UUID

import asyncpg
import pytest

from server.embedded.database_setup import DatabaseUrls
from tests.fixtures.tenants import Tenant
from tests.schema.rows import enter

_PROFILES = 500
_DELIVERIES = 5_000

_TASKS = """
insert into agent_task (tenant_id, task_id, agent_name, task_type, profile_id, snapshot_id, occurred_at, outcome,
    status, queue, due_at)
select $1, 't' || n, 'rules', 'execute', 'p' || n % $4::int + 1, 's' || n, now(), 'send', 'pending', 'email', now()
from generate_series($2::int, $3::int) as n
"""
_SNAPSHOTS = """
insert into segment_snapshot (tenant_id, snapshot_id, segment_name, segment_version, audience_sha256, member_count)
select $1, 's' || n, 'all', 'v', 'a', 1 from generate_series($2::int, $3::int) as n where $4::int > 0
"""
_MEMBERS = """
insert into segment_snapshot_member (tenant_id, snapshot_id, profile_id)
select $1, 's' || n, 'p' || n % $4::int + 1 from generate_series($2::int, $3::int) as n
"""
_QUEUED = """
insert into delivery_log (tenant_id, delivery_key, task_id, marketing_event_id, profile_id, snapshot_id, channel,
    delivery_status)
select $1, 'd' || n, 't' || n, 'm', 'p' || n % $4::int + 1, 's' || n, 'email', 'queued'
from generate_series($2::int, $3::int) as n
"""


@pytest.mark.parametrize("batch", [10, 50])
async def test_batches_stay_flat(
    database: DatabaseUrls, app: asyncpg.Connection, tenant_a: Tenant, batch: int
) -> None:
    tenant_id = UUID(int=tenant_a.int)
    superuser = await asyncpg.connect(database.superuser_url)
    await _without_autovacuum(superuser)
    await enter(app, tenant_a)
    # The session's first key checks and consent checks are planned on tables that hold next to nothing.
    await _record(app, tenant_id, 1, batch, profiles=1, with_profiles=True)
    await _add_profiles(app, tenant_id)
    early = await _cost(superuser, app, tenant_id, first=batch + 1, batch=batch)
    await _record_many(app, tenant_id, range(11 * batch + 1, _DELIVERIES, batch), batch)
    late = await _cost(superuser, app, tenant_id, first=10 * _DELIVERIES, batch=batch)
    await superuser.close()
    assert late["rows_scanned"] == 0, "a key or consent check scans a table"
    assert late["blocks"] <= 2 * early["blocks"] + 40 * batch, (early, late)


async def test_claims_stay_flat(database: DatabaseUrls, app: asyncpg.Connection, tenant_a: Tenant) -> None:
    tenant_id = UUID(int=tenant_a.int)
    superuser = await asyncpg.connect(database.superuser_url)
    worker = await asyncpg.connect(database.worker_url)
    await _without_autovacuum(superuser)
    claim = "select count(*) from claim_tasks('email', 10, interval '1 hour', 'worker')"
    # Planned and kept while the list is empty.
    for _ in range(8):
        assert await worker.fetchval(claim) == 0
    await enter(app, tenant_a)
    await app.execute(_TASKS, tenant_id, 1, 20_000, _PROFILES)
    # Claims in flight are passed over without being looked at.
    assert await worker.fetchval(claim.replace("10,", "5000,")) == 5000
    before = await _reads(superuser, worker)
    assert await worker.fetchval(claim) == 10
    after = await _reads(superuser, worker)
    assert after["rows_scanned"] == before["rows_scanned"], "the claim scans the table"
    assert after["blocks"] - before["blocks"] < 1_000
    for connection in (superuser, worker):
        await connection.close()


async def test_results_stay_flat(database: DatabaseUrls, app: asyncpg.Connection, tenant_a: Tenant) -> None:
    tenant_id = UUID(int=tenant_a.int)
    superuser = await asyncpg.connect(database.superuser_url)
    worker = await asyncpg.connect(database.worker_url)
    await _without_autovacuum(superuser)
    record = "select record_results($1, null, $2::text::jsonb)"

    def ends(first: int) -> str:
        tasks = [f"t{number}" for number in range(first, first + 10)]
        group = {
            "owner": "worker",
            "status": "completed",
            "held_by": None,
            "task_id": tasks,
            "due_at": [None] * 10,
        }
        return json.dumps([group])

    # Planned and kept while there are no tasks.
    for _ in range(8):
        await worker.execute(record, tenant_id, ends(1))
    await enter(app, tenant_a)
    await app.execute(_TASKS, tenant_id, 1, 20_000, _PROFILES)
    await app.execute("update agent_task set lease_owner = 'worker'")
    before = await _reads(superuser, worker)
    await worker.execute(record, tenant_id, ends(9_000))
    after = await _reads(superuser, worker)
    completed = await app.fetchval("select count(*) from agent_task where status = 'completed'")
    assert completed == 10
    assert after["rows_scanned"] == before["rows_scanned"], "recording scans the table"
    assert after["blocks"] - before["blocks"] < 1_000
    for connection in (superuser, worker):
        await connection.close()


async def _without_autovacuum(superuser: asyncpg.Connection) -> None:
    """Statistics stay as a fresh table has them, so that a plan can only be right by structure."""
    for table in ("agent_task", "delivery_log", "segment_snapshot", "segment_snapshot_member",
                  "consent_management", "cdp_profiles"):  # fmt: skip
        await superuser.execute(f"alter table {table} set (autovacuum_enabled = off)")


async def _add_profiles(app: asyncpg.Connection, tenant_id: UUID) -> None:
    await app.execute(
        "insert into cdp_profiles (tenant_id, profile_id)"
        " select $1, 'p' || n from generate_series(2, $2::int) as n",
        tenant_id,
        _PROFILES,
    )
    await app.execute(
        "insert into consent_management (tenant_id, profile_id, channel, status, legal_basis, source, granted_at)"
        " select $1, 'p' || n, 'email', 'granted', 'consent', 'form', now()"
        " from generate_series(2, $2::int) as n",
        tenant_id,
        _PROFILES,
    )


async def _record(
    app: asyncpg.Connection,
    tenant_id: UUID,
    first: int,
    last: int,
    *,
    profiles: int = _PROFILES,
    with_profiles: bool = False,
) -> None:
    if with_profiles:
        await app.execute("insert into cdp_profiles (tenant_id, profile_id) values ($1, 'p1')", tenant_id)
        await app.execute(
            "insert into consent_management (tenant_id, profile_id, channel, status, legal_basis, source,"
            " granted_at) values ($1, 'p1', 'email', 'granted', 'consent', 'form', now())",
            tenant_id,
        )
    async with app.transaction():
        for statement in (_TASKS, _SNAPSHOTS, _MEMBERS, _QUEUED):
            await app.execute(statement, tenant_id, first, last, profiles)


async def _record_many(app: asyncpg.Connection, tenant_id: UUID, firsts: range, batch: int) -> None:
    for first in firsts:
        await _record(app, tenant_id, first, first + batch - 1)


async def _cost(
    superuser: asyncpg.Connection, app: asyncpg.Connection, tenant_id: UUID, *, first: int, batch: int
) -> dict[str, int]:
    """What ten batches read: blocks of tables and indexes, and rows met by sequential scans."""
    before = await _reads(superuser, app)
    await _record_many(app, tenant_id, range(first, first + 10 * batch, batch), batch)
    after = await _reads(superuser, app)
    return {name: after[name] - before[name] for name in before}


async def _reads(superuser: asyncpg.Connection, session: asyncpg.Connection) -> dict[str, int]:
    await session.execute("select pg_stat_force_next_flush()")
    await session.execute("select")
    row = await superuser.fetchrow(
        """
        select sum(heap_blks_read + heap_blks_hit + coalesce(idx_blks_read + idx_blks_hit, 0))::bigint as blocks,
            sum(seq_tup_read)::bigint as rows_scanned
        from pg_statio_user_tables join pg_stat_user_tables using (relid)
        """
    )
    assert row is not None
    return dict(row)
