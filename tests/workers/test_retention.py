"""Old months of behavioural events go by themselves, and nothing else does."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest
from prometheus_client import REGISTRY
from typer.testing import CliRunner

from server.cli.main import app as cli
from server.embedded.database_setup import DatabaseUrls, with_database
from server.embedded.postgres_binaries import PostgresBinaries
from server.platform.clock import utc_now
from server.platform.postgres import Database
from server.workers.broker import celery_app
from server.workers.retention import EventMonth, EventReader, EventRetention, Fate, RetentionPlan
from server.workers.routes import CeleryQueue, TaskName
from server.workers.upkeep import MonthUpkeep, months_ahead, months_before
from tests.fixtures.logs import LogReader
from tests.fixtures.tenants import Tenant
from tests.schema.rows import enter, refused
from tests.workers.conftest import Workers, until
from tests.workers.event_writer import event_at, event_ingestion
from tests.workers.holding_proxy import HoldingProxy

KEPT = 3
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
AGES = (0, KEPT, KEPT + 1, 14, 350)
"""Months before the present one that hold events; the last three are older than what is kept."""


@pytest.fixture
async def worker(database: DatabaseUrls) -> AsyncIterator[Database]:
    """The pool of a worker."""
    pool = await Database.connect(
        database.worker_url, minimum_connections=1, maximum_connections=2, application_name="test"
    )
    yield pool
    await pool.close()


@pytest.fixture
async def retention(
    worker: Database, app: asyncpg.Connection, tenant_a: Tenant, tenant_b: Tenant
) -> EventRetention:
    """Keeps three months; both tenants have an event in each of five months."""
    for tenant in (tenant_a, tenant_b):
        for age in AGES:
            await _record(app, tenant, _month(age), f"e{age}")
    return EventRetention(database=worker, kept_months=KEPT, clock=utc_now)


async def test_months_before_the_kept_ones_go_and_come_anew_as_guarded_as_they_were(
    retention: EventRetention,
    worker: Database,
    app: asyncpg.Connection,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
) -> None:
    await EventRetention(database=worker, kept_months=None, clock=utc_now).run()
    assert await _months(proof) == sorted(map(_month, AGES))
    plan = await retention.plan()
    assert [month.month for month in plan.of(Fate.DUE)] == [_month(age) for age in (350, 14, KEPT + 1)]
    assert await _months(proof) == sorted(map(_month, AGES)), "a plan changes nothing"
    dropped = REGISTRY.get_sample_value("leo_event_months_dropped_total") or 0

    await asyncio.gather(*(retention.run() for _ in range(2)))

    assert await _months(proof) == [_month(KEPT), _month(0)]
    assert await _tables(proof) == 2
    left = await proof.fetch("select source_event_id, count(*) from behavioral_events group by 1 order by 1")
    assert [tuple(row) for row in left] == [("e0", 2), (f"e{KEPT}", 2)]
    assert REGISTRY.get_sample_value("leo_event_months_dropped_total") == dropped + 3
    assert REGISTRY.get_sample_value("leo_event_months", {"state": "kept"}) == 2

    await _record(app, tenant_a, _month(14), "late")
    partition = f"behavioral_events_{_month(14):%Y_%m}"
    shape = "select relrowsecurity, relforcerowsecurity from pg_class where oid = $1::regclass"
    assert tuple(await proof.fetchrow(shape, partition)) == (True, True)
    with refused("42501"):
        await app.fetch(f"select * from {partition}")
    with refused("LE001"):
        await proof.execute("update behavioral_events set attributes = '{}'")
    assert await app.fetchval("select count(*) from behavioral_events") == 0, "no tenant, no rows"


async def test_the_functions_drop_nothing_else(
    retention: EventRetention, database: DatabaseUrls, app: asyncpg.Connection, proof: asyncpg.Connection
) -> None:
    worker = await asyncpg.connect(database.worker_url)
    old, kept = _month(14), _month(KEPT)
    for function in ("detach_month", "drop_detached_month"):
        ask = f"select {function}($1, $2)"
        with refused("42501"):
            await app.fetchval(ask, old, KEPT)
        for month, kept_months in ((kept, KEPT), (old, 2), (old, -1), (old, None), (None, KEPT)):
            with refused("22008"):
                await worker.fetchval(ask, month, kept_months)
        with refused("22008"):
            await worker.fetchval(ask, _month(-2), KEPT)
    assert await worker.fetchval("select drop_detached_month($1, $2)", old, KEPT) is False, "still attached"
    partition = f"behavioral_events_{old:%Y_%m}"
    for connection in (worker, app):
        for statement in (
            f"drop table {partition}",
            f"alter table behavioral_events detach partition {partition}",
            f"truncate {partition}",
            f"delete from {partition}",
        ):
            with refused("42501"):
                await connection.execute(statement)
    assert await _months(proof) == sorted(map(_month, AGES))
    await worker.close()


async def test_a_month_that_is_read_stays_until_the_next_run_and_stops_no_writer(
    retention: EventRetention,
    app: asyncpg.Connection,
    database: DatabaseUrls,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
    logged: LogReader,
) -> None:
    reader = await asyncpg.connect(database.app_url)
    async with reader.transaction():
        await enter(reader, tenant_a)
        await reader.fetch("select * from behavioral_events")
        await retention.run()
        await _record(app, tenant_a, _month(0), "meanwhile")
        assert await _months(proof) == sorted(map(_month, AGES))
    assert "retention_waits" in logged.text()
    await retention.run()
    assert await _months(proof) == [_month(KEPT), _month(0)]
    await reader.close()


async def test_events_that_are_written_while_months_go_are_all_there(
    retention: EventRetention, database: DatabaseUrls, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    before = await proof.fetchval(
        "select count(*) from behavioral_events where occurred_at > now() - interval '1 day'"
    )
    writer = _writer(database, tenant_a)

    async def written() -> bool:
        return bool(
            await proof.fetchval("select exists (select from behavioral_events where occurred_at = $1)", old)
        )

    old = datetime.combine(_month(14), datetime.min.time(), UTC)
    for _ in range(3):
        # It comes back with the writer's next event, and goes again.
        await until(written)
        while await written():
            await retention.run()
    output, errors = await asyncio.to_thread(writer.communicate, "")
    assert writer.returncode == 0, errors
    answered = int(output.split()[-1])
    written = await proof.fetchval(
        "select count(*) from behavioral_events where occurred_at > now() - interval '1 day'"
    )
    assert written - before == answered


async def test_months_that_servers_make_themselves_are_counted(
    retention: EventRetention, database: DatabaseUrls, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    def counted() -> tuple[float, ...]:
        made = [
            REGISTRY.get_sample_value("leo_event_months_made_total", {"month": m})
            for m in ("past", "present")
        ]
        return tuple(
            value or 0 for value in (*made, REGISTRY.get_sample_value("leo_event_months_missing_total"))
        )

    before = counted()
    async with event_ingestion(database.app_url) as ingestion:
        for number, age in enumerate((14, 14, 20, -1)):
            await retention.run()
            at = datetime.combine(_month(age), datetime.min.time(), UTC) if age > 0 else utc_now()
            await ingestion.ingest_events(UUID(int=tenant_a.int), [event_at(str(number), at)])
    # Twice the month 14 was gone, the second time behind the server's back; month 20 was never there.
    assert tuple(now - then for now, then in zip(counted(), before, strict=True)) == (3, 0, 1)
    assert await _months(proof) == [_month(KEPT), _month(0)]


async def test_killed_between_detaching_and_dropping_the_next_run_finishes(
    workers: Workers,
    retention: EventRetention,
    database: DatabaseUrls,
    broker_url: str,
    proof: asyncpg.Connection,
) -> None:
    async with HoldingProxy(database.worker_url) as proxy:
        proxy.hold("drop_detached_month($1", committed=False)
        process = workers.start(database_url=proxy.url, event_retention_months=str(KEPT))
        await process.ready()
        celery_app(broker_url).send_task(TaskName.DROP_MONTHS, queue=CeleryQueue.MAINTENANCE)

        async def held() -> bool:
            return proxy.held > 0

        await until(held)
        process.kill()
        assert (await retention.plan()).of(Fate.DETACHED) == [
            month for month in (await retention.plan()).months if month.month == _month(350)
        ]
    assert _month(350) not in await _months(proof)
    await retention.run()
    assert [month.detached for month in (await retention.plan()).months] == [False] * await _tables(proof)
    assert all(month >= _month(KEPT) for month in await _months(proof))


async def test_a_window_that_reaches_further_holds_its_months(
    retention: EventRetention,
    worker: Database,
    app: asyncpg.Connection,
    proof: asyncpg.Connection,
    tenant_b: Tenant,
    database: DatabaseUrls,
    logged: LogReader,
) -> None:
    await enter(app, tenant_b)
    await app.execute(
        "insert into campaign (tenant_id, campaign_id, campaign_code, campaign_name, objective, status, audience)"
        " values ($1, 'c', 'C', 'C', 'O', 'active', $2)",
        UUID(int=tenant_b.int),
        """{"name": "loyal", "version": "v", "condition": {"all": [
            {"not": {"attribute": "count(purchase, 500d)", "operator": ">=", "value": 3}},
            {"attribute": "profile.language", "operator": "=", "value": "vi"},
            {"attribute": "last_seen(view)", "operator": "older_than", "value": "30d"}]}}""",
    )
    await enter(app, None)
    await retention.run()
    assert await _months(proof) == sorted(_month(age) for age in AGES if age < 350)
    assert "retention_held" in logged.text()
    plan = await retention.plan()
    assert [month.month for month in plan.of(Fate.HELD)] == [_month(14), _month(KEPT + 1)]
    shown = await asyncio.to_thread(
        CliRunner().invoke,
        cli,
        ["events", "partitions", "--keep-months", str(KEPT)],
        env={"LEO_DATABASE_URL": database.worker_url, "COLUMNS": "200"},
    )
    assert shown.exit_code == 0, shown.output
    assert sum("held" in line.split() for line in shown.stdout.splitlines()) == 3
    assert f"held for segment loyal of tenant {UUID(int=tenant_b.int)}: count(purchase, 500d)" in shown.stdout
    assert "what is dropped: last_seen(view)" in shown.stdout
    await enter(app, tenant_b)
    await app.execute("update campaign set status = 'completed'")
    await enter(app, None)
    await retention.run()
    assert await _months(proof) == [_month(KEPT), _month(0)]


async def test_a_restored_database_makes_and_drops_months(
    retention: EventRetention, database: DatabaseUrls, run_directory: Path, worker: Database
) -> None:
    binaries = _binaries(run_directory)
    superuser = await asyncpg.connect(database.superuser_url)
    assert await superuser.fetchval("select detach_month($1, $2)", _month(14), KEPT)
    name = f"{urlsplit(database.superuser_url).path[1:]}_restored"
    await superuser.execute(f'create database "{name}" owner leo_owner')
    await asyncio.to_thread(_restore, binaries, database.superuser_url, name)
    restored = await Database.connect(
        with_database(database.worker_url, name),
        minimum_connections=1,
        maximum_connections=1,
        application_name="test",
    )
    await MonthUpkeep(database=restored).run()
    again = EventRetention(database=restored, kept_months=KEPT, clock=utc_now)
    await again.run()
    plan = await again.plan()
    assert [month.month for month in plan.months] == [_month(age) for age in (KEPT, 0, -1, -2, -3)]
    await restored.close()
    await superuser.execute(f'drop database "{name}" with (force)')
    await superuser.close()


async def test_months_ahead_are_counted_as_time_goes_by(worker: Database) -> None:
    made = {date(2026, 11, 1), date(2026, 12, 1), date(2027, 1, 1), date(2027, 3, 1)}
    assert [months_ahead(date(*day), made) for day in ((2026, 11, 21), (2026, 12, 31), (2027, 2, 1))] == [
        2,
        1,
        -1,
    ]
    await MonthUpkeep(database=worker).run()
    assert REGISTRY.get_sample_value("leo_event_months_ahead") == 3


@pytest.mark.parametrize(
    ("month", "span_days", "detached", "fate"),
    [
        ((2026, 8), 0, False, Fate.KEPT),
        ((2026, 7), 0, False, Fate.DUE),
        ((2026, 7), 0, True, Fate.DETACHED),
        ((2026, 8), 0, True, Fate.KEPT),
        ((2026, 7), 112, False, Fate.DUE),
        ((2026, 7), 113, False, Fate.HELD),
        ((2026, 6), 113, False, Fate.DUE),
    ],
)
def test_what_becomes_of_a_month(month: tuple[int, int], span_days: int, detached: bool, fate: Fate) -> None:
    reader = EventReader(UUID(int=1), "segment s", "count(view, 1d)", timedelta(days=span_days))
    one = EventMonth(date(*month, 1), 1, 1, detached)
    assert RetentionPlan(NOW, KEPT, (one,), (reader,)).fate(one) is fate
    assert RetentionPlan(NOW, None, (one,), (reader,)).fate(one) is Fate.KEPT


def _writer(database: DatabaseUrls, tenant: Tenant) -> subprocess.Popen[str]:
    """Another process that writes to the present month, and to one that is to go."""
    arguments = [database.app_url, str(UUID(int=tenant.int)), str(_month(14))]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.workers.event_writer", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _month(age: int) -> date:
    return months_before(utc_now().date(), age)


async def _record(app: asyncpg.Connection, tenant: Tenant, month: date, source_event_id: str) -> None:
    """An event on the first day of a month."""
    await app.execute("select ensure_month($1)", month)
    await enter(app, tenant)
    await app.execute(
        "insert into behavioral_events (tenant_id, event_key, profile_id, source_event_id, event_type, occurred_at)"
        " values ($1, $2, 'p1', $2, 'view', $3)",
        UUID(int=tenant.int),
        source_event_id,
        datetime(month.year, month.month, 1, tzinfo=UTC),
    )
    await enter(app, None)


async def _months(proof: asyncpg.Connection) -> list[date]:
    """The months that are part of the table, the oldest first."""
    rows = await proof.fetch(
        "select to_date(right(inhrelid::regclass::text, 7), 'YYYY_MM') as month from pg_inherits"
        " where inhparent = 'behavioral_events'::regclass order by 1"
    )
    return [row["month"] for row in rows]


async def _tables(proof: asyncpg.Connection) -> int:
    """How many tables of months there are, detached ones included."""
    count: int = await proof.fetchval(
        "select count(*) from pg_class where relkind = 'r' and relname like 'behavioral\\_events\\_%'"
    )
    return count


def _binaries(run_directory: Path) -> PostgresBinaries:
    found = list(run_directory.glob("postgres/postgresql-*"))
    if not found:
        pytest.skip("pg_dump of the servers' version is needed")
    return PostgresBinaries(found[0])


def _restore(binaries: PostgresBinaries, url: str, name: str) -> None:
    """Dump a database and read it into another one, as for a move to another machine."""
    dump = subprocess.run(
        [binaries.program("pg_dump"), "--format=custom", url],
        env=binaries.environment(),
        capture_output=True,
        check=True,
    )
    subprocess.run(
        [binaries.program("pg_restore"), "--exit-on-error", f"--dbname={with_database(url, name)}"],
        env=binaries.environment(),
        input=dump.stdout,
        check=True,
    )
