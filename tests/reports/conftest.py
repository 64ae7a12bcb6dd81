"""Counters that a test keeps by hand, and the RPC that answers from them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import grpc
import pytest
from leo.activation.v1 import report_service_pb2 as wire
from leo.activation.v1.report_service_pb2_grpc import ReportServiceStub

from server.platform.clock import utc_now
from server.platform.postgres import Database
from server.platform.redis import RedisPool
from server.reports.counters import MetricsCounters
from server.reports.jobs import COUNT_EVERY, RECONCILE_EVERY, ReportJobs
from server.reports.model import Counts
from server.reports.store import ReportStore
from tests.dispatch.conftest import decisions, fleet, log, redis, smtp, worker_database
from tests.fixtures.server import bearer
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor

__all__ = ["decisions", "fleet", "log", "redis", "smtp", "worker_database"]

GetMetrics = Callable[..., Awaitable[wire.GetActivationMetricsResponse]]


@pytest.fixture
def metrics(channel: grpc.aio.Channel, token_for: TokenFor) -> GetMetrics:
    """`await metrics(tenant_a, since="2026-01-01", …)` calls GetActivationMetrics; `since` is today if left out."""
    stub: Any = ReportServiceStub(channel)

    async def call(tenant: Tenant, **fields: Any) -> wire.GetActivationMetricsResponse:
        request = wire.GetActivationMetricsRequest(**{"since": utc_now().date().isoformat(), **fields})
        metadata = bearer(token_for(tenant, ["reports.read"]))
        answer: wire.GetActivationMetricsResponse = await stub.GetActivationMetrics(
            request, metadata=metadata
        )
        return answer

    return call


@dataclass(slots=True)
class Counting:
    """The jobs of a worker, with a clock that each run moves on."""

    database: Database
    redis: RedisPool
    now: datetime = field(default_factory=utc_now)

    @property
    def counters(self) -> MetricsCounters:
        """What the jobs keep."""
        return MetricsCounters(self.redis)

    def jobs(self) -> ReportJobs:
        """As one worker has them."""
        return ReportJobs(
            database=self.database, store=ReportStore(), counters=self.counters, clock=lambda: self.now
        )

    async def count(self, times: int = 2) -> None:
        """As the schedule does; after two runs everything is counted that was there before the first."""
        for _ in range(times):
            self.now += COUNT_EVERY
            await self.jobs().count()

    async def begin(self) -> None:
        """Until the counters of these days are complete."""
        await self.count()
        await self.reconcile()

    async def reconcile(self, workers: int = 1) -> None:
        """As the schedule does, five minutes later, in so many workers at once."""
        self.now += RECONCILE_EVERY
        await asyncio.gather(*(self.jobs().reconcile() for _ in range(workers)))

    async def held(self, tenant: Tenant, day: date) -> Counts | None:
        """The counters of a day; None where they are not complete."""
        found = await self.counters.read(tenant, [day])
        return found[1][day] if found else None

    async def logged(self, tenant: Tenant, day: date) -> Counts:
        """The same out of the log."""
        async with self.database.tenant_transaction(tenant, readonly=True) as connection:
            days = await ReportStore().count_days(connection, tenant, first=day, last=day, until=None)
        return days.get(day, {})


@pytest.fixture
def counting(worker_database: Database, redis: RedisPool) -> Counting:
    """Jobs over the test's database and Redis."""
    return Counting(worker_database, redis)


def yesterday(days: int = 1) -> str:
    """A day before today."""
    return (utc_now().date() - timedelta(days=days)).isoformat()
