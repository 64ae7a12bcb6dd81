"""What the few functions that reach past a role's own rights do, and that they do no more."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from server.embedded.database_setup import DatabaseUrls
from tests.fixtures.tenants import Tenant
from tests.schema.rows import connect_all, enter, fill, refused

_MINUTE = timedelta(minutes=1)
_CALLERS = {
    "resolve_tenant": {"leo_app"},
    "list_tenants": {"leo_app", "leo_worker"},
    "store_credential": {"leo_app", "leo_worker", "leo_admin"},
    "claim_tasks": {"leo_worker"},
    "due_queues": {"leo_app", "leo_worker"},
    "claim_data_sources": {"leo_worker"},
    "observe_data_sources": {"leo_worker"},
    "load_alert_rules": {"leo_app"},
    "changed_alert_rules": {"leo_app"},
    "changed_instruments": {"leo_app"},
    "note_rule_runtimes": {"leo_app"},
    "expire_alert_rules": {"leo_worker"},
    "claim_market_shards": {"leo_app"},
    "fire_alert_rules": {"leo_app"},
    "tenants_with_firings": {"leo_app"},
    "erase_profile": {"leo_app", "leo_worker"},
    "readmit_profile": {"leo_app"},
    "redact_erased": {"leo_app", "leo_worker"},
    "forget_receipts": {"leo_worker"},
    "ensure_month": {"leo_app", "leo_worker"},
    "detach_month": {"leo_worker"},
    "queue_active_profiles": {"leo_worker"},
    "drop_detached_month": {"leo_worker"},
    "bump_definitions_version": set[str](),
}


@pytest.fixture
async def roles(
    database: DatabaseUrls, tenant_a: Tenant, tenant_b: Tenant
) -> AsyncIterator[dict[str, asyncpg.Connection]]:
    """A connection for each role; both tenants have rows in every table."""
    connections = await connect_all(database)
    for tenant in (tenant_a, tenant_b):
        await fill(connections["leo_app"], tenant)
    yield connections
    for connection in connections.values():
        await connection.close()


async def test_each_has_an_owner_of_its_own_and_few_callers(proof: asyncpg.Connection) -> None:
    rows = await proof.fetch(
        """
        select proname, pg_get_userbyid(proowner) as owner, rolcanlogin, rolbypassrls, rolsuper, proconfig,
            array(select grantee::regrole::text from aclexplode(proacl)
                where grantee <> proowner and privilege_type = 'EXECUTE') as callers,
            has_function_privilege('public', p.oid, 'execute') as anybody
        from pg_proc p join pg_roles r on r.oid = proowner
        where prosecdef and pronamespace = 'public'::regnamespace and r.rolname like 'leo%'
            and proname = any($1)
        """,
        list(_CALLERS),
    )
    assert {row["proname"] for row in rows} == set(_CALLERS)
    for row in rows:
        powers = ("rolcanlogin", "rolbypassrls", "rolsuper", "anybody")
        assert not any(row[power] for power in powers), row["proname"]
        assert set(row["callers"]) == _CALLERS[row["proname"]], row["proname"]
        assert any(setting.startswith("search_path=") for setting in row["proconfig"]), row["proname"]
        assert row["owner"] not in ("leo_owner", "leo_proof")
    lent = await proof.fetch(
        "select rolname from pg_roles where rolname like 'leo%' and not rolsuper"
        " and has_schema_privilege(rolname, 'public', 'create')"
    )
    assert {row["rolname"] for row in lent} == {"leo_owner", "leo_partition_maker"}


async def test_resolve_tenant_knows_active_tenants_only(
    roles: dict[str, asyncpg.Connection], tenant_a: Tenant
) -> None:
    ask = "select resolve_tenant($1, $2)"
    app, admin = roles["leo_app"], roles["leo_admin"]
    assert await app.fetchval(ask, tenant_a.realm, tenant_a.client_id) == tenant_a
    assert await app.fetchval(ask, tenant_a.realm, "nobody") is None
    for status in ("suspended", "archived"):
        await admin.execute(
            "update tenant set status = $1 where tenant_id = $2", status, UUID(int=tenant_a.int)
        )
        assert await app.fetchval(ask, tenant_a.realm, tenant_a.client_id) is None


async def test_list_tenants_lists_active_tenants(
    roles: dict[str, asyncpg.Connection], tenant_a: Tenant, tenant_b: Tenant
) -> None:
    ask = "select tenant_id from list_tenants()"
    assert {row["tenant_id"] for row in await roles["leo_worker"].fetch(ask)} == {tenant_a, tenant_b}
    await roles["leo_admin"].execute(
        "update tenant set status = 'suspended' where tenant_id = $1", UUID(int=tenant_b.int)
    )
    assert {row["tenant_id"] for row in await roles["leo_worker"].fetch(ask)} == {tenant_a}


async def test_two_workers_never_get_one_task(
    database: DatabaseUrls, roles: dict[str, asyncpg.Connection], tenant_a: Tenant, tenant_b: Tenant
) -> None:
    app = roles["leo_app"]
    for tenant in (tenant_a, tenant_b):
        await enter(app, tenant)
        await app.execute(
            "insert into agent_task (tenant_id, task_id, agent_name, task_type, status, queue, due_at)"
            " select $1, 'work' || n, 'rules', 'execute', 'pending', 'push', now() from generate_series(1, 500) as n",
            UUID(int=tenant.int),
        )
    workers = [await asyncpg.connect(database.worker_url) for _ in range(4)]

    async def drain(worker: asyncpg.Connection, name: str) -> list[tuple[UUID, str]]:
        claimed: list[tuple[UUID, str]] = []
        while rows := await worker.fetch("select * from claim_tasks('push', 7, $1, $2)", _MINUTE, name):
            assert all(row["attempts"] == 1 for row in rows)
            claimed += [(row["tenant_id"], row["task_id"]) for row in rows]
        return claimed

    shares = await asyncio.gather(*(drain(worker, f"w{n}") for n, worker in enumerate(workers)))
    claimed = [task for share in shares for task in share]
    assert len(claimed) == len(set(claimed)) == 1000
    for worker in workers:
        await worker.close()


async def test_a_claim_takes_what_is_due_oldest_first(
    roles: dict[str, asyncpg.Connection], tenant_a: Tenant
) -> None:
    app, worker = roles["leo_app"], roles["leo_worker"]
    await enter(app, tenant_a)
    await app.execute(
        """
        insert into agent_task (tenant_id, task_id, agent_name, task_type, status, queue, due_at, lease_until)
        values ($1, 'future', 'r', 'execute', 'pending', 'q', now() + interval '1 hour', null),
            ($1, 'leased', 'r', 'execute', 'pending', 'q', now() - interval '9 hour', now() + interval '1 hour'),
            ($1, 'done', 'r', 'execute', 'completed', 'q', now() - interval '9 hour', null),
            ($1, 'elsewhere', 'r', 'execute', 'pending', 'other', now() - interval '9 hour', null),
            ($1, 'old', 'r', 'execute', 'pending', 'q', now() - interval '2 hour', null),
            ($1, 'expired', 'r', 'execute', 'pending', 'q', now() - interval '9 hour', now() - interval '1 hour'),
            ($1, 'new', 'r', 'execute', 'pending', 'q', now() - interval '1 minute', null)
        """,
        UUID(int=tenant_a.int),
    )
    queues = {row["queue"] for row in await worker.fetch("select queue from due_queues()")}
    assert queues == {"q", "other", "email"}
    claim = "select task_id from claim_tasks('q', $1, $2, 'w')"
    taken = [[row["task_id"] for row in await worker.fetch(claim, 1, _MINUTE)] for _ in range(4)]
    assert taken == [["old"], ["expired"], ["new"], []]
    task = await app.fetchrow("select lease_owner, attempts, lease_until - now() < '2 min' as soon from agent_task"
                              " where task_id = 'old'")  # fmt: skip
    assert task is not None
    assert tuple(task) == ("w", 1, True)
    assert {row["queue"] for row in await worker.fetch("select queue from due_queues()")} == {
        "other",
        "email",
    }


async def test_a_low_water_mark_skips_older_tasks(roles: dict[str, asyncpg.Connection]) -> None:
    worker = roles["leo_worker"]
    claim = "select count(*) from claim_tasks('email', 10, $1, 'w', $2)"
    mark = await worker.fetchval("select now() - interval '1 minute'")
    assert await worker.fetchval(claim, _MINUTE, mark) == 0
    assert await worker.fetchval("select count(*) from claim_tasks('email', 10, $1, 'w')", _MINUTE) == 2


async def test_credentials_are_written_for_the_tenant_in_context_only(
    roles: dict[str, asyncpg.Connection], tenant_a: Tenant, tenant_b: Tenant
) -> None:
    app, proof = roles["leo_app"], roles["leo_proof"]
    store = "select store_credential($1, 'zalo', $2)"
    await enter(app, tenant_a)
    await app.execute(store, UUID(int=tenant_a.int), '{"sealed": "abc"}')
    with refused("P0002"):
        await app.execute(store, UUID(int=tenant_b.int), '{"sealed": "abc"}')
    await enter(app, None)
    with refused("P0002"):
        await app.execute(store, UUID(int=tenant_a.int), '{"sealed": "def"}')
    kept = "select metadata -> 'channel_credentials' -> 'zalo' from tenant where tenant_id = $1"
    assert json.loads(await proof.fetchval(kept, UUID(int=tenant_a.int))) == {"sealed": "abc"}
    assert await proof.fetchval(kept, UUID(int=tenant_b.int)) is None
    # An administrator who replaces the metadata neither loses nor plants a credential.
    for metadata in ('{"brand": "x"}', '{"channel_credentials": {"zalo": {"sealed": "planted"}}}'):
        await roles["leo_admin"].execute("update tenant set metadata = $1", metadata)
    assert json.loads(await proof.fetchval(kept, UUID(int=tenant_a.int))) == {"sealed": "abc"}
    assert await proof.fetchval(kept, UUID(int=tenant_b.int)) is None
    await enter(app, tenant_a)
    await app.execute(store, UUID(int=tenant_a.int), None)
    assert await proof.fetchval(kept, UUID(int=tenant_a.int)) is None


async def test_an_erased_profile_leaves_ids_and_times(
    roles: dict[str, asyncpg.Connection], tenant_a: Tenant, tenant_b: Tenant
) -> None:
    app, proof = roles["leo_app"], roles["leo_proof"]
    counts = await _counts(proof)
    await enter(app, tenant_b)
    untouched = await _rows_of(app)
    await enter(app, tenant_a)
    erase = "select complete from erase_profile($1, 'me', 'ticket', '{}', 100)"
    assert await app.fetchval(erase, "nobody") is None
    assert [await app.fetchval(erase, "p1") for _ in range(3)] == [False, True, True]
    rows = await _rows_of(app)
    for personal in ("a@example.com", "crm:1", '"vip"', "because", '"Hi"', '"amount"'):
        assert personal not in rows.replace('"segment_name": "vip"', ""), personal
    for kept in ("s1", "t1", "d1", "k1", "ev1"):
        assert f'"{kept}"' in rows
    assert await app.fetchval("select status from consent_management") == "withdrawn"
    assert await app.fetchval("select status from agent_task where agent_name <> 'eraser'") == "cancelled"
    assert await app.fetchval("select status from alert_rules") == "DISABLED"
    with refused("LE003"):
        await app.execute("update agent_task set result = '{\"late\": 1}'")
    with refused("42501"):
        await app.execute("update cdp_profiles set erased_at = null")
    # The audit is new, and what was queued is cancelled.
    assert await _counts(proof) == [n + (place in (2, 3)) for place, n in enumerate(counts)]
    await enter(app, tenant_b)
    assert await _rows_of(app) == untouched


async def test_alert_rules_load_page_by_page_for_every_tenant(
    roles: dict[str, asyncpg.Connection], tenant_a: Tenant, tenant_b: Tenant
) -> None:
    app = roles["leo_app"]
    for tenant in (tenant_a, tenant_b):
        await enter(app, tenant)
        await app.execute(
            "insert into alert_rules (tenant_id, rule_id, profile_id, symbol, condition_logic, source, status)"
            " select $1, 'x' || n, 'p1', 'S' || n % 40, '{}', 'AI_AGENT',"
            " case when n % 5 = 0 then 'DISABLED' else 'ACTIVE' end from generate_series(1, 200) as n",
            UUID(int=tenant.int),
        )
    await enter(app, None)
    loaded: list[tuple[UUID, str]] = []
    for shard in range(64):
        after: tuple[UUID, str] = (UUID(int=0), "")
        while rows := await app.fetch("select * from load_alert_rules($1, $2, $3, 7)", shard, *after):
            loaded += [(row["tenant_id"], row["rule_id"]) for row in rows]
            after = loaded[-1]
    assert len(loaded) == len(set(loaded)) == 2 * (160 + 1)


@pytest.mark.parametrize(
    ("change", "bumps"),
    [
        ("update campaign set objective = 'RETENTION'", True),
        ("update campaign set objective = objective", False),
        ("update marketing_event set status = 'superseded'", True),
        ("update marketing_event set embedding = (array_fill(0.5, array[1536]))::vector", False),
        ("update message_templates set body_template = 'Hello'", True),
        ("update activation_experiments set status = 'completed'", True),
        ("update activation_experiments set exposure_count = 5", False),
        ("update cdp_profiles set language = 'vi'", False),
    ],
)
async def test_definitions_raise_their_tenants_version(
    roles: dict[str, asyncpg.Connection], tenant_a: Tenant, change: str, bumps: bool
) -> None:
    app = roles["leo_app"]
    before = await _versions(roles["leo_proof"])
    await enter(app, tenant_a)
    assert await app.execute(change) != "UPDATE 0"
    after = await _versions(roles["leo_proof"])
    raised = {tenant_id for tenant_id, version in after.items() if version > before[tenant_id]}
    assert raised == ({UUID(int=tenant_a.int)} if bumps else set())


async def test_tenant_wide_caps_raise_the_version(roles: dict[str, asyncpg.Connection]) -> None:
    before = await _versions(roles["leo_proof"])
    await roles["leo_admin"].execute("update tenant set metadata = '{\"frequency_caps\": []}'")
    assert await _versions(roles["leo_proof"]) == {tenant: version + 1 for tenant, version in before.items()}
    await roles["leo_admin"].execute("update tenant set tenant_name = tenant_name || '!'")
    assert await _versions(roles["leo_proof"]) == {tenant: version + 1 for tenant, version in before.items()}


async def test_global_rows_have_their_own_writers(
    roles: dict[str, asyncpg.Connection], tenant_a: Tenant
) -> None:
    app, admin = roles["leo_app"], roles["leo_admin"]
    instrument = "insert into instruments (symbol, instrument_name, type) values ('AAPL', 'Apple', 'STOCK')"
    price = (
        "insert into market_snapshot (symbol, price_nanos) values ('AAPL', $1)"
        " on conflict (tenant_id, symbol) do update set price_nanos = excluded.price_nanos"
    )
    await enter(app, tenant_a)
    for statement in (instrument, price.replace("$1", "1")):
        with refused("42501"):
            await app.execute(statement)
    await admin.execute(instrument)
    with refused("23505"):
        await admin.execute(instrument)
    async with app.transaction():
        await app.execute("select set_config('app.global_ticks', 'on', true)")
        for nanos in (1_500_000_000, 2_500_000_001):
            await app.execute(price, nanos)
    with refused("42501"):
        await app.execute(price, 1)
    assert await app.execute("update market_snapshot set price_nanos = 1 where symbol = 'AAPL'") == "UPDATE 0"
    assert str(await app.fetchval("select price from market_snapshot where symbol = 'AAPL'")) == "2.500000001"
    assert await app.fetchval("select instrument_name from instruments where symbol = 'AAPL'") == "Apple"
    await enter(app, None)
    assert await app.fetchval("select count(*) from instruments") == 0


async def _versions(proof: asyncpg.Connection) -> dict[UUID, int]:
    rows = await proof.fetch("select tenant_id, definitions_version from tenant")
    return {row["tenant_id"]: row["definitions_version"] for row in rows}


async def _counts(proof: asyncpg.Connection) -> list[int]:
    tables = ("cdp_profiles", "consent_management", "agent_task", "delivery_log", "behavioral_events",
              "activation_outcomes", "segment_snapshot_member", "alert_rules", "embedding_job")  # fmt: skip
    return [await proof.fetchval(f"select count(*) from {table}") for table in tables]


async def _rows_of(app: asyncpg.Connection) -> str:
    """All rows of the context that are about profile p1, as one text."""
    texts = []
    for table in ("cdp_profiles", "consent_management", "agent_task", "delivery_log", "behavioral_events",
                  "activation_outcomes", "alert_rules"):  # fmt: skip
        texts += await app.fetch(
            f"select to_jsonb(t)::text as row from {table} t where profile_id = 'p1' order by 1"
        )
    return "\n".join(row["row"] for row in texts)
