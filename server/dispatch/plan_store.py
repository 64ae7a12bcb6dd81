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
    """A dispatch that this claim holds."""

    plan_task_id: str
    marketing_event_id: str
    snapshot_id: str
    occurred_at: datetime


class PlanStore:
    """One method for each statement, one round trip each; all inside the tenant's transaction."""

    def __init__(self) -> None:
        self._queries = Queries.load("dispatch")

    async def load_claimed_plan(
        self, connection: Connection, tenant_id: UUID, plan_task_id: str, owner: str
    ) -> ClaimedPlan | None:
        """The plan, as long as the claim holds it."""
        row = await connection.fetchrow(self._queries["load_claimed_plan"], tenant_id, plan_task_id, owner)
        if row is None:
            return None
        return ClaimedPlan(row["task_id"], row["marketing_event_id"], row["snapshot_id"], row["occurred_at"])

    async def resume_plan_after(
        self, connection: Connection, tenant_id: UUID, plan_task_id: str, page: int
    ) -> str:
        """The member after which to go on; empty for the beginning."""
        after = await connection.fetchval(self._queries["resume_plan_after"], tenant_id, plan_task_id, page)
        return after or ""

    async def list_members(
        self, connection: Connection, tenant_id: UUID, snapshot_id: str, *, after: str, limit: int
    ) -> list[str]:
        """The next members of the audience."""
        rows = await connection.fetch(self._queries["list_members"], tenant_id, snapshot_id, after, limit)
        return [row["profile_id"] for row in rows]

    async def extend_lease(
        self, connection: Connection, tenant_id: UUID, plan_task_id: str, owner: str, lease: timedelta
    ) -> bool:
        """Whether the claim still held, and holds on."""
        extended = await connection.fetchval(
            self._queries["extend_lease"], tenant_id, plan_task_id, owner, lease
        )
        return extended is not None

    async def count_plan(self, connection: Connection, tenant_id: UUID, plan_task_id: str) -> dict[str, int]:
        """How many members were decided, and to how many of them something is sent."""
        row = await connection.fetchrow(self._queries["count_plan"], tenant_id, plan_task_id)
        assert row is not None
        return dict(row)

    async def end_plan(
        self,
        connection: Connection,
        tenant_id: UUID,
        plan_task_id: str,
        owner: str,
        *,
        status: str,
        result: Mapping[str, Any],
    ) -> None:
        """End the plan, unless the claim was lost."""
        document = orjson.dumps(dict(result)).decode()
        await connection.execute(self._queries["end_plan"], tenant_id, plan_task_id, owner, status, document)
