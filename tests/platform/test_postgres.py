"""Pool and transactions: whose rows one sees, who may serve at all, what a lost connection means."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import asyncpg
import pytest

from server.embedded.database_setup import DatabaseUrls, with_database
from server.errors import Overloaded, Unavailable, UnsafeRole
from server.platform.postgres import CommitOutcomeUnknown, Database, Timeouts, enter_tenant, savepoint
from tests.platform.proxy import CuttingProxy

CONTEXT = "select nullif(current_setting('app.current_tenant_id', true), '')::uuid"
DEFAULT_TIMEOUTS = Timeouts()
INSERT = "insert into sample (tenant_id, sample_key) values ($1, $2)"


async def test_the_tenant_is_set_for_its_transaction_only(pool: Database) -> None:
    tenant = uuid4()
    async with pool.tenant_transaction(tenant) as connection:
        assert await connection.fetchval(CONTEXT) == tenant
    async with pool.transaction() as connection:
        assert await connection.fetchval(CONTEXT) is None


async def test_a_context_that_was_set_for_the_session_by_mistake_is_not_met_by_the_next(
    pool: Database,
) -> None:
    async with pool.transaction() as connection:
        await connection.execute(f"select set_config('app.current_tenant_id', '{uuid4()}', false)")
    async with pool.transaction() as connection:
        assert await connection.fetchval(CONTEXT) is None


async def test_an_error_leaves_neither_rows_nor_context(pool: Database, sample: str, proof_url: str) -> None:
    tenant = uuid4()
    with pytest.raises(KeyError):
        async with pool.tenant_transaction(tenant) as connection:
            await connection.execute(INSERT, tenant, "a")
            raise KeyError
    async with pool.transaction() as connection:
        assert await connection.fetchval(CONTEXT) is None
    assert await _count(proof_url) == 0


async def test_one_tenant_neither_sees_nor_writes_the_rows_of_another(
    pool: Database, sample: str, proof_url: str
) -> None:
    ours, theirs = uuid4(), uuid4()
    async with pool.tenant_transaction(theirs) as connection:
        await connection.execute(INSERT, theirs, "a")
    assert await _count(proof_url) == 1
    async with pool.tenant_transaction(ours) as connection:
        assert await connection.fetch("select * from sample") == []
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with savepoint(connection):
                await connection.execute(INSERT, theirs, "b")


async def test_the_tenant_can_be_switched_inside_a_transaction(pool: Database, sample: str) -> None:
    tenants = uuid4(), uuid4()
    async with pool.transaction() as connection:
        for tenant in tenants:
            await enter_tenant(connection, tenant)
            await connection.execute(INSERT, tenant, "a")
            assert await connection.fetchval("select count(*) from sample") == 1


async def test_only_a_uuid_can_be_a_tenant(pool: Database) -> None:
    with pytest.raises(TypeError):
        async with pool.tenant_transaction("x', false); drop table sample; --"):  # type: ignore[arg-type]
            pass


async def test_a_readonly_transaction_can_not_write(pool: Database, sample: str) -> None:
    tenant = uuid4()
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        async with pool.tenant_transaction(tenant, readonly=True) as connection:
            await connection.execute(INSERT, tenant, "a")


async def test_a_savepoint_undoes_its_own_block_only(pool: Database, sample: str, proof_url: str) -> None:
    tenant = uuid4()
    async with pool.tenant_transaction(tenant) as connection:
        await connection.execute(INSERT, tenant, "kept")
        with pytest.raises(asyncpg.UniqueViolationError):
            async with savepoint(connection):
                await connection.execute(INSERT, tenant, "undone")
                async with savepoint(connection):
                    await connection.execute(INSERT, tenant, "kept")
        await connection.execute(INSERT, tenant, "kept too")
    assert await _count(proof_url) == 2


async def test_an_error_that_was_swallowed_does_not_look_like_a_commit(pool: Database, sample: str) -> None:
    tenant = uuid4()
    with pytest.raises(asyncpg.InFailedSQLTransactionError):
        async with pool.tenant_transaction(tenant) as connection:
            await connection.execute(INSERT, tenant, "a")
            with pytest.raises(asyncpg.UniqueViolationError):
                await connection.execute(INSERT, tenant, "a")


async def test_json_travels_as_text_and_vectors_as_floats(pool: Database) -> None:
    async with pool.transaction() as connection:
        assert await connection.fetchval("select $1::jsonb", b'{"a": 1}') == '{"a": 1}'
        assert await connection.fetchval("select $1::json", '{"a":1}') == '{"a":1}'
        assert await connection.fetchval("select $1::jsonb[]", ["1", None]) == ["1", None]
        assert await connection.fetchval("select $1::vector", [0.5, -2.0]) == (0.5, -2.0)


async def test_commits_are_durable_and_statements_bounded(pool: Database) -> None:
    async with pool.transaction() as connection:
        assert await connection.fetchval("show synchronous_commit") == "on"
        assert await connection.fetchval("show statement_timeout") == "30s"
        assert await connection.fetchval("show lock_timeout") == "10s"
        assert await connection.fetchval("show idle_in_transaction_session_timeout") == "1min"
        assert await connection.fetchval("show tcp_keepalives_idle") == "2"
        assert await connection.fetchval("show tcp_user_timeout") == "5000"
        assert await connection.fetchval("show application_name") == "tests"
    await pool.ping()


async def test_a_statement_that_takes_too_long_is_unavailable(database: DatabaseUrls) -> None:
    pool = await _connect(database.app_url, Timeouts(statement_ms=20))
    with pytest.raises(Unavailable):
        async with pool.transaction() as connection:
            await connection.execute("select pg_sleep(10)")
    await pool.ping()
    await pool.close()


async def test_a_pool_without_a_free_connection_says_so(database: DatabaseUrls) -> None:
    pool = await _connect(database.app_url, Timeouts(acquire_seconds=0.02))
    async with pool.transaction():
        with pytest.raises(Overloaded):
            async with pool.transaction():
                pass
    await pool.close()


async def test_a_database_that_is_away_is_unavailable(unused_tcp_port: int) -> None:
    with pytest.raises(Unavailable):
        await _connect(f"postgresql://leo_app:x@127.0.0.1:{unused_tcp_port}/leo")


async def test_a_connection_lost_in_mid_transaction_is_unavailable_and_replaced(
    pool: Database, sample: str, database: DatabaseUrls
) -> None:
    tenant = uuid4()
    with pytest.raises(Unavailable):
        async with pool.tenant_transaction(tenant) as connection:
            await connection.execute(INSERT, tenant, "a")
            await _terminate(database, connection.get_server_pid())
            await connection.fetchval("select 1")
    await pool.ping()
    assert await _count(database.proof_url) == 0


async def test_a_commit_whose_answer_is_lost_is_told_apart(database: DatabaseUrls, sample: str) -> None:
    tenant = uuid4()
    async with CuttingProxy(database.app_url) as proxy:
        pool = await _connect(proxy.url)
        with pytest.raises(CommitOutcomeUnknown):
            async with pool.tenant_transaction(tenant) as connection:
                await connection.execute(INSERT, tenant, "a")
                proxy.lose_answers()
        assert await _count(database.proof_url) == 1
        await pool.close()


async def test_a_cancellation_lets_the_commit_finish(pool: Database, sample: str, proof_url: str) -> None:
    tenant = uuid4()
    at_the_end = asyncio.Event()

    async def insert() -> None:
        async with pool.tenant_transaction(tenant) as connection:
            await connection.execute(INSERT, tenant, "a")
            at_the_end.set()

    task = asyncio.create_task(insert())
    await at_the_end.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await _count(proof_url) == 1


async def test_a_cancellation_in_mid_statement_leaves_the_connection_usable(
    pool: Database, sample: str, proof_url: str
) -> None:
    tenant = uuid4()
    asleep = asyncio.Event()

    async def sleep() -> None:
        async with pool.tenant_transaction(tenant) as connection:
            await connection.execute(INSERT, tenant, "a")
            asleep.set()
            await connection.execute("select pg_sleep(60)")

    task = asyncio.create_task(sleep())
    await asleep.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with pool.transaction() as connection:
        assert await connection.fetchval(CONTEXT) is None
    assert await _count(proof_url) == 0


@pytest.mark.parametrize(
    ("grant", "why"),
    [
        ("alter role {role} superuser", "superuser"),
        ("alter role {role} bypassrls", "BYPASSRLS"),
        ("alter table sample owner to {role}", "owns the table sample"),
        ("grant leo_owner to {role}", "leo_owner"),
        ("grant leo_owner to {role} with inherit false, set true", "leo_owner"),
        ("grant leo_owner to {role} with inherit false, set false, admin true", "leo_owner"),
        ("grant leo_proof to {role} with inherit false, set true", "leo_proof"),
    ],
)
async def test_a_role_that_could_bypass_the_policies_is_refused(
    database: DatabaseUrls, sample: str, grant: str, why: str
) -> None:
    role = f"leo_unsafe_{uuid4().hex}"
    superuser = await asyncpg.connect(database.superuser_url)
    try:
        await superuser.execute(f"create role {role} login password 'unsafe'")
        await superuser.execute(
            f"grant connect on database {database.app_url.rpartition('/')[2]} to {role};"
            f"grant usage, create on schema public to {role}"
        )
        await (await _connect(_as_role(database.app_url, role))).close()
        await superuser.execute(grant.format(role=role))
        with pytest.raises(UnsafeRole, match=why):
            await _connect(_as_role(database.app_url, role))
    finally:
        await superuser.execute(
            f"reassign owned by {role} to leo_owner; drop owned by {role}; drop role {role}"
        )
        await superuser.close()


async def test_the_serving_roles_are_accepted_and_the_others_refused(database: DatabaseUrls) -> None:
    for url in (database.app_url, database.worker_url, database.admin_url):
        await (await _connect(url)).close()
    for url in (database.superuser_url, database.owner_url, database.proof_url):
        with pytest.raises(UnsafeRole):
            await _connect(url)


@pytest.fixture
def proof_url(database: DatabaseUrls) -> str:
    return database.proof_url


async def _connect(url: str, timeouts: Timeouts = DEFAULT_TIMEOUTS) -> Database:
    return await Database.connect(
        url, minimum_connections=1, maximum_connections=1, application_name="tests", timeouts=timeouts
    )


async def _count(proof_url: str) -> int:
    connection = await asyncpg.connect(proof_url)
    try:
        return int(await connection.fetchval("select count(*) from sample"))
    finally:
        await connection.close()


async def _terminate(database: DatabaseUrls, pid: int) -> None:
    superuser = await asyncpg.connect(with_database(database.superuser_url, "postgres"))
    try:
        await superuser.fetchval("select pg_terminate_backend($1, 5000)", pid)
    finally:
        await superuser.close()


def _as_role(url: str, role: str) -> str:
    return f"postgresql://{role}:unsafe@{url.rpartition('@')[2]}"
