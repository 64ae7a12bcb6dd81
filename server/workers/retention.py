"""Which months of behavioural events go, and letting them go. Everything is kept unless a setting says otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from prometheus_client import Counter, Gauge

from server.conditions.windows import is_window, parse_window
from server.errors import Unavailable
from server.platform.logging import get_logger
from server.platform.postgres import Database
from server.platform.queries import Queries
from server.workers.upkeep import ActiveTenants, months_before

_months = Gauge(
    "leo_event_months",
    "Months of behavioural events: kept, due to be dropped, held by a definition that reads them, detached",
    ["state"],
    multiprocess_mode="max",
)
_dropped = Counter("leo_event_months_dropped", "Months of behavioural events that retention dropped")


_MOST_NAMED: Final = 5


class Fate(StrEnum):
    """What retention does to a month."""

    KEPT = "kept"
    HELD = "held"
    DUE = "due"
    DETACHED = "detached"


@dataclass(frozen=True, slots=True)
class EventMonth:
    """A month of behavioural events of all tenants.

    Args:
        month: its first day.
        rows: about how many there are, as PostgreSQL last counted.
        bytes: on disk, indexes included.
        detached: it was taken out of the table, and is not dropped yet.
    """

    month: date
    rows: int
    bytes: int
    detached: bool


@dataclass(frozen=True, slots=True)
class EventReader:
    """A definition in force that reads past events.

    Args:
        definition: what kind it is of, and its name.
        reads: the aggregate, as the rule spells it; "attribution" of an experiment.
        span: how far back it looks; None without end.
    """

    tenant_id: UUID
    definition: str
    reads: str
    span: timedelta | None


@dataclass(frozen=True, slots=True)
class RetentionPlan:
    """What would be dropped now.

    Args:
        kept_months: how many full months are kept besides the present one; None keeps all.
        months: all there are, the oldest first.
        readers: who reads past events.
    """

    now: datetime
    kept_months: int | None
    months: tuple[EventMonth, ...]
    readers: tuple[EventReader, ...]

    def fate(self, month: EventMonth) -> Fate:
        """A month that the setting gives up is held as long as somebody's window reaches into it."""
        if self.kept_months is None or month.month >= self._oldest_kept:
            return Fate.KEPT
        if month.detached:
            return Fate.DETACHED
        return Fate.DUE if _following(month.month) <= self._oldest_read else Fate.HELD

    def of(self, fate: Fate) -> list[EventMonth]:
        """The months of this fate, the oldest first."""
        return [month for month in self.months if self.fate(month) is fate]

    @property
    def holding(self) -> list[EventReader]:
        """Whose windows are longer than what the setting keeps."""
        if self.kept_months is None:
            return []
        kept_from = _midnight(self._oldest_kept)
        return [
            reader
            for reader in self.readers
            if reader.span is not None and self.now - reader.span < kept_from
        ]

    @property
    def endless(self) -> list[EventReader]:
        """Who looks back without end: what is dropped was never seen, to them."""
        return [] if self.kept_months is None else [each for each in self.readers if each.span is None]

    @property
    def _oldest_kept(self) -> date:
        assert self.kept_months is not None
        return months_before(self.now.date(), self.kept_months)

    @property
    def _oldest_read(self) -> date:
        spans = [reader.span for reader in self.readers if reader.span is not None]
        return (self.now - max(spans, default=timedelta())).date()


class EventRetention:
    """Drops months of events that are older than what is kept.

    Args:
        database: connections of the role leo_worker; plans can be made with those of leo_app as well.
        kept_months: how many full months are kept besides the present one; None keeps all.
    """

    def __init__(self, *, database: Database, kept_months: int | None, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._kept_months = kept_months
        self._clock = clock
        self._tenants = ActiveTenants(database=database)
        self._queries = Queries.load("workers")

    async def plan(self) -> RetentionPlan:
        """What `run` would do now. Changes nothing. PostgreSQL: 6 round trips, and 3 for each tenant."""
        readers: list[EventReader] = []
        if self._kept_months is not None:
            for tenant_id in await self._tenants():
                readers += await self._readers(tenant_id)
        async with self._database.transaction(readonly=True) as connection:
            rows = await connection.fetch(self._queries["list_event_months"])
        return RetentionPlan(
            now=self._clock(),
            kept_months=self._kept_months,
            months=tuple(
                EventMonth(row["month"], row["rows"], row["bytes"], row["detached"]) for row in rows
            ),
            readers=tuple(readers),
        )

    async def run(self) -> None:
        """Finish what an earlier run left detached, then let go of what is due, month by month.

        A month that somebody else holds for longer than a tenth of a second stays until the next run. Idempotent;
        several may run at once.
        """
        plan = await self.plan()
        _show(plan)
        if plan.kept_months is None:
            return
        if held := plan.of(Fate.HELD):
            get_logger().warning("retention_held", count=len(held), reason=_named(plan.holding))
        for month in plan.of(Fate.DETACHED):
            await self._step("drop_detached_month", month.month, plan.kept_months)
        for month in plan.of(Fate.DUE):
            if await self._step("detach_month", month.month, plan.kept_months):
                await self._step("drop_detached_month", month.month, plan.kept_months)
        _show(await self.plan())

    async def _step(self, function: str, month: date, kept_months: int) -> bool:
        """A transaction of its own; false where it has to wait for the next run, or there was nothing to do."""
        try:
            async with self._database.transaction() as connection:
                done: bool = await connection.fetchval(self._queries[function], month, kept_months)
        except Unavailable as error:
            get_logger().warning("retention_waits", partition=f"{month:%Y-%m}", reason=error.reason)
            return False
        if done and function == "drop_detached_month":
            _dropped.inc()
            get_logger().info("month_dropped", partition=f"{month:%Y-%m}")
        return done

    async def _readers(self, tenant_id: UUID) -> list[EventReader]:
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            rows = await connection.fetch(self._queries["event_readers"], tenant_id)
        return [
            EventReader(tenant_id, row["definition"], *_reading(row["attribute"], row["seconds"]))
            for row in rows
            if row["attribute"] is None or is_window(row["attribute"])
        ]


def _reading(attribute: str | None, seconds: int | None) -> tuple[str, timedelta | None]:
    if attribute is None:
        return "attribution", timedelta(seconds=seconds or 0)
    return attribute, parse_window(attribute).duration


def _following(month: date) -> date:
    return months_before(month, -1)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _named(readers: Sequence[EventReader]) -> str:
    """The aggregates, which name types of events and no customer."""
    return ", ".join(sorted({reader.reads for reader in readers})[:_MOST_NAMED])


def _show(plan: RetentionPlan) -> None:
    fates = [plan.fate(month) for month in plan.months]
    for fate in Fate:
        _months.labels(fate.value).set(fates.count(fate))
