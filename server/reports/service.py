"""Use cases of reports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from server.errors import Unavailable
from server.paging import Page, PageRequest, open_cursor
from server.platform.clock import utc_now
from server.platform.postgres import Database
from server.reports.counters import MetricsCounters
from server.reports.model import Counted, Metrics, MetricsRequest, Source, grouped
from server.reports.store import ReportStore
from server.reports.telemetry import ANSWERS

_OLDEST: Final = timedelta(minutes=1)
_BEFORE_EVERYTHING: Final = ("", "", "", "", 0)


@dataclass(frozen=True, slots=True)
class Report:
    """Some groups, and where their counts come from.

    Args:
        as_of: everything that was recorded up to here is counted.
    """

    page: Page[Metrics]
    source: Source
    as_of: datetime


class ReportService:
    """Answers from the counters, or from the delivery log.

    Args:
        database: connections of the serving role.
        clock: tells which day it is, and whether the counters fell behind.
    """

    def __init__(
        self,
        *,
        database: Database,
        store: ReportStore,
        counters: MetricsCounters,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._database = database
        self._store = store
        self._counters = counters
        self._clock = clock

    async def get_activation_metrics(
        self, tenant_id: UUID, request: MetricsRequest, page: PageRequest
    ) -> Report:
        """Counts over days. Redis: 1 round trip. PostgreSQL: 3, where Redis has no answer.

        Raises:
            InvalidInput: the days are none or too many, a filter or a dimension is none, or the page is not one of
                this list.
            Unavailable: Redis has no answer, and PostgreSQL is away.
        """
        now = self._clock()
        days = request.days(now.date())
        cursor = open_cursor(page, listing=["metrics", *request.listing], first=_BEFORE_EVERYTHING)
        counted = await self._from_cache(tenant_id, days, now) or await self._from_log(tenant_id, days, now)
        ANSWERS.labels(counted.source.value).inc()
        # The number tells the sum of everything, whose names are all empty, from the beginning.
        groups = [each for each in grouped(request, counted.days) if (*each.group, 1) > cursor.after]
        return Report(
            cursor.page(groups[: cursor.limit], lambda each: (*each.group, 1)), counted.source, counted.as_of
        )

    async def _from_cache(self, tenant_id: UUID, days: Sequence[date], now: datetime) -> Counted | None:
        past = [day for day in days if day <= now.date()]
        try:
            found = await self._counters.read(tenant_id, past)
        except Unavailable:
            return None
        if found is None or now - found[0].as_of > _OLDEST:
            return None
        return Counted(found[1], Source.CACHE, found[0].as_of)

    async def _from_log(self, tenant_id: UUID, days: Sequence[date], now: datetime) -> Counted:
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            counts = await self._store.count_days(
                connection, tenant_id, first=days[0], last=days[-1], until=None
            )
        return Counted(counts, Source.DATABASE, now)
