"""Use cases of people who look after dispatches: queue again, pause, resume, cancel, watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Set
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg

from server.dispatch.claims import CONSENT_ENDED
from server.dispatch.control_store import ControlStore, LockedPlan
from server.dispatch.model import DISPATCH_QUEUE, DeliveryDetails, Plan
from server.dispatch.requeueing import Ended, next_series, obstacle
from server.dispatch.service import DispatchService
from server.dispatch.wake_up import WakeUp
from server.errors import NotFound, PreconditionFailed
from server.platform.postgres import Connection, Database
from server.validation import Violations

_FIRST_LOOK_SECONDS: Final = 0.25
# A look may take a quarter of the time: counting a large dispatch does not become a load of its own.
_PAUSE_BY_LOOK: Final = 3.0


@dataclass(frozen=True, slots=True)
class Requeued:
    """A delivery after it was queued again.

    Args:
        duplicate: whether an earlier request had done it.
    """

    details: DeliveryDetails
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a dispatch has come.

    Args:
        deliveries: how many stand where.
        open_count: tasks that still have something to do.
    """

    plan: Plan
    deliveries: Mapping[str, int]
    open_count: int

    @property
    def ended(self) -> bool:
        """Whether nothing is left to do."""
        return self.plan.status not in ("pending", "paused") and self.open_count == 0


