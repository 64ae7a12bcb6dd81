"""What a journey costs: pages read as the servers' role, among few and among many rows of others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import asyncpg

from server.embedded.database_setup import DatabaseUrls
from server.platform.queries import Queries
from tests.fixtures.tenants import Tenant
from tests.snapshots.rows import acting_for
from tests.trace.history import DEFINITION, START, History

FEW, MANY = 1_000, 15_000
GROWING = {
    "agent_task",
    "segment_snapshot",
    "segment_snapshot_member",
    "delivery_log",
    "behavioral_events_2026_03",
    "cdp_profiles",
}
# A level more in a tree for each lookup; a scan of the larger tables would read thousands.
MORE_PAGES = 60

# A send for each of many others, all at the same instant, as data of a whole day is loaded.
_OTHERS = """
insert into cdp_profiles (tenant_id, profile_id) select $1, 'p' || n from generate_series($2::int, $3) n;
insert into consent_management (tenant_id, profile_id, channel, status, legal_basis, source, granted_at)
select $1, 'p' || n, 'email', 'granted', 'consent', 'test', now() from generate_series($2::int, $3) n;
insert into behavioral_events (
    tenant_id, event_key, profile_id, source_event_id, event_type, occurred_at
)
select $1, leo_key_id('event', $1, 'p' || n), 'p' || n, 'p' || n, 'purchase', '2026-03-02 12:00Z'
from generate_series($2::int, $3) n;
insert into segment_snapshot (
    tenant_id, snapshot_id, segment_name, segment_version, audience_sha256, member_count
)
select $1, 's' || n, 'all', '1', 'h' || n, 1 from generate_series($2::int, $3) n;
insert into segment_snapshot_member (tenant_id, snapshot_id, profile_id)
select $1, 's' || n, 'p' || n from generate_series($2::int, $3) n;
insert into agent_task (
    tenant_id, task_id, agent_name, task_type, profile_id, source_event_id, occurred_at, decided_at, outcome,
    reason_code, reasoning_trace, marketing_event_id, snapshot_id, status
)
select $1, 't' || n, 'rule_engine', 'execute', 'p' || n, 'p' || n, '2026-03-02 12:00Z', '2026-03-02 12:00Z',
    'send', 'SELECTED', '{"candidates": []}', $4, 's' || n, 'completed'
from generate_series($2::int, $3) n;
insert into delivery_log (
    tenant_id, delivery_key, attempt, task_id, marketing_event_id, profile_id, snapshot_id, channel, delivery_status
)
select $1, 'd' || n, 0, 't' || n, $4, 'p' || n, 's' || n, 'email', 'queued' from generate_series($2::int, $3) n
"""


async def _add_others(app: asyncpg.Connection, tenant: UUID, first: int, last: int) -> None:
    values = (UUID(int=tenant.int), first, last, DEFINITION)
    async with acting_for(app, tenant):
        for statement in _OTHERS.split(";"):
            await app.execute(statement, *values[: 4 if "$4" in statement else 3])


async def _explain(app: asyncpg.Connection, tenant: UUID, profile_id: str) -> dict[str, Any]:
    after = START.replace(year=9999)
    queries = Queries.load("trace")
    async with acting_for(app, tenant):
        await app.execute(queries["keep_plan"])
        plan = await app.fetchval(
            f"explain (analyze, buffers, format json) {queries['get_journey']}",
            UUID(int=tenant.int),
            profile_id,
            after,
            after,
            "",
            101,
        )
    root: dict[str, Any] = json.loads(plan)[0]["Plan"]
    return root


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from _nodes(child)


def _pages(plan: dict[str, Any]) -> int:
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


async def test_the_cost_follows_the_page_not_the_tables(
    app: asyncpg.Connection,
    database: DatabaseUrls,
    history: History,
    tenant_a: Tenant,
    tenant_b: Tenant,
) -> None:
    superuser = await asyncpg.connect(database.superuser_url)
    other = History(app, tenant_b)
    await other.begin()
    await history.profile("ann")
    for number in range(5):
        await history.sent("ann", number, "sending", "sent")
    pages = []
    for first, last in ((1, FEW), (FEW + 1, MANY)):
        for tenant in (tenant_a, tenant_b):
            await _add_others(app, tenant, first, last)
        await superuser.execute("vacuum analyze")
        plan = await _explain(app, tenant_a, "ann")
        assert plan["Actual Rows"] == 5
        pages.append(_pages(plan))
    await superuser.close()
    scanned = {
        node["Relation Name"]
        for node in _nodes(plan)
        if node["Node Type"] in ("Seq Scan", "Bitmap Heap Scan") and node["Relation Name"] in GROWING
    }
    assert scanned <= {"agent_task"}, scanned
    assert not any(
        node["Node Type"] == "Seq Scan" and node["Relation Name"] in GROWING for node in _nodes(plan)
    )
    few, many = pages
    print(f"pages read among {FEW} and {MANY} rows of others: {few}, {many}")
    assert many <= few + MORE_PAGES, pages
