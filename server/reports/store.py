"""Counts out of the delivery log: one method for each named query of db/queries/reports.sql."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

import asyncpg

from server.platform.postgres import Connection
from server.platform.queries import Queries
from server.reports.model import STATUSES, CountKey, DayCounts


class ReportStore:
    """Every method is one statement and one round trip, inside the caller's open transaction."""

    def __init__(self) -> None:
        self._queries = Queries.load("reports")

    async def list_tenants(self, connection: Connection) -> list[UUID]:
        """Every active tenant; needs no tenant context."""
        return [row["tenant_id"] for row in await connection.fetch(self._queries["list_reported_tenants"])]

    async def newest_fact(self, connection: Connection, tenant_id: UUID) -> int:
        """Id of the last fact that is visible; 0 where there is none."""
        return await connection.fetchval(self._queries["newest_fact"], tenant_id) or 0

    async def count_new(
        self, connection: Connection, tenant_id: UUID, *, after: int, until: int
    ) -> DayCounts:
        """Facts after one id, up to and with another one."""
        rows = await connection.fetch(self._queries["count_new_facts"], tenant_id, after, until, STATUSES)
        return _by_day(rows)

    async def count_days(
        self, connection: Connection, tenant_id: UUID, *, first: date, last: date, until: int | None
    ) -> DayCounts:
        """Facts that were recorded from the first day to the last, both in UTC and both counted.

        Args:
            until: the last fact that counts; None for all.
        """
        rows = await connection.fetch(
            self._queries["count_facts_of_days"],
            tenant_id,
            _midnight(first),
            _midnight(last + timedelta(days=1)),
            until,
            STATUSES,
        )
        return _by_day(rows)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def _by_day(rows: Iterable[asyncpg.Record]) -> DayCounts:
    days: dict[date, dict[CountKey, int]] = defaultdict(dict)
    for row in rows:
        key = CountKey(row["campaign_id"] or "", row["marketing_event_id"], row["channel"], row["status"])
        days[row["day"]][key] = row["facts"]
    return dict(days)