class DispatchControl:
    """Changes what is under way.

    Args:
        dispatches: answers what stands where afterwards.
        wake_up: tells workers that a queue has work.
        resend_safe: channels that may send again what may have been sent.
    """

    def __init__(
        self,
        *,
        database: Database,
        store: ControlStore,
        dispatches: DispatchService,
        wake_up: WakeUp,
        resend_safe: Set[str],
    ) -> None:
        self._database = database
        self._store = store
        self._dispatches = dispatches
        self._wake_up = wake_up
        self._resend_safe = resend_safe

    async def requeue(
        self, tenant_id: UUID, delivery_key: str, *, series: int, resend_unknown: bool
    ) -> Requeued:
        """Begin a further series of attempts, unless one was begun. PostgreSQL: 5 statements, then 3 to read.

        Raises:
            InvalidInput: with every fault.
            NotFound: the tenant has no such delivery.
            PreconditionFailed: it is not to be queued again, or its consent has ended.
        """
        _check_requeue(delivery_key, series)
        async with self._database.tenant_transaction(tenant_id) as connection:
            locked = await self._store.lock_delivery(connection, tenant_id, delivery_key)
            if locked is None:
                raise NotFound("delivery", delivery_key)
            resend_safe = locked.channel in self._resend_safe
            ended = await self._store.find_ended(connection, tenant_id, locked, resend_safe=resend_safe)
            duplicate = ended.series > series
            if not duplicate:
                await self._begin_series(connection, tenant_id, ended, series, resend_unknown)
        if not duplicate:
            await self._wake_up.notify(locked.queue)
        details = await self._dispatches.get_delivery(tenant_id, delivery_key=delivery_key, task_id=None)
        return Requeued(details, duplicate)

    async def pause(self, tenant_id: UUID, plan_task_id: str) -> Plan:
        """Hold a dispatch back. PostgreSQL: 2 statements, then 2 to read.

        Raises:
            InvalidInput: this is no id of ours.
            NotFound: the tenant has no such plan.
            PreconditionFailed: it was cancelled.
        """
        async with self._database.tenant_transaction(tenant_id) as connection:
            plan = await self._locked(connection, tenant_id, plan_task_id)
            _refuse_cancelled(plan, plan_task_id)
            if plan.status != "paused":
                await self._store.set_plan_status(connection, tenant_id, plan_task_id, "paused")
        return await self._dispatches.get_plan(tenant_id, plan_task_id)

    async def resume(self, tenant_id: UUID, plan_task_id: str) -> Plan:
        """Let a paused dispatch go on. PostgreSQL: 3 statements, then 2 to read.

        Raises:
            InvalidInput: this is no id of ours.
            NotFound: the tenant has no such plan.
            PreconditionFailed: it was cancelled.
        """
        queues: list[str] = []
        async with self._database.tenant_transaction(tenant_id) as connection:
            plan = await self._locked(connection, tenant_id, plan_task_id)
            _refuse_cancelled(plan, plan_task_id)
            if plan.status == "paused":
                status = "completed" if plan.is_decided else "pending"
                await self._store.set_plan_status(connection, tenant_id, plan_task_id, status)
                queues = await self._store.release_plan(connection, tenant_id, plan_task_id, everything=False)
        await self._wake(DISPATCH_QUEUE, *queues)
        return await self._dispatches.get_plan(tenant_id, plan_task_id)

    async def cancel(self, tenant_id: UUID, plan_task_id: str) -> Plan:
        """Call a dispatch off; workers then record what was not sent as cancelled. PostgreSQL: 3 statements, then
        2 to read.

        Raises:
            InvalidInput: this is no id of ours.
            NotFound: the tenant has no such plan.
        """
        queues: list[str] = []
        async with self._database.tenant_transaction(tenant_id) as connection:
            plan = await self._locked(connection, tenant_id, plan_task_id)
            if plan.status != "cancelled":
                await self._store.set_plan_status(connection, tenant_id, plan_task_id, "cancelled")
                queues = await self._store.release_plan(connection, tenant_id, plan_task_id, everything=True)
        await self._wake(*queues)
        return await self._dispatches.get_plan(tenant_id, plan_task_id)

    async def watch(self, tenant_id: UUID, plan_task_id: str) -> AsyncIterator[Progress]:
        """The progress as it is, then each time that it changed, until nothing is left to do.

        PostgreSQL: 4 statements for each look, at most four looks a second and a quarter of the time.

        Raises:
            InvalidInput: this is no id of ours.
            NotFound: the tenant has no such plan.
        """
        told: Progress | None = None
        clock = asyncio.get_running_loop().time
        while told is None or not told.ended:
            begun = clock()
            progress = await self._progress(tenant_id, plan_task_id)
            if progress != told:
                yield progress
                told = progress
            if not progress.ended:
                await asyncio.sleep(max(_FIRST_LOOK_SECONDS, (clock() - begun) * _PAUSE_BY_LOOK))

    async def _progress(self, tenant_id: UUID, plan_task_id: str) -> Progress:
        # The plan is read first: what it had decided when it ended is all there in what is read after it.
        plan = await self._dispatches.get_plan(tenant_id, plan_task_id)
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            open_count = await self._store.count_open(connection, tenant_id, plan_task_id)
            deliveries = await self._store.count_deliveries(connection, tenant_id, plan_task_id)
        return Progress(plan, deliveries, open_count)

    async def _begin_series(
        self, connection: Connection, tenant_id: UUID, ended: Ended, series: int, resend_unknown: bool
    ) -> None:
        why = "NOT_FAILED" if series > ended.series else obstacle(ended, resend_unknown=resend_unknown)
        if why is not None:
            raise PreconditionFailed(
                "REQUEUE_REFUSED",
                f"the delivery can not be queued again: {why}",
                {"why": why, "status": ended.status, "series": str(ended.series)},
            )
        try:
            await self._store.begin_series(connection, tenant_id, next_series(ended))
        except asyncpg.PostgresError as error:
            if error.sqlstate != CONSENT_ENDED:
                raise
            raise PreconditionFailed("RULE_VIOLATED", "the consent for this channel has ended") from error
        await self._store.reopen_task(connection, tenant_id, ended.subject.task_id)

    async def _locked(self, connection: Connection, tenant_id: UUID, plan_task_id: str) -> LockedPlan:
        violations = Violations()
        violations.sha256("plan_task_id", plan_task_id)
        violations.raise_if_any()
        plan = await self._store.lock_plan(connection, tenant_id, plan_task_id)
        if plan is None:
            raise NotFound("dispatch", plan_task_id)
        return plan

    async def _wake(self, *queues: str) -> None:
        for queue in queues:
            await self._wake_up.notify(queue)


def _check_requeue(delivery_key: str, series: int) -> None:
    violations = Violations()
    violations.sha256("delivery_key", delivery_key)
    violations.between("series", series, 1, 2**31 - 1)
    violations.raise_if_any()


def _refuse_cancelled(plan: LockedPlan, plan_task_id: str) -> None:
    if plan.status == "cancelled":
        raise PreconditionFailed(
            "REFERENCE_MISSING",
            f"the dispatch is {plan.status} for good",
            {"field": "plan_task_id", "plan_task_id": plan_task_id, "status": plan.status},
        )
