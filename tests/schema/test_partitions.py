"""Hash partitions of definitions, months of events."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest

from server.embedded.database_setup import DatabaseUrls
from tests.schema.rows import fill_partitions, refused, remainder_of


async def test_marketing_events_land_where_the_hash_of_their_tenant_says(database: DatabaseUrls) -> None:
    app, admin = await asyncpg.connect(database.app_url), await asyncpg.connect(database.admin_url)
    superuser = await asyncpg.connect(database.superuser_url)
    partitions = await superuser.fetchval(
        "select count(*) from pg_inherits where inhparent = 'marketing_event'::regclass"
    )
    assert partitions == 16
    await fill_partitions(app, admin)
    rows = await superuser.fetch(
        "select tenant_id, tableoid::regclass::text as partition from marketing_event"
    )
    assert len({row["partition"] for row in rows}) == 16
    for row in rows:
        remainder = await remainder_of(superuser, row["tenant_id"])
        assert row["partition"] == f"marketing_event_p{remainder:02}"
    for connection in (app, admin, superuser):
        await connection.close()


async def test_a_month_is_made_once_and_like_its_parent(
    app: asyncpg.Connection, proof: asyncpg.Connection
) -> None:
    assert await app.fetchval("select ensure_month('1997-02-14')") is True
    assert await app.fetchval("select ensure_month('1997-02-01')") is False
    assert await _months(proof) == ["behavioral_events_1997_02"]
    shape = await proof.fetchrow(
        """
        select c.relrowsecurity, c.relforcerowsecurity, pg_get_userbyid(c.relowner) as owner,
            pg_get_expr(c.relpartbound, c.oid) as bounds,
            (select count(*) from pg_policy where polrelid = c.oid) as policies,
            (select count(*) from pg_trigger where tgrelid = c.oid and tgname = 'append_only') as triggers,
            (select count(*) from pg_inherits where inhrelid in (
                select indexrelid from pg_index where indrelid = c.oid)) as indexes,
            has_table_privilege('leo_app', c.oid, 'select') as readable
        from pg_class c where relname = 'behavioral_events_1997_02'
        """
    )
    assert shape is not None
    assert tuple(shape) == (
        True,
        True,
        "leo_partition_maker",
        "FOR VALUES FROM ('1997-02-01 00:00:00+00') TO ('1997-03-01 00:00:00+00')",
        1,
        1,
        3,
        False,
    )


async def test_a_month_begins_at_midnight_utc_wherever_the_session_is(app: asyncpg.Connection) -> None:
    await app.execute("set timezone = 'Asia/Ho_Chi_Minh'")
    assert await app.fetchval("select ensure_month('1997-03-01')") is True
    bounds = await app.fetchval(
        "select pg_get_expr(relpartbound, oid) from pg_class where relname = 'behavioral_events_1997_03'"
    )
    assert "1997-03-01 07:00:00+07" in bounds


@pytest.mark.parametrize("month", [date(1989, 12, 31), date(2200, 1, 1), None])
async def test_months_are_bounded(app: asyncpg.Connection, month: date | None) -> None:
    with refused("22008"):
        await app.fetchval("select ensure_month($1)", month)


async def test_a_quarter_ahead_can_be_prepared(app: asyncpg.Connection) -> None:
    today = datetime.now(UTC).date()
    assert await app.fetchval("select ensure_month($1)", date(1990, 1, 1)) is True
    for days in (0, 28, 56, 84):
        await app.fetchval("select ensure_month($1)", today + timedelta(days=days))
    with refused("22008"):
        await app.fetchval("select ensure_month($1)", today + timedelta(days=160))


async def test_sessions_that_need_the_same_months_do_not_collide(
    database: DatabaseUrls, proof: asyncpg.Connection
) -> None:
    connections = [await asyncpg.connect(database.app_url) for _ in range(6)]
    months = [date(1997 + n // 12, n % 12 + 1, 1) for n in range(18)]

    async def ensure(connection: asyncpg.Connection, order: list[date]) -> int:
        return sum([await connection.fetchval("select ensure_month($1)", month) for month in order])

    made = await asyncio.gather(
        *(ensure(connection, months if n % 2 else months[::-1]) for n, connection in enumerate(connections))
    )
    assert sum(made) == len(months) == len(await _months(proof))
    for connection in connections:
        await connection.close()


async def test_a_new_month_does_not_wait_for_writers_of_another(database: DatabaseUrls) -> None:
    writer, maker = await asyncpg.connect(database.app_url), await asyncpg.connect(database.worker_url)
    await maker.execute("select ensure_month('1997-01-01')")
    async with writer.transaction():
        await writer.execute("lock table behavioral_events in row exclusive mode")
        assert await maker.fetchval("select ensure_month('1997-02-01')", timeout=20) is True
    for connection in (writer, maker):
        await connection.close()


async def _months(connection: asyncpg.Connection) -> list[str]:
    rows = await connection.fetch(
        "select inhrelid::regclass::text as name from pg_inherits"
        " where inhparent = 'behavioral_events'::regclass order by 1"
    )
    return [row["name"] for row in rows]
