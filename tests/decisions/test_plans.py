"""Plans of Decide: as the serving role, below row-level security, with two tenants."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from server.decisions.assembly import running_decisions
from server.decisions.model import DecisionRecord
from server.embedded.database_setup import DatabaseUrls
from server.platform.postgres import Database
from server.platform.queries import Queries
from server.platform.redis import RedisPool
from server.workers.wake_ups import SweepOnly
from tests.decisions.shop import DAY_SECONDS, NOON, add_campaign, add_marketing_event, purchase
from tests.fixtures.tenants import Tenant

ROWS = 25_000  # for each of two tenants
INDEX_ENTRIES_PER_EVENT = 8  # of one index: a profile has five sends

_POPULATE = (
    """INSERT INTO cdp_profiles (tenant_id, profile_id, primary_email)
    SELECT $1, 'p' || n, 'p' || n || '@example.com' FROM generate_series(1, $2::int) AS n""",
    """INSERT INTO consent_management (tenant_id, profile_id, channel, status, legal_basis, source, granted_at)
    SELECT $1, 'p' || n, 'email', 'granted', 'consent', 'form', now() FROM generate_series(1, $2::int) AS n""",
    """INSERT INTO agent_task (tenant_id, task_id, agent_name, task_type, profile_id, campaign_id,
        marketing_event_id, occurred_at, outcome, status, queue, due_at)
    SELECT $1, 't' || n, 'rules', 'execute', 'p' || n % 5000, 'loyalty', 'm' || n % 1000,
        timestamptz '2024-01-01' + n * interval '1 minute', CASE n % 3 WHEN 0 THEN 'send' ELSE 'suppressed' END,
        'completed', 'email', now()
    FROM generate_series(1, $2::int) AS n""",
    """INSERT INTO marketing_event (tenant_id, marketing_event_id, campaign_id, event_name, event_type,
        event_channel, channels, template_name, status)
    SELECT $1, 'm' || n, 'loyalty', 'event ' || n, 'TRIGGER', 'email', '["email"]', 'hello', 'superseded'
    FROM generate_series(0, $2::int / 25) AS n""",
)


@pytest.fixture
async def crowded(
    app: asyncpg.Connection, database: DatabaseUrls, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    """Two tenants with many rows, and statistics as a fresh table has them."""
    superuser = await asyncpg.connect(database.superuser_url)
    for table in ("agent_task", "delivery_log", "segment_snapshot", "segment_snapshot_member", "cdp_profiles",
                  "consent_management"):  # fmt: skip
        await superuser.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
    await superuser.close()
    for tenant in (tenant_a, tenant_b):
        await add_campaign(app, tenant, "loyalty")
        await add_marketing_event(app, tenant, "loyalty", "thanks", cooldown_seconds=DAY_SECONDS)
        async with app.transaction():
            await enter(app, tenant)
            for statement in _POPULATE:
                await app.execute(statement, UUID(int=tenant.int), ROWS)


async def enter(connection: asyncpg.Connection, tenant_id: UUID) -> None:
    """Set the context of the transaction."""
    await connection.execute(
        "SELECT set_config('app.current_tenant_id', $1, true)", str(UUID(int=tenant_id.int))
    )


PROFILES = [f"p{n * 7}" for n in range(50)]
QUERIES: dict[str, tuple[list[Any], set[str]]] = {
    "load_holders": ([PROFILES, [NOON.replace(year=2024)] * 50], {"agent_task_sends"}),
}


async def test_what_decides_is_read_by_index(
    app: asyncpg.Connection, database: DatabaseUrls, tenant_a: Tenant, crowded: None
) -> None:
    await assert_read_by_index(app, tenant_a, "fresh")
    superuser = await asyncpg.connect(database.superuser_url)
    await superuser.execute("ANALYZE")
    await superuser.close()
    await assert_read_by_index(app, tenant_a, "analysed")


async def assert_read_by_index(app: asyncpg.Connection, tenant_id: UUID, statistics: str) -> None:
    """Explain the hot queries, planned for their arguments and for any."""
    queries = Queries.load("decisions")
    for mode in ("force_custom_plan", "force_generic_plan"):
        async with app.transaction():
            await enter(app, tenant_id)
            await app.execute(queries["begin_recording"])
            await app.execute(f"SET LOCAL plan_cache_mode = {mode}")
            for name, (arguments, indexes) in QUERIES.items():
                # The comment keeps one text from being prepared for two of these cases.
                text = f"EXPLAIN (FORMAT JSON) {queries[name]} -- {mode}, {statistics}"
                plan = json.loads(await app.fetchval(text, UUID(int=tenant_id.int), *arguments))
                nodes = nodes_of(plan)
                assert [node for node in nodes if node["Node Type"] == "Seq Scan"] == []
                assert indexes <= {node.get("Index Name") for node in nodes}, (name, mode, statistics)


def nodes_of(plan: Any) -> Sequence[dict[str, Any]]:
    """Every node of a plan."""
    if isinstance(plan, list):
        return [node for item in plan for node in nodes_of(item)]
    if not isinstance(plan, dict):
        return []
    own = [plan] if "Node Type" in plan else []
    return [*own, *(node for value in plan.values() for node in nodes_of(value))]


@pytest.fixture
async def one_session(database: DatabaseUrls) -> AsyncIterator[Database]:
    """A pool of a single session, whose plans live as long as it does."""
    pool = await Database.connect(
        database.app_url, minimum_connections=1, maximum_connections=1, application_name="test-one-session"
    )
    yield pool
    await pool.close()


@pytest.mark.parametrize("analysed", [False, True], ids=["fresh", "analysed"])
async def test_loading_and_recording_read_little(
    one_session: Database,
    redis: RedisPool,
    database: DatabaseUrls,
    tenant_a: Tenant,
    crowded: None,
    analysed: bool,
) -> None:
    """No table is scanned, and no index is read far: their plans are inside of functions, where nothing shows them."""
    superuser = await asyncpg.connect(database.superuser_url)
    if analysed:
        await superuser.execute("ANALYZE")
    async with running_decisions(database=one_session, redis=redis, wake_up=SweepOnly()) as service:
        await service.decide_batch(tenant_a, [purchase("prepare", profile_id="p1")])
        before = await scanned(superuser, one_session)
        for batch in range(10):
            events = [purchase(f"{batch}-{n}", profile_id=f"p{batch * 100 + n + 2}") for n in range(50)]
            answers = await service.decide_batch(tenant_a, events)
            assert all(isinstance(answer, DecisionRecord) and answer.channels for answer in answers)
        after = await scanned(superuser, one_session)
    await superuser.close()
    grown = {name: after[name] - before[name] for name in after}
    scans = {name: rows for name, rows in grown.items() if name.startswith("table ") and rows}
    assert scans == {}, "a statement, a key check or the consent check scans a table"
    far = {name: entries for name, entries in grown.items() if entries > INDEX_ENTRIES_PER_EVENT * 500}
    assert far == {}, "a statement reads an index where it should look up a key"


async def scanned(superuser: asyncpg.Connection, session: Database) -> dict[str, int]:
    """Rows that sequential scans have read, by table, and entries that were read, by index."""
    async with session.transaction() as connection:
        await connection.execute("SELECT pg_stat_force_next_flush()")
    await session.ping()
    rows = await superuser.fetch(
        """SELECT 'table ' || relname AS name, seq_tup_read AS amount FROM pg_stat_user_tables
        UNION ALL SELECT 'index ' || indexrelname, idx_tup_read FROM pg_stat_user_indexes"""
    )
    return {row["name"]: row["amount"] for row in rows}
