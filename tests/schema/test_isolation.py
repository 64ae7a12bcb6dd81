"""No tenant touches another's rows, by no statement, in no table and no partition.

The tables come from the catalogue: a new one without rows in `rows.py`, or without policies, fails here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import pytest

from server.embedded.database_setup import DatabaseUrls
from tests.fixtures.tenants import Tenant
from tests.schema.rows import Table, connect_all, enter, fill, fill_partitions, refused, tenant_tables

_TABLES = {
    "tenant", "cdp_profiles", "consent_management", "campaign", "marketing_event", "message_templates",
    "agent_task", "delivery_log", "segment_snapshot", "segment_snapshot_member", "activation_experiments",
    "activation_outcomes", "behavioral_events", "data_sources", "instruments", "market_snapshot", "alert_rules",
    "news_feed", "embedding_job",
}  # fmt: skip
_APPEND_ONLY = "LE001"
_NO_PRIVILEGE = "42501"
_ROLES = ("leo_app", "leo_worker", "leo_admin", "leo_owner")


@dataclass(frozen=True, slots=True)
class Target:
    """A table with a tenant whose rows it holds, and another who must not touch them."""

    table: str
    victim: UUID
    intruder: UUID


@dataclass(frozen=True, slots=True)
class World:
    """Two tenants' rows in every table and partition, and a connection for each role."""

    roles: dict[str, asyncpg.Connection]
    superuser: asyncpg.Connection
    tables: Sequence[Table]
    targets: Sequence[Target]

    async def fingerprint(self) -> dict[str, str]:
        """What every table holds, seen past row-level security. Definition versions may move."""
        return {
            table.name: await self.superuser.fetchval(
                f"select coalesce(md5(string_agg(row, '' order by row)), '')"
                f" from (select (to_jsonb(t) - 'definitions_version')::text as row from {table.name} t) as rows"
            )
            for table in self.tables
        }


@pytest.fixture
async def world(database: DatabaseUrls, tenant_a: Tenant, tenant_b: Tenant) -> AsyncIterator[World]:
    roles = await connect_all(database)
    superuser = await asyncpg.connect(database.superuser_url)
    for tenant in (tenant_a, tenant_b):
        await fill(roles["leo_app"], tenant)
    pairs = await fill_partitions(roles["leo_app"], roles["leo_admin"])
    tables = await tenant_tables(superuser)
    targets = []
    for table in tables:
        victim, intruder = UUID(int=tenant_a.int), UUID(int=tenant_b.int)
        if table.name.startswith("marketing_event_p"):
            victim, intruder = pairs[int(table.name[-2:])]
        targets.append(Target(table.name, victim, intruder))
    yield World(roles, superuser, tables, targets)
    for connection in (*roles.values(), superuser):
        await connection.close()


async def test_every_table_is_known_and_holds_rows_of_both_tenants(world: World) -> None:
    assert {table.name for table in world.tables if not table.is_partition} == _TABLES
    assert len([table for table in world.tables if table.is_partition]) == 16 + 2
    for target in world.targets:
        for tenant_id in (target.victim, target.intruder):
            count = f"select count(*) from {target.table} where tenant_id = $1"
            assert await world.superuser.fetchval(count, tenant_id) > 0, target.table
    proof = world.roles["leo_proof"]
    for table in _TABLES:
        assert await proof.fetchval(f"select count(distinct tenant_id) from {table}") >= 2, table


async def test_every_table_and_partition_forces_the_policy(world: World) -> None:
    rows = await world.superuser.fetch(
        """
        select c.relname, c.relrowsecurity, c.relforcerowsecurity,
            array(select polname::text from pg_policy where polrelid = c.oid) as policies,
            c.relispartition and c.relacl is not null and exists (
                select from aclexplode(c.relacl) as g where g.grantee <> c.relowner
            ) as granted
        from pg_class c
        where c.relname = any($1)
        """,
        [table.name for table in world.tables],
    )
    for row in rows:
        assert row["relrowsecurity"], row["relname"]
        assert row["relforcerowsecurity"], row["relname"]
        expected = "tenant_select_policy" if row["relname"] == "tenant" else "tenant_isolation"
        assert expected in row["policies"], row["relname"]
        assert not row["granted"], f"{row['relname']} is a partition and has grants of its own"


