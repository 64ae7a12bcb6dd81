"""Keeps the counters in step with the delivery log. Any number may run at once, and any run may be repeated."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from server.platform.logging import get_logger
from server.platform.postgres import Database
from server.reports.counters import MetricsCounters, State
from server.reports.model import MOST_DAYS, DayCounts, differences
from server.reports.store import ReportStore
from server.reports.telemetry import DRIFT

COUNT_EVERY: Final = timedelta(seconds=5)
"""How often workers ask for a count. What was seen in one is added in the next: a fact may be visible after one with
a higher number, as long as the transaction of it was open."""

RECONCILE_EVERY: Final = timedelta(minutes=5)
"""How often they ask for a comparison with the log."""

_PAUSE: Final = timedelta(seconds=4)
_RECENT_DAYS: Final = 2
_MISSING_AT_ONCE: Final = 10


class ReportJobs:
    """Counts what is new, and repairs.

    Args:
        clock: tells which day it is, and how old a count is.
    """

    def __init__(
        self,
        *,
        database: Database,
        store: ReportStore,
        counters: MetricsCounters,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._store = store
        self._counters = counters
        self._clock = clock

    async def count(self) -> None:
        """Adds what every tenant's log gained. Each tenant: Redis 2 round trips, PostgreSQL 4, where the last count
        is long enough ago; today's counters are made where they are not there.

        Raises:
            LeoError: PostgreSQL or Redis is away; the next run goes on from there.
        """
        for tenant_id in await self._tenants():
            state = await self._advance(tenant_id)
            today = self._clock().date()
            if state and state.settled and await self._counters.incomplete(tenant_id, state, [today]):
                await self._repair(tenant_id, state, today)

    async def reconcile(self) -> None:
        """Compares the counters of today and yesterday with the log, and repairs them; makes some of the days that are
        not there. Of several workers one compares a day. Each tenant and day: Redis 2 round trips, PostgreSQL 3.

        Raises:
            LeoError: as for `count`.
        """
        for tenant_id in await self._tenants():
            state = await self._counters.state(tenant_id)
            if state is None or not state.settled:
                continue
            today = self._clock().date()
            days = [today - timedelta(days=n) for n in range(MOST_DAYS)]
            missing = await self._counters.incomplete(tenant_id, state, days[_RECENT_DAYS:])
            for day in [*days[:_RECENT_DAYS], *missing[:_MISSING_AT_ONCE]]:
                await self._repair(tenant_id, state, day)

    async def _tenants(self) -> list[UUID]:
        async with self._database.transaction(readonly=True) as connection:
            return await self._store.list_tenants(connection)

    async def _advance(self, tenant_id: UUID) -> State | None:
        """The state after this; None where somebody else moved it on."""
        before = await self._counters.state(tenant_id)
        now = self._clock()
        if before is not None and now - before.seen_at < _PAUSE:
            return before
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            newest = await self._store.newest_fact(connection, tenant_id)
            if before is None:
                after = State.begun(newest, now)
                gained: DayCounts = {}
            else:
                after = before.moved_on(newest, now)
                gained = await self._store.count_new(
                    connection, tenant_id, after=before.counted, until=after.counted
                )
        return after if await self._counters.advance(tenant_id, before, after, gained) else None

    async def _repair(self, tenant_id: UUID, state: State, day: date) -> None:
        """Facts up to the same one are compared, so counting may go on meanwhile."""
        found = await self._counters.open_day(tenant_id, state, day, self._clock())
        if found is None:
            return
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            days = await self._store.count_days(
                connection, tenant_id, first=day, last=day, until=found.counted
            )
        changes = differences(days.get(day, {}), found.counts)
        if not changes and found.complete:
            return
        if await self._counters.repair_day(tenant_id, day, found, changes) and found.complete:
            drift = sum(map(abs, changes.values()))
            DRIFT.inc(drift)
            get_logger().warning("metrics_repaired", tenant_id=str(tenant_id), count=drift)
