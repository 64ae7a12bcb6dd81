"""Migrations go up and down with rows in every table, and give the same schema each time."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from server.embedded.database_setup import DatabaseUrls
from server.platform.migrations import MigrationAction, migrate
from tests.schema.rows import connect_all, fill, register

_MIGRATIONS = sorted(path.name for path in (Path(__file__).parents[2] / "db" / "migrations").glob("*.sql"))

# Everything of ours that the catalogue knows, as text: what two equal schemas have in common.
_CATALOGUE = """
with ours as (
    select oid, relname, relkind, relowner, relacl, reloptions, relrowsecurity, relforcerowsecurity, relpartbound
    from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'S', 'i', 'I')
        and relname !~ '^schema_migrations'
        and not exists (select from pg_depend d where d.objid = pg_class.oid and d.deptype = 'e')
), functions as (
    select p.* from pg_proc p
    where pronamespace = 'public'::regnamespace
        and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
)
select format('relation %s %s %s %s %s %s %s %s %s', relname, relkind, relowner::regrole, relrowsecurity,
    relforcerowsecurity, reloptions, pg_get_expr(relpartbound, oid), obj_description(oid, 'pg_class'),
    array(select acl::text
        from unnest(coalesce(relacl, acldefault(case relkind when 'S' then 's' else 'r' end::"char", relowner)))
            as acl order by 1)) as line
from ours
union all
select format('column %s.%s %s %s %s %s %s %s', relname, attname, format_type(atttypid, atttypmod), attnotnull,
    attcollation::regcollation, pg_get_expr(adbin, adrelid), col_description(ours.oid, attnum), attacl)
from ours join pg_attribute a on a.attrelid = ours.oid and attnum > 0 and not attisdropped
left join pg_attrdef on adrelid = attrelid and adnum = attnum
union all
select format('constraint %s on %s %s', conname, conrelid::regclass, pg_get_constraintdef(c.oid))
from pg_constraint c join ours on ours.oid = conrelid
union all
select pg_get_indexdef(oid) from ours where relkind in ('i', 'I')
union all
select format('%s %s', pg_get_triggerdef(t.oid), tgenabled)
from pg_trigger t join ours on ours.oid = tgrelid where not tgisinternal
union all
select format('policy %s on %s %s %s %s %s', polname, polrelid::regclass, polcmd,
    array(select case role when 0 then 'public' else role::regrole::text end
        from unnest(polroles) as role order by 1),
    pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
from pg_policy join ours on ours.oid = polrelid
union all
select format('%s owner %s acl %s %s', pg_get_functiondef(oid), proowner::regrole,
    array(select acl::text from unnest(proacl) as acl order by 1), obj_description(oid, 'pg_proc')) from functions
union all
select pg_get_viewdef(oid) from ours where relkind = 'v'
union all
select format('schema %s', array(select acl::text from unnest(nspacl) as acl order by 1))
from pg_namespace where nspname = 'public'
order by 1
"""


async def test_down_leaves_nothing_and_up_restores_everything(
    database: DatabaseUrls, proof: asyncpg.Connection
) -> None:
    original = await _catalogue(database)
    await _fill(database)
    await _down(database, len(_MIGRATIONS))
    left = [line for line in await _catalogue(database) if not line.startswith("schema ")]
    assert left == []
    assert await migrate(database.owner_url, MigrationAction.UP)
    assert await _catalogue(database) == original
    await _fill(database)
    assert await proof.fetchval("select count(*) from delivery_log") == 1


@pytest.mark.parametrize("steps", range(1, len(_MIGRATIONS)))
async def test_each_step_goes_down_and_up_over_rows(
    database: DatabaseUrls, proof: asyncpg.Connection, steps: int
) -> None:
    await _fill(database)
    original = await _catalogue(database)
    await _down(database, steps)
    await migrate(database.owner_url, MigrationAction.UP)
    await _fill(database)
    assert await _catalogue(database) == original
    vectors = await proof.fetchval("select count(interest_embedding) from cdp_profiles")
    assert await proof.fetchval("select count(vector_signs) from embedding_job") == vectors


async def _fill(database: DatabaseUrls) -> None:
    roles = await connect_all(database)
    tenant_id = await roles["leo_proof"].fetchval("select gen_random_uuid()")
    await register(roles["leo_admin"], tenant_id)
    await fill(roles["leo_app"], tenant_id)
    for connection in roles.values():
        await connection.close()


async def _down(database: DatabaseUrls, steps: int) -> None:
    for _ in range(steps):
        await migrate(database.owner_url, MigrationAction.DOWN)


async def _catalogue(database: DatabaseUrls) -> list[str]:
    connection = await asyncpg.connect(database.superuser_url)
    try:
        rows = await connection.fetch(_CATALOGUE)
    finally:
        await connection.close()
    return [row["line"] for row in rows]
