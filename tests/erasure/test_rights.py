"""What passes the triggers is one function, and it changes one person's rows, nothing else."""

from __future__ import annotations

from uuid import UUID

import asyncpg
import pytest

from server.embedded.database_setup import DatabaseUrls
from tests.erasure.conftest import Everything
from tests.fixtures.tenants import Tenant
from tests.schema.rows import connect_all, enter, fill

_ERASE = "select complete from erase_profile($1, $2, $3, $4, $5)"
_RECORDED = (
    "update delivery_log set destination = '(erased)'",
    "update behavioral_events set attributes = '{}'",
    "update activation_outcomes set metadata = '{}'",
    "update agent_task set inputs = '{}'",
    "delete from behavioral_events",
    "delete from delivery_log",
)
_SERVED = (
    *_RECORDED,
    "update cdp_profiles set erased_at = now()",
    "update cdp_profiles set suppression = '{a}'",
    "set role leo_eraser",
    "select redact_rows('{tenant}', 'p1', 10)",
    "select begin_erasure('{tenant}', 'p1', '{}')",
    "select cancel_erased_tasks('{tenant}', 'p1')",
)


async def test_nothing_else_is_changed_whatever_is_asked_of_it(
    database: DatabaseUrls, everything: Everything, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    roles = await connect_all(database)
    for tenant in (tenant_a, tenant_b):
        await fill(roles["leo_app"], tenant)
    before = await everything.rows()
    # The owner, whom no service has, may do to the stub's table what it likes, and no more to what was recorded.
    for role, statements in (("leo_app", _SERVED), ("leo_worker", _SERVED), ("leo_owner", _RECORDED)):
        await enter(roles[role], tenant_a)
        for statement in statements:
            with pytest.raises(asyncpg.PostgresError) as refused:
                await roles[role].execute(statement.replace("{tenant}", str(UUID(int=tenant_a.int))))
                pytest.fail(f"{role}: {statement}")
            assert refused.value.sqlstate in ("42501", "LE001", "LE003"), (role, statement)
    app = roles["leo_app"]
    faulty: tuple[tuple[object, ...], ...] = (
        ("p1", "", "ticket", [], 10),
        ("p1", "me", "", [], 10),
        ("p1", "me", "ticket", [], 0),
        ("p1", None, None, None, None),
    )
    for arguments in faulty:
        with pytest.raises(asyncpg.InvalidParameterValueError):
            await app.fetch(_ERASE, *arguments)
    for nobody in ("nobody", "", "%", "p1' or true --", None):
        assert await app.fetch(_ERASE, nobody, "me", "ticket", [], 10) == []
    # Of people who were not erased, and of tasks that are no receipts, the other two functions change nothing.
    await app.execute("select redact_erased(array['p1', 'p2'])")
    await enter(roles["leo_worker"], tenant_a)
    await roles["leo_worker"].execute("select forget_receipts(array(select task_id from agent_task))")
    assert await app.fetchval("select readmit_profile('p1', 'me', 'ticket')") is False
    await enter(app, None)
    assert await app.fetch(_ERASE, "p1", "me", "ticket", [], 10) == []
    assert await everything.rows() == before
    for connection in roles.values():
        await connection.close()


async def test_a_search_path_of_the_callers_own_leads_nowhere(
    database: DatabaseUrls, everything: Everything, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    roles = await connect_all(database)
    app = roles["leo_app"]
    for tenant in (tenant_a, tenant_b):
        await fill(app, tenant)
    others = await everything.rows(without=[str(UUID(int=tenant_a.int))])
    await enter(app, tenant_a)
    await app.execute("create temp table cdp_profiles (like public.cdp_profiles)")
    await app.execute("create temp table agent_task (like public.agent_task)")
    await app.execute(
        "create function pg_temp.redact_rows(uuid, text, integer) returns jsonb"
        " language sql as $$ select '{\"fooled\": 1}'::jsonb $$"
    )
    await app.execute("set search_path = pg_temp, public")
    complete = [await app.fetchval(_ERASE, "p1", "me", "ticket", [], 10) for _ in range(2)]
    assert complete == [False, True]
    erased = await everything.proof.fetch(
        "select tenant_id, erased_at is not null as erased from cdp_profiles"
    )
    assert {row["tenant_id"] for row in erased if row["erased"]} == {UUID(int=tenant_a.int)}
    left = await everything.proof.fetch(
        "select inputs::text from agent_task where tenant_id = $1 and profile_id = 'p1'"
        " and agent_name <> 'eraser'",
        UUID(int=tenant_a.int),
    )
    assert {row["inputs"] for row in left} == {'{"erased": true}'}
    assert await everything.rows(without=[str(UUID(int=tenant_a.int))]) == others
    for connection in roles.values():
        await connection.close()