async def test_a_tenant_sees_its_own_rows_and_no_others(world: World) -> None:
    seen = 0
    for role in _ROLES:
        connection = world.roles[role]
        for target in world.targets:
            own = await _count(connection, target, context=target.victim)
            if own is None or (role == "leo_admin" and target.table == "tenant"):
                continue
            assert own > 0, f"{role} sees nothing of its own in {target.table}"
            assert await _count(connection, target, context=target.intruder) == 0, (role, target.table)
            assert await _count(connection, target, context=None) == 0, (role, target.table)
            seen += 1
    # app and worker read all tables; the owner reads everything by name, partitions included.
    assert seen == 2 * len(_TABLES) + len(world.targets) + 1


async def test_without_a_context_there_are_no_rows_at_all(world: World) -> None:
    await world.superuser.execute(
        "insert into instruments (symbol, instrument_name, type) values ('AAPL', 'Apple', 'STOCK');"
        "insert into market_snapshot (symbol, price_nanos) values ('AAPL', 1)"
    )
    for role in ("leo_app", "leo_worker"):
        await enter(world.roles[role], None)
        for table in _TABLES:
            assert await world.roles[role].fetchval(f"select count(*) from {table}") == 0, (role, table)


@pytest.mark.parametrize("context", ["intruder", "none"])
async def test_no_row_is_written_for_another_tenant(world: World, context: str) -> None:
    before = await world.fingerprint()
    for role in ("leo_app", "leo_worker", "leo_owner"):
        connection = world.roles[role]
        for target in world.targets:
            columns = await _columns(world, target.table)
            row = await world.superuser.fetchval(
                f"select to_jsonb(t)::text from {target.table} t where tenant_id = $1 limit 1", target.victim
            )
            await enter(connection, target.intruder if context == "intruder" else None)
            with refused(_NO_PRIVILEGE):
                await connection.execute(
                    f"insert into {target.table} ({columns}) overriding system value"
                    f" select {columns} from jsonb_populate_record(null::{target.table}, $1::text::jsonb)",
                    row,
                )
    assert await world.fingerprint() == before


@pytest.mark.parametrize("context", ["intruder", "none"])
@pytest.mark.parametrize("statement", ["update", "delete"])
async def test_no_row_of_another_tenant_changes(world: World, statement: str, context: str) -> None:
    before = await world.fingerprint()
    for role in ("leo_app", "leo_worker", "leo_owner"):
        connection = world.roles[role]
        for target in world.targets:
            await enter(connection, target.intruder if context == "intruder" else None)
            if statement == "update":
                column = await _updatable_column(connection, target.table)
                text = f"update {target.table} set {column} = {column} where tenant_id = $1"
            else:
                text = f"delete from {target.table} where tenant_id = $1"
            outcome = await _outcome(connection, text, target.victim)
            assert outcome in (f"{statement.upper()} 0", _NO_PRIVILEGE, _APPEND_ONLY), (role, target.table)
    assert await world.fingerprint() == before


async def test_nobody_who_serves_truncates(world: World) -> None:
    before = await world.fingerprint()
    for role in ("leo_app", "leo_worker", "leo_admin", "leo_proof"):
        for target in world.targets:
            with refused(_NO_PRIVILEGE):
                await world.roles[role].execute(f"truncate {target.table} cascade")
    assert await world.fingerprint() == before


async def test_the_tenant_is_in_every_key(world: World) -> None:
    without = await world.superuser.fetch(
        """
        select i.indexrelid::regclass as name
        from pg_index i
        join pg_class c on c.oid = i.indrelid
        where c.relname = any($1)
            and i.indisunique
            and not exists (
                select from pg_attribute a
                where a.attrelid = c.oid and a.attnum = any(i.indkey::smallint[]) and a.attname = 'tenant_id'
            )
        """,
        [table.name for table in world.tables],
    )
    assert {str(row["name"]) for row in without} == {"tenant_client", "tenant_name_in_realm"}
    foreign = await world.superuser.fetch(
        """
        select conname,
            array(select attname::text from pg_attribute where attrelid = conrelid and attnum = any(conkey)) as keys
        from pg_constraint where contype = 'f' and connamespace = 'public'::regnamespace
        """
    )
    assert foreign
    for key in foreign:
        assert "tenant_id" in key["keys"], key["conname"]


