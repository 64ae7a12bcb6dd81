"""Upkeep on the schedule: partitions ahead of time, and snapshot ids on the profiles that they hold."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID

from prometheus_client import Gauge

from server.platform.clock import utc_now
from server.platform.postgres import Database
from server.platform.queries import Queries
from server.platform.redis import RedisPool
from server.snapshots.jobs import append_snapshot_to_profiles

_MONTHS_AHEAD: Final = 3
_PAGE: Final = 1_000
_OVERLAP: Final = timedelta(minutes=2)
_EARLIEST: Final = datetime(1990, 1, 1, tzinfo=UTC)


_months_ahead = Gauge(
    "leo_event_months_ahead",
    "Months after the present one that behavioural events have a partition for, without a gap; -1: not even that one",
    multiprocess_mode="max",
)


def months_before(day: date, count: int) -> date:
    """The first day of the month so many months before this day's; after it, where the count is negative. Pure."""
    number = day.year * 12 + day.month - 1 - count
    return date(number // 12, number % 12 + 1, 1)


def months_from(day: date, count: int) -> list[date]:
    """The first days of this month and of so many after it. Pure."""
    return [months_before(day, -ahead) for ahead in range(count + 1)]


def months_ahead(day: date, made: Collection[date]) -> int:
    """How many months after this day's are made, up to the first one that is not; -1 where this day's is not. Pure."""
    ahead = -1
    while months_before(day, -ahead - 1) in made:
        ahead += 1
    return ahead


class MonthUpkeep:
    """Makes the partitions of `behavioral_events` before a batch needs them."""

    def __init__(self, *, database: Database) -> None:
        self._database = database
        self._queries = Queries.load("workers")
        self._made: frozenset[date] = frozenset()
        # Asked at every scrape: where nothing can be made any more, it falls as time goes by.
        _months_ahead.set_function(lambda: months_ahead(utc_now().date(), self._made))

    async def run(self) -> None:
        """This month and three more. Idempotent; one transaction each, so that locks are short."""
        for month in months_from(utc_now().date(), _MONTHS_AHEAD):
            async with self._database.transaction() as connection:
                await connection.fetchval(self._queries["ensure_month"], month)
        async with self._database.transaction(readonly=True) as connection:
            rows = await connection.fetch(self._queries["list_event_months"])
        self._made = frozenset(row["month"] for row in rows if not row["detached"])


class ActiveTenants:
    """Lists who is served."""

    def __init__(self, *, database: Database) -> None:
        self._database = database
        self._queries = Queries.load("workers")

    async def __call__(self) -> list[UUID]:
        """Every active tenant. PostgreSQL: 3 round trips."""
        async with self._database.transaction(readonly=True) as connection:
            rows = await connection.fetch(self._queries["list_tenants"])
        return [row["tenant_id"] for row in rows]


class SnapshotUpkeep:
    """Appends the ids of new snapshots to the profiles that they hold.

    How far it has come stands in Redis, for each tenant, and for a while which large snapshots are done. When
    Redis lost it, everything is looked at again, which changes nothing where the id is there already.
    """

    def __init__(self, *, database: Database, redis: RedisPool) -> None:
        self._database = database
        self._redis = redis
        self._tenants = ActiveTenants(database=database)
        self._queries = Queries.load("workers")

    async def run(self) -> None:
        """Every tenant. Idempotent: an id is appended where it is missing, so several may run at once."""
        for tenant_id in await self._tenants():
            await self._run_tenant(tenant_id)

    async def _run_tenant(self, tenant_id: UUID) -> None:
        key = f"leo:snapshots_appended:{tenant_id}"
        stored = await self._redis.command("GET", key)
        since = datetime.fromisoformat(stored.decode()) if stored else _EARLIEST
        begun = utc_now()
        await self._append(tenant_id, since)
        # A snapshot is dated by the beginning of its transaction, and seen at its end.
        await self._redis.command("SET", key, (begun - _OVERLAP).isoformat())

    async def _append(self, tenant_id: UUID, since: datetime) -> None:
        snapshot_id = ""
        while True:
            async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
                page = await connection.fetch(
                    self._queries["list_new_snapshots"], tenant_id, since, snapshot_id, _PAGE
                )
            if not page:
                return
            since, snapshot_id = page[-1]["created_at"], page[-1]["snapshot_id"]
            await self._append_single(
                tenant_id, [row["snapshot_id"] for row in page if row["member_count"] == 1]
            )
            for row in page:
                if row["member_count"] > 1:
                    await self._append_large(tenant_id, row["snapshot_id"])

    async def _append_large(self, tenant_id: UUID, snapshot_id: str) -> None:
        """Batch by batch; a run that overlaps with the one before need not look at all members again."""
        key = f"leo:snapshot_appended:{tenant_id}:{snapshot_id}"
        if await self._redis.command("EXISTS", key):
            return
        await append_snapshot_to_profiles(self._database, tenant_id, snapshot_id)
        await self._redis.command("SET", key, "1", "EX", int(3 * _OVERLAP.total_seconds()))

    async def _append_single(self, tenant_id: UUID, snapshot_ids: Sequence[str]) -> None:
        """Audiences of one are as many as decisions: a page of them in one commit."""
        async with self._database.tenant_transaction(tenant_id) as connection:
            await connection.execute(self._queries["append_single_snapshots"], tenant_id, list(snapshot_ids))
