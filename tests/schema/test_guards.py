"""What the database refuses, whoever asks: rewriting history, sending without a decision or a consent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from server.embedded.database_setup import DatabaseUrls
from tests.fixtures.tenants import Tenant
from tests.schema.rows import connect_all, enter, fill, refused

_APPEND_ONLY = {
    "delivery_log",
    "behavioral_events",
    "segment_snapshot",
    "segment_snapshot_member",
    "activation_outcomes",
}


@pytest.fixture
async def roles(database: DatabaseUrls, tenant_a: Tenant) -> AsyncIterator[dict[str, asyncpg.Connection]]:
    """A connection for each role, in the context of a tenant with rows in every table."""
    connections = await connect_all(database)
    connections["superuser"] = await asyncpg.connect(database.superuser_url)
    await fill(connections["leo_app"], tenant_a)
    for connection in connections.values():
        await enter(connection, tenant_a)
    yield connections
    for connection in connections.values():
        await connection.close()


async def _append_only_tables(connection: asyncpg.Connection) -> list[str]:
    rows = await connection.fetch(
        "select distinct t.relid::regclass::text as name"
        " from unnest($1::text[]) as parent, pg_partition_tree(parent::regclass) as t"
        " union select unnest($1::text[])",
        sorted(_APPEND_ONLY),
    )
    return [row["name"] for row in rows]


@pytest.mark.parametrize(
    "statement", ["update {} set created_at = created_at", "delete from {}", "truncate {} cascade"]
)
async def test_append_only_tables_refuse_every_rewrite(
    roles: dict[str, asyncpg.Connection], statement: str
) -> None:
    tables = await _append_only_tables(roles["superuser"])
    assert len(tables) == len(_APPEND_ONLY) + 2
    for role, connection in roles.items():
        for table in tables:
            with refused(*(["LE001"] if role in ("superuser", "leo_owner") else ["LE001", "42501"])):
                await connection.execute(statement.format(table))


async def test_even_the_eraser_only_redacts(roles: dict[str, asyncpg.Connection]) -> None:
    superuser = roles["superuser"]
    await superuser.execute("set role leo_eraser")
    for table in _APPEND_ONLY:
        with refused("42501"):
            await superuser.execute(f"delete from {table}")
    with refused("42501"):
        await superuser.execute("update delivery_log set delivery_status = 'sent'")
    assert (
        await superuser.execute("update delivery_log set body = null where profile_id = 'p1'") == "UPDATE 1"
    )


async def test_a_correction_is_a_new_row(app: asyncpg.Connection, tenant_a: Tenant) -> None:
    await fill(app, tenant_a)
    await enter(app, tenant_a)
    await _deliver(app, tenant_a, status="sent")
    statuses = await app.fetch("select delivery_status from delivery_log order by delivery_id")
    assert [row["delivery_status"] for row in statuses] == ["queued", "sent"]


@pytest.mark.parametrize(
    "grown",
    ['["s1", "s2"]', '["s1"]', '["s1", "s1"]'],
)
async def test_segment_snapshots_grow(app: asyncpg.Connection, tenant_a: Tenant, grown: str) -> None:
    await fill(app, tenant_a)
    await enter(app, tenant_a)
    text = "update cdp_profiles set segment_snapshots = $1::text::jsonb where profile_id = 'p1'"
    assert await app.execute(text, grown) == "UPDATE 1"


@pytest.mark.parametrize("shrunk", ["[]", '["s2"]', '["s2", "s1"]', '["s10"]', '[["s1"]]'])
async def test_segment_snapshots_lose_nothing(roles: dict[str, asyncpg.Connection], shrunk: str) -> None:
    text = "update cdp_profiles set segment_snapshots = $1::text::jsonb where profile_id = 'p1'"
    for role in ("leo_app", "leo_worker", "leo_owner", "superuser"):
        with refused("LE004"):
            await roles[role].execute(text, shrunk)


async def test_a_profile_needs_a_tenant(app: asyncpg.Connection, tenant_a: Tenant) -> None:
    insert = "insert into cdp_profiles (tenant_id, profile_id) values ($1, 'p')"
    with refused("42501"):
        await app.execute(insert, UUID(int=tenant_a.int))
    nobody = UUID("00000000-0000-4000-8000-00000000dead")
    await enter(app, nobody)
    with refused("23503"):
        await app.execute(insert, nobody)
    with refused("42501"):
        await app.execute("insert into cdp_profiles (profile_id) values ('p')")
    await enter(app, tenant_a)
    await app.execute(insert, UUID(int=tenant_a.int))


@pytest.mark.parametrize("missing", ["task_id", "snapshot_id"])
@pytest.mark.parametrize("status", ["queued", "sending", "sent", "suppressed"])
async def test_a_delivery_needs_a_decision_and_a_frozen_audience(
    app: asyncpg.Connection, tenant_a: Tenant, missing: str, status: str
) -> None:
    async def deliver(link: str | None) -> None:
        links = {"task_id": "t1", "snapshot_id": "s1", missing: link}
        await _deliver(
            app,
            tenant_a,
            key="d2",
            status=status,
            task_id=links["task_id"],
            snapshot_id=links["snapshot_id"],
        )

    await fill(app, tenant_a)
    await enter(app, tenant_a)
    with refused("23502"):
        await deliver(None)
    with refused("23503"):
        await deliver("nowhere")


@pytest.mark.parametrize("role", ["leo_app", "leo_worker"])
@pytest.mark.parametrize("status", ["queued", "sending"])
async def test_a_delivery_needs_a_current_consent(
    roles: dict[str, asyncpg.Connection], tenant_a: Tenant, role: str, status: str
) -> None:
    connection = roles[role]
    withdrawn = "update consent_management set status = 'withdrawn', withdrawn_at = now()"
    expired = "update consent_management set status = 'granted', expires_at = now() - interval '1 second'"
    with pytest.raises(asyncpg.PostgresError) as caught:
        await _deliver(connection, tenant_a, status=status, key="d2", channel="telegram")
    assert (caught.value.sqlstate, caught.value.constraint_name) == ("LE002", "delivery_log_consent")
    with refused("LE002"):
        await _deliver(connection, tenant_a, status=status, key="d2", profile_id="p2")
    for change in (withdrawn, expired):
        await connection.execute(change)
        with refused("LE002"):
            await _deliver(connection, tenant_a, status=status, key="d2")
    await connection.execute("update consent_management set expires_at = now() + interval '1 hour'")
    await _deliver(connection, tenant_a, status=status, key="d2")


async def test_one_row_without_consent_refuses_its_statement(
    app: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await fill(app, tenant_a)
    await enter(app, tenant_a)
    with refused("LE002"):
        await app.execute(
            "insert into delivery_log (tenant_id, delivery_key, task_id, marketing_event_id, profile_id,"
            " snapshot_id, channel, delivery_status)"
            " select $1, 'many' || n, 't1', 'm1', case n when 7 then 'p2' else 'p1' end, 's1', 'email', 'queued'"
            " from generate_series(1, 10) as n",
            UUID(int=tenant_a.int),
        )
    assert await app.fetchval("select count(*) from delivery_log") == 1


@pytest.mark.parametrize("status", ["suppressed", "sent", "failed", "bounced", "cancelled", "unknown"])
async def test_facts_need_no_consent(app: asyncpg.Connection, tenant_a: Tenant, status: str) -> None:
    await fill(app, tenant_a)
    await enter(app, tenant_a)
    await _deliver(app, tenant_a, status=status, profile_id="p2", key="d2")


async def test_a_delivery_is_queued_once_and_each_attempt_sent_once(
    app: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await fill(app, tenant_a)
    await enter(app, tenant_a)
    with refused("23505"):
        await _deliver(app, tenant_a, status="queued")
    await _deliver(app, tenant_a, status="sending")
    with refused("23505"):
        await _deliver(app, tenant_a, status="sending")
    await _deliver(app, tenant_a, status="sending", attempt=2)


async def test_the_status_of_a_delivery_never_goes_backwards(
    app: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await fill(app, tenant_a)
    await enter(app, tenant_a)
    for status, expected in (
        ("sending", "sending"),
        ("unknown", "unknown"),
        ("sent", "sent"),
        ("delivered", "delivered"),
        ("sent", "delivered"),
        ("read", "read"),
        ("unknown", "read"),
        ("sent", "read"),
    ):
        await _deliver(app, tenant_a, status=status)
        rows = await app.fetch("select delivery_status from delivery_current where delivery_key = 'd1'")
        assert [row["delivery_status"] for row in rows] == [expected]


@pytest.mark.parametrize(
    "change",
    [
        "status = 'completed'",
        "due_at = now()",
        "lease_owner = 'w', lease_until = now()",
        "attempts = attempts + 1",
    ],
)
async def test_a_task_moves_through_the_work_list(
    app: asyncpg.Connection, tenant_a: Tenant, change: str
) -> None:
    await fill(app, tenant_a)
    await enter(app, tenant_a)
    assert await app.execute(f"update agent_task set {change} where task_id = 't1'") == "UPDATE 1"


async def test_what_a_task_recorded_does_not_change(roles: dict[str, asyncpg.Connection]) -> None:
    mutable = {"status", "due_at", "lease_owner", "lease_until", "attempts", "held_by", "updated_at"}
    write_once = {"reasoning_summary", "reasoning_trace", "result", "output_sha256"}
    values = {"jsonb": "'{\"other\": 1}'", "text": "'execute'", "bigint": "7", "uuid": "gen_random_uuid()"}
    columns = await roles["superuser"].fetch(
        "select attname as name, format_type(atttypid, null) as type from pg_attribute"
        " where attrelid = 'agent_task'::regclass and attnum > 0"
    )
    assert mutable | write_once < {column["name"] for column in columns}
    for column in columns:
        name, value = column["name"], values.get(column["type"], "now()")
        if name in mutable or (name in write_once and name != "reasoning_summary"):
            continue
        value = {"task_type": "'plan'", "outcome": "'suppressed'", "recorded_xid": "'7'"}.get(name, value)
        for role in ("leo_owner", "superuser"):
            with refused("LE003"):
                await roles[role].execute(f"update agent_task set {name} = {value} where task_id = 't1'")
        with refused("LE003", "42501"):
            await roles["leo_app"].execute(f"update agent_task set {name} = {value} where task_id = 't1'")


@pytest.mark.parametrize(
    ("column", "first", "second"),
    [
        ("reasoning_trace", '{"step": 1}', '{"step": 2}'),
        ("result", '{"sent": true}', "{}"),
        ("output_sha256", "abc", "abd"),
    ],
)
async def test_reasoning_and_result_are_written_once(
    app: asyncpg.Connection, tenant_a: Tenant, column: str, first: str, second: str
) -> None:
    await fill(app, tenant_a)
    await enter(app, tenant_a)
    assert await app.execute(f"update agent_task set {column} = '{first}'") == "UPDATE 1"
    assert (
        await app.execute(f"update agent_task set {column} = '{first}', status = 'completed'") == "UPDATE 1"
    )
    for change in (f"'{second}'", "null"):
        with refused("LE003"):
            await app.execute(f"update agent_task set {column} = {change}")


async def test_tasks_are_not_removed(roles: dict[str, asyncpg.Connection]) -> None:
    for role in ("leo_owner", "superuser"):
        for statement in ("delete from agent_task", "truncate agent_task cascade"):
            with refused("LE001"):
                await roles[role].execute(statement)


@pytest.mark.parametrize("occurred_at", ["1989-12-31 23:59:59+00", "now() + interval '25 hours'"])
async def test_events_happen_within_bounds(
    app: asyncpg.Connection, tenant_a: Tenant, occurred_at: str
) -> None:
    await fill(app, tenant_a)
    await enter(app, tenant_a)
    when = occurred_at if occurred_at.startswith("now") else f"'{occurred_at}'::timestamptz"
    with refused("23514"):
        await app.execute(
            "insert into agent_task (tenant_id, task_id, agent_name, task_type, occurred_at)"
            f" values ($1, 'late', 'rules', 'execute', {when})",
            UUID(int=tenant_a.int),
        )
    with refused("23514"):
        await app.execute(
            "insert into behavioral_events (tenant_id, event_key, profile_id, source_event_id, event_type,"
            f" occurred_at) values ($1, 'late', 'p1', 'late', 'purchase', {when})",
            UUID(int=tenant_a.int),
        )


async def test_mutable_tables_keep_their_timestamp(roles: dict[str, asyncpg.Connection]) -> None:
    superuser = roles["superuser"]
    rows = await superuser.fetch(
        "select attrelid::regclass::text as name from pg_attribute join pg_class c on c.oid = attrelid"
        " where attname = 'updated_at' and relkind in ('r', 'p') and not relispartition"
    )
    assert len(rows) == 19 - len(_APPEND_ONLY)
    for row in rows:
        await superuser.execute(f"update {row['name']} set updated_at = '2000-01-01'")
        stale = await superuser.fetchval(
            f"select count(*) from {row['name']} where updated_at < '2001-01-01'"
        )
        assert stale == 0, row["name"]


async def test_one_name_of_a_segment_has_one_meaning(app: asyncpg.Connection, tenant_a: Tenant) -> None:
    await fill(app, tenant_a)
    await enter(app, tenant_a)
    insert = (
        "insert into campaign (tenant_id, campaign_id, campaign_code, campaign_name, objective, status, audience)"
        " values ($1, $2, $2, $2, '', $3, jsonb_build_object('name', 'vip', 'condition', 1, 'version', $4::text))"
    )
    tenant_id = UUID(int=tenant_a.int)
    await app.execute(insert, tenant_id, "one", "active", "v1")
    await app.execute(insert, tenant_id, "two", "active", "v1")
    await app.execute(insert, tenant_id, "three", "draft", "v2")
    with refused("LE005"):
        await app.execute(insert, tenant_id, "four", "active", "v2")
    with refused("LE005"):
        await app.execute("update campaign set status = 'active' where campaign_id = 'three'")


async def _deliver(
    connection: asyncpg.Connection,
    tenant: Tenant,
    *,
    status: str,
    key: str = "d1",
    attempt: int = 1,
    task_id: str | None = "t1",
    snapshot_id: str | None = "s1",
    profile_id: str = "p1",
    channel: str = "email",
) -> None:
    await connection.execute(
        "insert into delivery_log (tenant_id, delivery_key, attempt, task_id, marketing_event_id, profile_id,"
        " snapshot_id, channel, delivery_status) values ($1, $2, $3, $4, 'm1', $5, $6, $7, $8)",
        UUID(int=tenant.int),
        key,
        attempt,
        task_id,
        profile_id,
        snapshot_id,
        channel,
        status,
    )
