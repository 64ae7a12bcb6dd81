"""Plans as workers carry them out: one method for each statement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from server.platform.postgres import Connection
from server.platform.queries import Queries


@dataclass(frozen=True, slots=True)
class ClaimedPlan:
    """A dispatch, or a part of one, that this claim holds.

    Args:
        task_id: what is claimed; a part has an id of its own.
        plan_task_id: the whole.
        plan_status: where the whole stands.
        member_count: of the whole audience.
        after, through: between which members this part lies; the last one is None where the whole is one part.
    """

    task_id: str
    plan_task_id: str
    plan_status: str
    marketing_event_id: str
    snapshot_id: str
    occurred_at: datetime
    member_count: int
    after: str
    through: str | None

    @property
    def is_part(self) -> bool:
        """Whether it is a part of a divided plan."""
        return self.task_id != self.plan_task_id


@dataclass(frozen=True, slots=True)
class Parts:
    """Into how many parts a plan is divided, 0 for not at all, and how many of them are not done."""

    part_count: int
    open_count: int


class PlanStore:
    """One method for each statement, one round trip each; all inside the tenant's transaction."""

    def __init__(self) -> None:
        self._queries = Queries.load("dispatch")

    async def load_claimed_plan(
        self, connection: Connection, tenant_id: UUID, task_id: str, owner: str
    ) -> ClaimedPlan | None:
        """What is claimed, as long as the claim holds it."""
        row = await connection.fetchrow(self._queries["load_claimed_plan"], tenant_id, task_id, owner)
        return ClaimedPlan(**dict(row)) if row else None

    async def split_plan(self, connection: Connection, tenant_id: UUID, plan_task_id: str, size: int) -> None:
        """Divide the audience into parts of so many members."""
        await connection.execute(self._queries["split_plan"], tenant_id, plan_task_id, size)

    async def count_parts(self, connection: Connection, tenant_id: UUID, plan_task_id: str) -> Parts:
        """How far the parts of a plan are."""
        row = await connection.fetchrow(self._queries["count_parts"], tenant_id, plan_task_id)
        assert row is not None
        return Parts(**dict(row))

    async def list_members(
        self, connection: Connection, tenant_id: UUID, plan: ClaimedPlan, *, after: str, limit: int
    ) -> list[str]:
        """The next members of this part of the audience."""
        rows = await connection.fetch(
            self._queries["list_members"], tenant_id, plan.snapshot_id, after, limit, plan.through
        )
        return [row["profile_id"] for row in rows]

    async def extend_lease(
        self, connection: Connection, tenant_id: UUID, task_id: str, owner: str, lease: timedelta
    ) -> bool:
        """Whether the claim still held, and holds on; False also where something holds the plan back."""
        extended = await connection.fetchval(self._queries["extend_lease"], tenant_id, task_id, owner, lease)
        return extended is not None

    async def leave_plan(
        self, connection: Connection, tenant_id: UUID, task_id: str, owner: str, pause: timedelta
    ) -> None:
        """Give a plan or a part back that does not go on; nothing happens where the claim was lost."""
        await connection.execute(self._queries["leave_plan"], tenant_id, task_id, owner, pause)

    async def put_off_plan(
        self, connection: Connection, tenant_id: UUID, task_id: str, owner: str, pause: timedelta
    ) -> None:
        """Give a plan or a part back that goes on later; nothing happens where the claim was lost."""
        await connection.execute(self._queries["put_off_plan"], tenant_id, task_id, owner, pause)

    async def lock_whole_plan(self, connection: Connection, tenant_id: UUID, plan_task_id: str) -> str:
        """Where the plan stands; it stays so for the transaction."""
        status: str = await connection.fetchval(self._queries["lock_whole_plan"], tenant_id, plan_task_id)
        return status

    async def count_plan(self, connection: Connection, tenant_id: UUID, plan_task_id: str) -> dict[str, int]:
        """How many members were decided, and to how many of them something is sent."""
        row = await connection.fetchrow(self._queries["count_plan"], tenant_id, plan_task_id)
        assert row is not None
        return dict(row)

    async def end_plan(
        self,
        connection: Connection,
        tenant_id: UUID,
        task_id: str,
        owner: str | None,
        *,
        status: str,
        result: Mapping[str, Any],
    ) -> None:
        """End a plan or a part, unless the claim was lost; without an owner, whoever holds it."""
        document = orjson.dumps(dict(result)).decode()
        await connection.execute(self._queries["end_plan"], tenant_id, task_id, owner, status, document)
