"""Deliveries and plans as people change and watch them: one method for each statement, one round trip each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from server.dispatch.claims import Fact, KnownFact, Status, Subject, TaskStatus
from server.dispatch.requeueing import Ended
from server.platform.postgres import Connection
from server.platform.queries import Queries


@dataclass(frozen=True, slots=True)
class LockedDelivery:
    """A delivery whose task nobody else changes in this transaction."""

    subject: Subject
    channel: str
    delivery_key: str
    task_status: TaskStatus
    queue: str


@dataclass(frozen=True, slots=True)
class LockedPlan:
    """A plan that nobody else changes in this transaction.

    Args:
        is_decided: whether every member has been decided.
    """

    status: str
    is_decided: bool


class ControlStore:
    """All inside the tenant's transaction."""

    def __init__(self) -> None:
        self._queries = Queries.load("dispatch_control")

    async def lock_delivery(
        self, connection: Connection, tenant_id: UUID, delivery_key: str
    ) -> LockedDelivery | None:
        """The delivery, its task held; None where there is none."""
        row = await connection.fetchrow(self._queries["lock_delivery"], tenant_id, delivery_key)
        if row is None:
            return None
        return LockedDelivery(
            subject=Subject(
                task_id=row["task_id"],
                marketing_event_id=row["marketing_event_id"],
                campaign_id=row["campaign_id"],
                profile_id=row["profile_id"],
                snapshot_id=row["snapshot_id"],
            ),
            channel=row["channel"],
            delivery_key=delivery_key,
            task_status=TaskStatus(row["task_status"]),
            queue=row["queue"],
        )

    async def find_ended(
        self, connection: Connection, tenant_id: UUID, locked: LockedDelivery, *, resend_safe: bool
    ) -> Ended:
        """All that its task knows."""
        rows = await connection.fetch(self._queries["list_facts"], tenant_id, locked.subject.task_id)
        own = [row for row in rows if row["delivery_key"] == locked.delivery_key]
        return Ended(
            subject=locked.subject,
            channel=locked.channel,
            delivery_key=locked.delivery_key,
            status=next(Status(row["delivery_status"]) for row in own if row["stands"]),
            series=max(row["series"] for row in own),
            task_status=locked.task_status,
            resend_safe=resend_safe,
            facts=[
                KnownFact(row["channel"], row["attempt"], Status(row["delivery_status"]), row["series"])
                for row in rows
            ],
        )

    async def begin_series(self, connection: Connection, tenant_id: UUID, fact: Fact) -> None:
        """Queue a delivery again.

        Raises:
            asyncpg.PostgresError: LE002 when its consent has ended.
        """
        subject = fact.subject
        await connection.execute(
            self._queries["begin_series"],
            tenant_id,
            fact.delivery_key,
            fact.attempt,
            subject.task_id,
            subject.marketing_event_id,
            subject.campaign_id,
            subject.profile_id,
            subject.snapshot_id,
            fact.channel,
            fact.reason,
            fact.series,
        )

    async def reopen_task(self, connection: Connection, tenant_id: UUID, task_id: str) -> None:
        """Make a task due that had ended."""
        await connection.execute(self._queries["reopen_task"], tenant_id, task_id)

    async def lock_plan(
        self, connection: Connection, tenant_id: UUID, plan_task_id: str
    ) -> LockedPlan | None:
        """Where the plan stands; None where there is none."""
        row = await connection.fetchrow(self._queries["lock_plan"], tenant_id, plan_task_id)
        return LockedPlan(**dict(row)) if row else None

    async def set_plan_status(
        self, connection: Connection, tenant_id: UUID, plan_task_id: str, status: str
    ) -> None:
        """Move the plan on; one that is pending again is due at once."""
        await connection.execute(self._queries["set_plan_status"], tenant_id, plan_task_id, status)

    async def release_plan(
        self, connection: Connection, tenant_id: UUID, plan_task_id: str, *, everything: bool
    ) -> list[str]:
        """Make due what the plan held back, or all that waits; the queues that have work then. Two round trips."""
        await connection.execute(self._queries["await_holders"], tenant_id)
        rows = await connection.fetch(self._queries["release_plan"], tenant_id, plan_task_id, everything)
        return [row["queue"] for row in rows]

    async def count_deliveries(
        self, connection: Connection, tenant_id: UUID, plan_task_id: str
    ) -> Mapping[str, int]:
        """How many deliveries of the plan stand where."""
        rows = await connection.fetch(self._queries["count_deliveries"], tenant_id, plan_task_id)
        return {row["status"]: row["count"] for row in rows}

    async def count_open(self, connection: Connection, tenant_id: UUID, plan_task_id: str) -> int:
        """How many tasks of the plan still have something to do."""
        count: int = await connection.fetchval(self._queries["count_open"], tenant_id, plan_task_id)
        return count
