"""A long statement rests while others are at work, so that a freeze leaves processor time to Decide."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import asyncpg

from server.embedded.database_setup import DatabaseUrls

_LOCK = 4711
_IS_AT_WORK = "select exists (select from pg_stat_activity where pid = $1 and state = 'active')"
# Each time it is said to have worked for a second, and rests for as long, but for 10 ms at most.
_WORKED = "set_config('leo.rested_at', (clock_timestamp() - interval '1 s')::text, true)"
_TWENTY_TIMES = f"select leo_give_way(), {_WORKED} from generate_series(1, 20)"


async def test_a_statement_rests_while_another_session_works(
    app: asyncpg.Connection, database: DatabaseUrls
) -> None:
    other = await asyncpg.connect(database.app_url)
    async with app.transaction():
        await app.execute("select pg_advisory_xact_lock($1)", _LOCK)
        work = asyncio.create_task(other.execute("select pg_advisory_lock($1)", _LOCK))
        while not await app.fetchval(_IS_AT_WORK, other.get_server_pid()):
            await app.execute("select pg_stat_clear_snapshot()")
        await app.execute(f"select {_WORKED}")
        before = await app.fetchval("select clock_timestamp()")
        await app.execute(_TWENTY_TIMES)
        assert await app.fetchval("select clock_timestamp()") - before >= timedelta(milliseconds=200)
    await work
    await other.close()


async def test_nobody_else_may_let_a_statement_rest(app: asyncpg.Connection) -> None:
    callers = await app.fetchval(
        "select array(select grantee::regrole::text from aclexplode(proacl) where grantee <> proowner)"
        " from pg_proc where proname = 'leo_give_way'"
    )
    assert callers == ["leo_app"]
