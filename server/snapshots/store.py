"""Snapshots in PostgreSQL: one method for each named query of db/queries/snapshots.sql."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from server.conditions import SqlFragment
from server.platform.postgres import Connection
from server.platform.queries import Queries
from server.snapshots.model import Snapshot

FIRST_CONDITION_PARAMETER: Final = 5
_CONDITION_MARK: Final = "/* condition */ TRUE"
_FREEZE_SECONDS: Final = 290.0


@dataclass(frozen=True, slots=True)
class RequestRow:
    """Who asked for a snapshot, when and why, as it is recorded; `inputs` and `result` are JSON."""

    task_id: str
    snapshot_id: str
    reason: str
    inputs: str
    result: str
    requested_at: datetime


class SegmentDefinition(NamedTuple):
    """One definition of a named segment; `condition` is JSON."""

    version: str
    condition: bytes


class SnapshotStore:
    """Every method is one statement and one round trip, inside the caller's open transaction."""

    def __init__(self) -> None:
        self._queries = Queries.load("snapshots")

    async def find_segment(
        self, connection: Connection, tenant_id: UUID, name: str
    ) -> list[SegmentDefinition]:
        """The different definitions that are in force under this name."""
        rows = await connection.fetch(self._queries["find_segment"], tenant_id, name)
        return [SegmentDefinition(row["segment_version"], row["condition"].encode()) for row in rows]

    async def prepare_freeze(self, connection: Connection) -> None:
        """Allow the transaction's next statements the time that a large audience takes."""
        await connection.execute(self._queries["prepare_freeze"], int(_FREEZE_SECONDS * 1000))

    async def freeze_audience(
        self,
        connection: Connection,
        tenant_id: UUID,
        *,
        name: str,
        version: str,
        reason: str,
        condition: SqlFragment,
    ) -> tuple[str, bool]:
        """Freeze whoever the condition holds for; its parameters begin at FIRST_CONDITION_PARAMETER.

        Returns:
            The snapshot's id, and whether it is new.
        """
        row = await connection.fetchrow(
            self._queries["freeze_audience"].replace(_CONDITION_MARK, condition.text),
            tenant_id,
            name,
            version,
            reason,
            *condition.parameters,
            timeout=_FREEZE_SECONDS,
        )
        assert row is not None, "the query always answers one row"
        return row["snapshot_id"], row["created"]

    async def record_request(self, connection: Connection, tenant_id: UUID, row: RequestRow) -> None:
        """Record that somebody asked."""
        await connection.execute(
            self._queries["record_request"],
            tenant_id,
            row.task_id,
            row.snapshot_id,
            row.reason,
            row.inputs,
            row.result,
            row.requested_at,
        )

    async def get_snapshot(
        self, connection: Connection, tenant_id: UUID, snapshot_id: str
    ) -> Snapshot | None:
        """The snapshot of this id."""
        row = await connection.fetchrow(self._queries["get_snapshot"], tenant_id, snapshot_id)
        if row is None:
            return None
        return Snapshot(
            snapshot_id=row["snapshot_id"],
            segment_name=row["segment_name"],
            segment_version=row["segment_version"],
            reason=row["snapshot_reason"],
            audience_sha256=row["audience_sha256"],
            member_count=row["member_count"],
            created_at=row["created_at"],
        )

    async def list_members(
        self, connection: Connection, tenant_id: UUID, snapshot_id: str, *, after: str, limit: int
    ) -> list[str]:
        """Ids of members after an id, in their order."""
        rows = await connection.fetch(self._queries["list_members"], tenant_id, snapshot_id, after, limit)
        return [row["profile_id"] for row in rows]

    async def append_to_profiles(
        self, connection: Connection, tenant_id: UUID, snapshot_id: str, *, after: str, limit: int
    ) -> tuple[str | None, int]:
        """Append the snapshot to the next members' profiles.

        Returns:
            The last member that was looked at, None behind the end; and how many profiles grew.
        """
        row = await connection.fetchrow(
            self._queries["append_to_profiles"], tenant_id, snapshot_id, after, limit
        )
        assert row is not None, "the query always answers one row"
        return row["last_profile_id"], row["appended"]
