"""Counting reads the days that are asked for, and what is new, not the whole log."""

from __future__ import annotations

import json
from typing import Any

import asyncpg

from server.embedded.database_setup import DatabaseUrls
from server.platform.queries import Queries
from server.reports.model import STATUSES
from tests.dispatch.decided import Decisions
from tests.fixtures.tenants import Tenant
from tests.schema.rows import enter

_DAYS = 90
_ROWS = 60_000

# Ninety days of a log, two tenants in turn, in the order of time as workers write it.
_POPULATE = """
insert into delivery_log (tenant_id, delivery_key, attempt, task_id, marketing_event_id, profile_id, snapshot_id,
    channel, delivery_status, created_at)
select case n % 2 when 0 then $1::uuid else $2::uuid end, 'd' || n, 1, case n % 2 when 0 then $3 else $4 end, 'm',
    'p' || n, 's', 'email', 'failed', now() - (1 - n / $5::float) * make_interval(days => $6)
from generate_series(1, $5) as n
"""


async def test_days_and_news_are_read_by_index(
    database: DatabaseUrls,
    app: asyncpg.Connection,
    decisions: Decisions,
    tenant_a: Tenant,
    tenant_b: Tenant,
) -> None:
    tasks = []
    for tenant in (tenant_a, tenant_b):
        definitions = await decisions.define(tenant)
        tasks.append((await decisions.send(definitions, await decisions.profile(tenant, "lan"))).task_id)
    superuser = await asyncpg.connect(database.superuser_url)
    await superuser.execute("set session_replication_role = replica")
    await superuser.execute(_POPULATE, tenant_a, tenant_b, *tasks, _ROWS, _DAYS)
    await superuser.execute("vacuum analyze delivery_log")
    newest = await superuser.fetchval("select max(delivery_id) from delivery_log")
    await superuser.close()
    queries = Queries.load("reports")
    await enter(app, tenant_a)
    statuses = "array[" + ", ".join(f"'{status}'" for status in STATUSES) + "]"

    async def plan(query: str, types: str, *values: str) -> Any:
        await app.execute(f"prepare counting ({types}) as {queries[query]}")
        text = await app.fetchval(
            f"explain (analyze, buffers, format json) execute counting ({', '.join(values)})"
        )
        await app.execute("deallocate counting")
        return json.loads(text)[0]["Plan"]

    tenant = f"'{tenant_a}'"
    days = await plan(
        "count_facts_of_days",
        "uuid, timestamptz, timestamptz, bigint, text[]",
        *(tenant, "now() - interval '3 days'", "now() - interval '2 days'", str(newest), statuses),
    )
    news = await plan(
        "count_new_facts",
        "uuid, bigint, bigint, text[]",
        *(tenant, str(newest - 200), str(newest), statuses),
    )
    last = await plan("newest_fact", "uuid", tenant)

    assert "delivery_log_created" in _indexes(days)
    assert "delivery_log_pkey" in _indexes(news)
    assert "delivery_log_pkey" in _indexes(last)
    pages = [each["Shared Hit Blocks"] + each["Shared Read Blocks"] for each in (days, news, last)]
    assert pages[0] < 300, pages
    assert pages[1] < 100, pages
    assert pages[2] < 20, pages


def _indexes(node: Any) -> set[str]:
    own = {node["Index Name"]} if "Index Name" in node else set()
    return own.union(*(_indexes(child) for child in node.get("Plans", [])))
