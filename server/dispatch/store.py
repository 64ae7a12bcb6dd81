"""Plans and deliveries as callers ask for them: one method for each statement, one round trip each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from server.dispatch.model import (
    Delivery,
    DeliveryFilter,
    DeliveryRecord,
    DispatchRequest,
    Plan,
    Target,
)
from server.platform.postgres import Connection
from server.platform.queries import Queries

_TROUBLE: Final = frozenset({"unknown", "suppressed", "cancelled", "expired", "failed", "bounced"})
_TAKEN: Final = frozenset({"sent", "delivered", "read"})
_UNDER_WAY: Final = frozenset({"queued", "sending", "deferred"})


@dataclass(frozen=True, slots=True)
class Listed:
    """Deliveries of a page.

    Args:
        reached: the row after which the next page begins although this one is not full; None where there is none.
    """

    deliveries: list[Delivery]
    reached: int | None = None


class DispatchStore:
    """All inside the tenant's transaction.

    Args:
        rows_of_status: how many rows a page of a status looks at: a later one may have taken the place of nearly all.
    """

    def __init__(self, *, rows_of_status: int = 5_000) -> None:
        self._queries = Queries.load("dispatch")
        self._rows_of_status = rows_of_status

    async def find_dispatch_target(
        self, connection: Connection, tenant_id: UUID, request: DispatchRequest
    ) -> Target:
        """What the request refers to."""
        row = await connection.fetchrow(
            self._queries["find_dispatch_target"],
            tenant_id,
            request.marketing_event_id,
            request.profile_id,
            request.snapshot_id,
        )
        assert row is not None
        return Target(**dict(row))

    async def freeze_profile(
        self,
        connection: Connection,
        tenant_id: UUID,
        *,
        snapshot_id: str,
        segment_name: str,
        segment_version: str,
        reason: str,
        audience_sha256: str,
        profile_id: str,
    ) -> None:
        """Freeze an audience of one; nothing happens when it is frozen."""
        await connection.execute(
            self._queries["freeze_profile"],
            tenant_id,
            snapshot_id,
            segment_name,
            segment_version,
            reason,
            audience_sha256,
            profile_id,
        )

    async def insert_plan(
        self,
        connection: Connection,
        tenant_id: UUID,
        request: DispatchRequest,
        *,
        plan_task_id: str,
        campaign_id: str | None,
        snapshot_id: str,
        planned_at: datetime,
        input_sha256: str,
    ) -> bool:
        """Whether the plan is new."""
        inserted = await connection.fetchval(
            self._queries["insert_plan"],
            tenant_id,
            plan_task_id,
            campaign_id,
            request.marketing_event_id,
            snapshot_id,
            request.profile_id,
            request.source_request_id,
            planned_at,
            input_sha256,
            request.reason,
            orjson.dumps(request.body()).decode(),
        )
        return inserted is not None

    async def find_plan(self, connection: Connection, tenant_id: UUID, plan_task_id: str) -> Plan | None:
        """The plan, without counts."""
        row = await connection.fetchrow(self._queries["find_plan"], tenant_id, plan_task_id)
        if row is None:
            return None
        return Plan(
            plan_task_id=row["task_id"],
            status=row["status"],
            marketing_event_id=row["marketing_event_id"],
            snapshot_id=row["snapshot_id"],
            member_count=row["member_count"],
            planned_at=row["occurred_at"],
            input_sha256=row["input_sha256"],
            result=orjson.loads(row["result"]) if row["result"] else None,
            valid_until=row["valid_until"],
        )

    async def count_plan(self, connection: Connection, tenant_id: UUID, plan_task_id: str) -> dict[str, int]:
        """`decided_count` and `send_count` so far."""
        row = await connection.fetchrow(self._queries["count_plan"], tenant_id, plan_task_id)
        assert row is not None
        return dict(row)

    async def find_task_of_delivery(
        self, connection: Connection, tenant_id: UUID, delivery_key: str
    ) -> str | None:
        """The decision that a delivery belongs to."""
        task_id: str | None = await connection.fetchval(
            self._queries["find_task_of_delivery"], tenant_id, delivery_key
        )
        return task_id

    async def find_deliveries(
        self, connection: Connection, tenant_id: UUID, task_id: str, delivery_key: str | None
    ) -> list[Delivery]:
        """The deliveries of a task as they stand now, the last one first."""
        rows = await connection.fetch(self._queries["find_deliveries"], tenant_id, task_id, delivery_key)
        return [_delivery(row) for row in rows]

    async def list_records(
        self, connection: Connection, tenant_id: UUID, task_id: str, delivery_key: str | None
    ) -> list[DeliveryRecord]:
        """Everything that was recorded, oldest first."""
        rows = await connection.fetch(self._queries["list_records"], tenant_id, task_id, delivery_key)
        return [DeliveryRecord(**dict(row)) for row in rows]

    async def list_deliveries(
        self,
        connection: Connection,
        tenant_id: UUID,
        wanted: DeliveryFilter,
        *,
        after: int,
        limit: int,
    ) -> Listed:
        """Deliveries from the index that the filter allows, in its order."""
        name = _listing(wanted)
        at_status = name == "list_deliveries_at_status"
        rows = await connection.fetch(
            self._queries[name],
            tenant_id,
            after,
            limit,
            wanted.campaign_id,
            wanted.marketing_event_id,
            wanted.status,
            *((self._rows_of_status,) if at_status else _selective(wanted)),
        )
        return _page_at_status(rows) if at_status else Listed([_delivery(row) for row in rows])


def _listing(wanted: DeliveryFilter) -> str:
    """The statement that reads the index which the filter allows."""
    if wanted.profile_id is not None:
        return "list_deliveries_of_profile"
    if wanted.plan_task_id is not None:
        return "list_deliveries_of_plan"
    if wanted.status in _TROUBLE:
        return "list_deliveries_at_status"
    if wanted.campaign_id is not None or wanted.marketing_event_id is not None:
        return "list_deliveries_of_definition"
    if wanted.status in _TAKEN:
        return "list_deliveries_at_status"
    return "list_deliveries_under_way" if wanted.status in _UNDER_WAY else "list_deliveries"


def _selective(wanted: DeliveryFilter) -> tuple[Any, ...]:
    if wanted.profile_id is not None:
        return (wanted.profile_id, wanted.plan_task_id)
    return () if wanted.plan_task_id is None else (wanted.plan_task_id,)


def _page_at_status(rows: Sequence[asyncpg.Record]) -> Listed:
    """Rows of deliveries, of which the last may say only how far the statement came."""
    reached = rows[-1]["position"] if rows and rows[-1]["last"] else None
    documents = [dict(row) for row in rows if row["stands"]]
    for document in documents:
        del document["stands"], document["last"]
    return Listed([Delivery(**document) for document in documents], reached)


def _delivery(row: asyncpg.Record) -> Delivery:
    return Delivery(**dict(row))
