"""Queries of the hot paths use their index: as the servers' role, below row-level security, with two tenants."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import asyncpg

from server.embedded.database_setup import DatabaseUrls
from tests.fixtures.tenants import Tenant
from tests.schema.rows import enter

_ROWS = 25_000  # for each of two tenants

# `$1` is the tenant. Only some rows have embeddings: a graph of 50,000 would take minutes and plan no different.
_POPULATE = (
    """insert into cdp_profiles (tenant_id, profile_id, ext_id, identities, primary_email, segments, raw_attributes)
    select $1, 'p' || n, 'x' || n, jsonb_build_array('crm:' || n), 'User' || n || '@example.com',
        jsonb_build_array('segment-' || n % 500, 'all'), jsonb_build_object('city', 'city-' || n % 700, 'n', n)
    from generate_series(1, $2::int) as n""",
    """update cdp_profiles set interest_embedding = (
        select array_agg(sin(n * length(profile_id) + ascii(right(profile_id, 1))) order by n)
        from generate_series(1, 1536) as n)::vector
    where profile_id like 'p1__' and $1::uuid is not null and $2::int > 0""",
    """insert into consent_management (tenant_id, profile_id, channel, status, legal_basis, source, granted_at)
    select $1, 'p' || n, 'email', 'granted', 'consent', 'form', now() from generate_series(1, $2::int) as n""",
    """insert into segment_snapshot (tenant_id, snapshot_id, segment_name, segment_version, audience_sha256,
        member_count) select $1, 's' || n, 'segment-' || n, 'v', 'a', 100
    from generate_series(1, $2::int / 100) as n""",
    """insert into segment_snapshot_member (tenant_id, snapshot_id, profile_id)
    select $1, 's' || n / 101 + 1, 'p' || n from generate_series(1, $2::int) as n""",
    """insert into agent_task (tenant_id, task_id, agent_name, task_type, profile_id, parent_task_id, occurred_at,
        outcome, status, queue, due_at)
    select $1, 't' || n, 'rules', 'execute', 'p' || n % 5000, case when n % 10 = 0 then 'plan' || n % 100 end,
        timestamptz '2025-06-01' + n * interval '1 minute', case when n % 3 = 0 then 'send' else 'suppressed' end,
        case when n % 20 = 0 then 'pending' else 'completed' end, 'email', now() - n * interval '1 second'
    from generate_series(1, $2::int) as n""",
    """insert into agent_task (tenant_id, task_id, agent_name, task_type, profile_id, source_event_id, status, queue,
        recorded_xid)
    select $1, 'f' || n, 'alerts', 'evaluate', 'p' || n % 5000, 'alert:r' || n || ':1', 'completed', 'alerts',
        (n / 3)::text::xid8 from generate_series(1, $2::int / 5) as n""",
    """insert into agent_task (tenant_id, task_id, agent_name, task_type, source_event_id, status, queue, due_at)
    select $1, 'q' || n, 'alerts', 'plan', 'symbol:S' || n, case when n % 100 = 0 then 'pending' else 'completed' end,
        'silences', now() + interval '1 day' from generate_series(1, $2::int / 5) as n""",
    """insert into delivery_log (tenant_id, delivery_key, task_id, marketing_event_id, profile_id, snapshot_id,
        channel, delivery_status, provider_message_id)
    select $1, 'd' || n, 't' || n, 'm', 'p' || n % 5000 + 1, 's1', 'email',
        case when n % 3 = 0 then 'sent' else 'queued' end, case when n % 3 = 0 then 'msg-' || n end
    from generate_series(1, $2::int) as n""",
    """insert into behavioral_events (tenant_id, event_key, profile_id, source_event_id, event_type, occurred_at)
    select $1, 'k' || n, 'p' || n % 5000, 'e' || n, 'purchase', timestamptz '2025-06-01' + n * interval '1 minute'
    from generate_series(1, $2::int) as n""",
    """insert into alert_rules (tenant_id, rule_id, profile_id, symbol, condition_logic, source)
    select $1, 'r' || n, 'p' || n % 5000, 'S' || n % 300, '{}', 'USER_MANUAL'
    from generate_series(1, $2::int) as n""",
    """insert into news_feed (tenant_id, content_sha256, title, content, published_at, related_symbols)
    select $1, 'h' || n, 'word' || n % 900 || ' news', 'of the market', now() - n * interval '1 minute',
        array['S' || n % 900] from generate_series(1, $2::int) as n""",
    """insert into embedding_job (tenant_id, entity_type, entity_id)
    select $1, 'news', n::text from generate_series(1, $2::int) as n""",
)

# What a hot path asks, and the index that answers it.
_HOT = {
    "cdp_profiles_pkey": "select * from cdp_profiles where profile_id = any(array['p7', 'p9', 'p11'])",
    "cdp_profiles_ext_id": "select * from cdp_profiles where ext_id = 'x77'",
    "cdp_profiles_email": "select * from cdp_profiles where primary_email = 'user77@EXAMPLE.com'",
    "cdp_profiles_identities": "select * from cdp_profiles where identities @> '[\"crm:77\"]'",
    "cdp_profiles_identities ": "select * from cdp_profiles where identities ? 'crm:77'",
    "cdp_profiles_segments": "select * from cdp_profiles where segments ? 'segment-7'",
    "cdp_profiles_segments ": "select * from cdp_profiles where segments @> '[\"segment-7\"]'",
    "cdp_profiles_segments  ": "select * from cdp_profiles where segments ?| array['segment-7', 'segment-8']",
    "cdp_profiles_attributes": 'select * from cdp_profiles where raw_attributes @> \'{"city": "city-7"}\'',
    "embedding_job_vector_signs": "select entity_id from embedding_job"
    " order by vector_signs <~> binary_quantize((array_fill(0.5, array[1536]))::vector)::bit(1536) limit 50",
    "consent_management_pkey": "select * from consent_management where profile_id = any(array['p7', 'p8'])",
    "agent_task_pkey": "select * from agent_task where task_id = any(array['t7', 't8'])",
    "agent_task_profile": "select * from agent_task where profile_id = 'p7' order by created_at desc limit 20",
    "agent_task_sends": "select * from agent_task where profile_id = 'p7' and outcome = 'send'"
    " and occurred_at > '2025-06-10' and occurred_at < '2025-06-12'",
    "agent_task_open": "select task_id from agent_task where outcome = 'send' and status = 'pending'",
    "agent_task_parent": "select count(*) from agent_task where parent_task_id = 'plan50'",
    "agent_task_firings": "select task_id from agent_task where queue = 'alerts' and recorded_xid is not null"
    " and (recorded_xid, task_id) < ('800'::xid8, '') order by recorded_xid desc, task_id desc limit 100",
    "agent_task_firings ": "select task_id from agent_task where queue = 'alerts' and recorded_xid is not null"
    " and (recorded_xid, task_id) > ('1600'::xid8, '') and not pg_visible_in_snapshot(recorded_xid, '1600:1600:')"
    " order by recorded_xid, task_id limit 500",
    "agent_task_silences": "select task_id from agent_task where queue = 'silences' and status = 'pending'"
    " and due_at > statement_timestamp()",
    "agent_task_silence_log": "select task_id from agent_task where queue = 'silences'"
    " and (created_at, task_id) < (now(), '') order by created_at desc, task_id desc limit 100",
    "segment_snapshot_pkey": "select * from segment_snapshot where snapshot_id = 's7'",
    "segment_snapshot_segment": "select * from segment_snapshot where segment_name = 'segment-7'",
    "segment_snapshot_member_pkey": "select * from segment_snapshot_member where snapshot_id = 's7'",
    "delivery_log_task": "select * from delivery_current where task_id = 't77'",
    "delivery_log_key": "select * from delivery_current where delivery_key = 'd77'",
    "delivery_log_profile": "select * from delivery_current where profile_id = 'p77'",
    "delivery_log_provider_message": "select * from delivery_log where provider_message_id = 'msg-77'",
    "delivery_log_status": "select * from delivery_log where delivery_status = 'sent' and delivery_id > 100"
    " and delivery_status not in ('queued', 'sending', 'deferred') order by delivery_id limit 100",
    "delivery_log_queued_once": "select * from delivery_log"
    " where delivery_key = any(array['d7', 'd8']) and delivery_status = 'queued'",
    "behavioral_events_2025_06_profile_id_tenant_id_occurred_at_idx": "select * from behavioral_events"
    " where profile_id = 'p77' and occurred_at >= '2025-06-03' and occurred_at < '2025-06-20'",
    "alert_rules_profile": "select * from alert_rules where profile_id = 'p77'",
    "news_feed_search": "select * from news_feed where search_document @@ to_tsquery('simple', 'word77')",
    "news_feed_symbols": "select * from news_feed where related_symbols && array['S77']",
    "news_feed_symbol_days": "select * from news_feed"
    " where symbol_days && leo_symbol_days_until('S77', now(), 7) and published_at <= now()"
    " order by published_at desc limit 3",
    "news_feed_published": "select * from news_feed order by published_at desc limit 20",
}

# What the narrow functions ask, as their owners.
_NARROW = {
    ("leo_task_claimer", "agent_task_claimable"): "select tenant_id, task_id from agent_task"
    " where queue = 'email' and status = 'pending'"
    " and greatest(due_at, lease_until) between '-infinity' and statement_timestamp()"
    " order by greatest(due_at, lease_until) limit 100",
    (
        "leo_task_claimer",
        "embedding_job_claimable",
    ): "select ctid from embedding_job where entity_type = 'news'"
    " and status = 'pending' and greatest(due_at, lease_until) <= statement_timestamp()"
    " order by greatest(due_at, lease_until) limit 100",
    ("leo_alert_keeper", "agent_task_silences"): "select task_id from agent_task where queue = 'silences'"
    " and status = 'pending' and tenant_id = $1"
    " and source_event_id in ('rule:r1', 'symbol:S7', 'profile:p1') and due_at > statement_timestamp()"
    " order by due_at desc, task_id limit 1",
    ("leo_alert_keeper", "agent_task_firings"): "select from agent_task where queue = 'alerts'"
    " and tenant_id = $1 and recorded_xid >= '1600'"
    " and not pg_visible_in_snapshot(recorded_xid, '1600:1600:')",
    (
        "leo_rule_loader",
        "alert_rules_shard",
    ): "select * from alert_rules where shard = 7 and status = 'ACTIVE'"
    " and (tenant_id, rule_id) > ('00000000-0000-0000-0000-000000000000', '')"
    " order by tenant_id, rule_id limit 100",
}


async def test_hot_queries_use_their_index(
    database: DatabaseUrls, app: asyncpg.Connection, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    superuser = await asyncpg.connect(database.superuser_url)
    await _populate(app, superuser, (tenant_a, tenant_b))
    await enter(app, tenant_a)
    missed = {}
    for index, query in _HOT.items():
        used = await _indexes_of(app, query)
        if index.strip() not in used:
            missed[query] = used
    for (role, index), query in _NARROW.items():
        await superuser.execute(f"set role {role}")
        used = await _indexes_of(superuser, query.replace("$1", f"'{tenant_a}'"))
        await superuser.execute("reset role")
        if index not in used:
            missed[query] = used
    assert await _scans_of_relevant_news(superuser, tenant_a) == (1, 0)
    await superuser.close()
    assert missed == {}


async def test_no_index_misleads_by_leading_with_the_tenant(proof: asyncpg.Connection) -> None:
    """Two indexes that lead with the tenant let a fresh table's plan settle on the wrong one. Those of some rows are
    taken for statements that name these rows alone."""
    rows = await proof.fetch(
        """
        select indrelid::regclass::text as name, array_agg(indexrelid::regclass::text) as indexes
        from pg_index i join pg_class c on c.oid = i.indrelid
        join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
        where c.relnamespace = 'public'::regnamespace and a.attname = 'tenant_id' and i.indpred is null
        group by 1 having count(*) > 1
        """
    )
    assert [dict(row) for row in rows] == []


async def _populate(
    app: asyncpg.Connection, superuser: asyncpg.Connection, tenants: tuple[Tenant, ...]
) -> None:
    await app.execute("select ensure_month('2025-06-01')")
    for tenant in tenants:
        await enter(app, tenant)
        for statement in _POPULATE:
            await app.execute(statement, UUID(int=tenant.int), _ROWS)
    await superuser.execute("analyze")


async def _scans_of_relevant_news(superuser: asyncpg.Connection, tenant: Tenant) -> tuple[int, int]:
    """Of its index, and of the whole table, with a symbol that has its column's collation as that of a rule has."""
    async with superuser.transaction():
        await superuser.execute("set local role leo_alert_keeper")
        news = "select news_id from leo_relevant_news($1, 'S77' collate \"C\", now(), 3)"
        assert await superuser.fetch(news, UUID(int=tenant.int))
        scans = "select pg_stat_get_xact_numscans($1::text::regclass::oid)"
        of_index, of_table = [
            await superuser.fetchval(scans, name) for name in ("news_feed_symbol_days", "news_feed")
        ]
    return of_index, of_table


async def _indexes_of(connection: asyncpg.Connection, query: str) -> set[str]:
    plan = json.loads(await connection.fetchval(f"explain (format json) {query}"))
    return set(_index_names(plan))


def _index_names(node: Any) -> list[str]:
    if isinstance(node, list):
        return [name for item in node for name in _index_names(item)]
    if isinstance(node, dict):
        own = [node["Index Name"]] if "Index Name" in node else []
        return own + [name for item in node.values() for name in _index_names(item)]
    return []