async def test_equal_keys_of_two_tenants_do_not_meet(world: World, database: DatabaseUrls) -> None:
    """`rows.py` gives both tenants the same keys: nothing of B's vanished in a conflict with A's."""
    for table in _TABLES - {"tenant"}:
        counts = [
            await world.superuser.fetchval(f"select count(*) from {table} where tenant_id = $1", tenant_id)
            for tenant_id in (world.targets[0].victim, world.targets[0].intruder)
        ]
        assert counts[0] == counts[1], table


@pytest.mark.parametrize(
    "statement",
    [
        "insert into consent_management (tenant_id, profile_id, channel, status, legal_basis, source, granted_at)"
        " values ($1, 'only-a', 'email', 'granted', 'consent', 'form', now())",
        "insert into segment_snapshot_member (tenant_id, snapshot_id, profile_id) values ($1, 'only-a', 'p1')",
        "insert into delivery_log (tenant_id, delivery_key, task_id, marketing_event_id, profile_id, snapshot_id,"
        " channel, delivery_status) values ($1, 'd9', 'only-a', 'm1', 'p1', 's1', 'email', 'suppressed')",
        "insert into delivery_log (tenant_id, delivery_key, task_id, marketing_event_id, profile_id, snapshot_id,"
        " channel, delivery_status) values ($1, 'd9', 't1', 'm1', 'p1', 'only-a', 'email', 'suppressed')",
    ],
)
async def test_a_key_of_another_tenant_cannot_be_referenced(
    app: asyncpg.Connection, tenant_a: Tenant, tenant_b: Tenant, statement: str
) -> None:
    for tenant in (tenant_a, tenant_b):
        await fill(app, tenant)
    await enter(app, tenant_a)
    for insert in (
        "insert into cdp_profiles (tenant_id, profile_id) values ($1, 'only-a')",
        "insert into segment_snapshot (tenant_id, snapshot_id, segment_name, segment_version, audience_sha256,"
        " member_count) values ($1, 'only-a', 'vip', 'v2', 'abd', 0)",
        "insert into agent_task (tenant_id, task_id, agent_name, task_type) values ($1, 'only-a', 'rules', 'plan')",
    ):
        await app.execute(insert, UUID(int=tenant_a.int))
    await enter(app, tenant_b)
    with refused("23503"):
        await app.execute(statement, UUID(int=tenant_b.int))
    await enter(app, tenant_a)
    await app.execute(statement, UUID(int=tenant_a.int))


async def _count(connection: asyncpg.Connection, target: Target, *, context: UUID | None) -> int | None:
    """The victim's rows as seen from a context; None where the role may not read the table."""
    await enter(connection, context)
    try:
        count: int = await connection.fetchval(
            f"select count(*) from {target.table} where tenant_id = $1", target.victim
        )
    except asyncpg.InsufficientPrivilegeError:
        return None
    return count


async def _outcome(connection: asyncpg.Connection, statement: str, argument: UUID) -> str:
    """The command's tag, or the SQLSTATE of its refusal."""
    try:
        return await connection.execute(statement, argument)
    except asyncpg.PostgresError as error:
        return error.sqlstate or ""


async def _columns(world: World, table: str) -> str:
    """The columns that an INSERT may name."""
    columns: str = await world.superuser.fetchval(
        "select string_agg(quote_ident(attname), ', ') from pg_attribute"
        " where attrelid = $1::text::regclass and attnum > 0 and not attisdropped and attgenerated = ''",
        table,
    )
    return columns


async def _updatable_column(connection: asyncpg.Connection, table: str) -> str:
    """A column that this role may change, so that the policy is what stops it; created_at if there is none."""
    column: str = await connection.fetchval(
        "select coalesce((select quote_ident(attname) from pg_attribute"
        " where attrelid = $1::text::regclass and attnum > 0 and attgenerated = '' and attidentity = ''"
        " and has_column_privilege(attrelid, attnum, 'update') order by attnum desc limit 1), 'created_at')",
        table,
    )
    return column
