"""The journey in PostgreSQL: the named query of db/queries/trace.sql, and how its rows read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from server.platform.postgres import Connection
from server.platform.queries import Queries
from server.trace.explanation import Circumstances
from server.trace.model import (
    BehaviouralEvent,
    Candidate,
    Decision,
    Delivery,
    MarketingEvent,
    Position,
    Snapshot,
    Step,
    Template,
)


@dataclass(frozen=True, slots=True)
class JourneyRows:
    """The steps of a page, and whether there is a profile of this id."""

    profile_known: bool
    steps: list[Step]


class TraceStore:
    """Runs inside the caller's open transaction."""

    def __init__(self) -> None:
        self._queries = Queries.load("trace")

    async def get_journey(
        self,
        connection: Connection,
        tenant_id: UUID,
        profile_id: str,
        *,
        before: Position,
        limit: int,
    ) -> JourneyRows:
        """The steps before a point, the newest first: one statement, and a round trip to have its plan kept."""
        await connection.execute(self._queries["keep_plan"])
        rows = await connection.fetch(
            self._queries["get_journey"],
            tenant_id,
            profile_id,
            before.created_at,
            before.happened_at,
            before.task_id,
            limit,
        )
        return JourneyRows(
            profile_known=rows[0]["profile_known"],
            steps=[_step(row) for row in rows if row["task_id"] is not None],
        )

    async def explain_delivery(
        self, connection: Connection, tenant_id: UUID, delivery_key: str
    ) -> Circumstances | None:
        """A delivery and what surrounds it; None where there is none. One statement."""
        row = await connection.fetchrow(self._queries["explain_delivery"], tenant_id, delivery_key)
        return Circumstances(**dict(row)) if row else None


def _step(row: asyncpg.Record) -> Step:
    return Step(
        event=_event(row) if row["source_event_id"] is not None else None,
        decision=_decision(row),
        snapshot=_snapshot(row) if row["snapshot_id"] is not None else None,
        marketing_event=_marketing_event(row) if row["marketing_event_id"] is not None else None,
        deliveries=tuple(_delivery(entry) for entry in _list(row["deliveries"])),
    )


def _event(row: asyncpg.Record) -> BehaviouralEvent:
    return BehaviouralEvent(
        source_event_id=row["source_event_id"],
        event_type=row["event_type"],
        occurred_at=row["occurred_at"],
        attributes=row["attributes"],
    )


def _decision(row: asyncpg.Record) -> Decision:
    return Decision(
        task_id=row["task_id"],
        parent_task_id=row["parent_task_id"],
        agent_name=row["agent_name"],
        outcome=row["outcome"],
        reason_code=row["reason_code"],
        summary=row["reasoning_summary"],
        candidates=tuple(_candidate(candidate) for candidate in _list(row["candidates"])),
        rule_bundle_id=row["rule_bundle_id"],
        decided_at=row["decided_at"],
        due_at=row["due_at"],
        status=row["status"],
        created_at=row["created_at"],
        happened_at=row["happened_at"],
        erased=row["erased"],
    )


def _candidate(entry: dict[str, Any]) -> Candidate:
    return Candidate(
        marketing_event_id=entry["marketing_event_id"],
        event_name=entry["event_name"],
        reason=entry["reason"],
        explanation=entry["explanation"],
    )


def _snapshot(row: asyncpg.Record) -> Snapshot:
    return Snapshot(
        snapshot_id=row["snapshot_id"],
        segment_name=row["segment_name"],
        segment_version=row["segment_version"],
        reason=row["snapshot_reason"],
        audience_sha256=row["audience_sha256"],
        member_count=row["member_count"],
        created_at=row["snapshot_created_at"],
        is_member=row["is_member"],
    )


def _marketing_event(row: asyncpg.Record) -> MarketingEvent:
    return MarketingEvent(
        marketing_event_id=row["marketing_event_id"],
        event_name=row["event_name"],
        campaign_id=row["campaign_id"],
        channels=tuple(_list(row["channels"])),
        template_name=row["template_name"],
        templates=tuple(Template(**version) for version in _list(row["templates"])),
    )


def _delivery(entry: dict[str, Any]) -> Delivery:
    sent_at = entry["sent_at"]
    return Delivery(
        **entry
        | {
            "sent_at": datetime.fromisoformat(sent_at) if sent_at else None,
            "recorded_at": datetime.fromisoformat(entry["recorded_at"]),
        }
    )


def _list(text: str | None) -> list[Any]:
    """The items of a JSON array; none for null."""
    items: list[Any] = orjson.loads(text) if text else []
    return items
