"""Snapshots in PostgreSQL: one method for each named query of db/queries/snapshots.sql."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

from server.platform.postgres import Connection
from server.platform.queries import Queries
from server.snapshots.model import Change, Difference, Found, LeftOut, Members, Snapshot

_CONDITION_MARK: Final = "/* condition */ TRUE"
_MEMBERS_MARK: Final = "/* members */ (SELECT profile_id FROM cdp_profiles WHERE tenant_id = $1)"
_NAMING_PARAMETERS: Final = 3
_LONGEST_SECONDS: Final = 290.0
_NAMED_UNKNOWN: Final = 100


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

    async def prepare_long_work(self, connection: Connection) -> None:
        """Allow the transaction's next statements the time that a large audience takes."""
        await connection.execute(self._queries["prepare_long_work"], int(_LONGEST_SECONDS * 1000))

    async def freeze_audience(
        self, connection: Connection, tenant_id: UUID, *, members: Members, reason: str
    ) -> tuple[str, bool]:
        """Freeze whoever is meant.

        Returns:
            The snapshot's id, and whether it is new.
        """
        row = await connection.fetchrow(
            self._freezing(members),
            tenant_id,
            members.name,
            members.version,
            reason,
            *members.parameters,
            timeout=_LONGEST_SECONDS,
        )
        assert row is not None, "the query always answers one row"
        return row["snapshot_id"], row["created"]

    def _freezing(self, members: Members) -> str:
        """The statement that freezes them: placeholders behind the tenant's move up by those of the naming."""
        found = self._queries[members.query].rstrip(";")
        if members.condition:
            found = found.replace(_CONDITION_MARK, members.condition)
        moved = re.sub(r"\$(\d+)", _moved_up, found)
        return self._queries["freeze_audience"].replace(_MEMBERS_MARK, f"({moved})")

    async def left_out_of_list(
        self, connection: Connection, tenant_id: UUID, snapshot_id: str, profile_ids: Sequence[str]
    ) -> LeftOut:
        """Which of these profiles the snapshot does not hold."""
        row = await connection.fetchrow(
            self._queries["left_out_of_list"], tenant_id, snapshot_id, profile_ids, _NAMED_UNKNOWN
        )
        assert row is not None, "the query always answers one row"
        return LeftOut(row["left_out_count"], tuple(row["first_profile_ids"]))

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

    async def get_snapshots(
        self, connection: Connection, tenant_id: UUID, snapshot_ids: Sequence[str]
    ) -> dict[str, Snapshot]:
        """Those of these ids that there are."""
        rows = await connection.fetch(self._queries["get_snapshots"], tenant_id, list(snapshot_ids))
        return {row["snapshot_id"]: _snapshot(row) for row in rows}

    async def list_snapshots(
        self, connection: Connection, tenant_id: UUID, name: str, *, after: str, limit: int
    ) -> list[Snapshot]:
        """Snapshots of a segment, the newest first, after one of them."""
        rows = await connection.fetch(self._queries["list_snapshots"], tenant_id, name, after, limit)
        return [_snapshot(row) for row in rows]

    async def list_members(
        self, connection: Connection, tenant_id: UUID, snapshot_id: str, *, after: str, limit: int
    ) -> list[str]:
        """Ids of members after an id, in their order."""
        rows = await connection.fetch(self._queries["list_members"], tenant_id, snapshot_id, after, limit)
        return [row["profile_id"] for row in rows]

    async def measure_members(self, connection: Connection, tenant_id: UUID, snapshot_id: str) -> Found:
        """What the members of a snapshot give now."""
        row = await connection.fetchrow(
            self._queries["measure_members"], tenant_id, snapshot_id, timeout=_LONGEST_SECONDS
        )
        assert row is not None, "the query always answers one row"
        return Found(row["member_count"], row["audience_sha256"])

    async def count_difference(
        self, connection: Connection, tenant_id: UUID, earlier: str, later: str
    ) -> Difference:
        """How many members changed in which way."""
        row = await connection.fetchrow(
            self._queries["count_difference"], tenant_id, earlier, later, timeout=_LONGEST_SECONDS
        )
        assert row is not None, "the query always answers one row"
        return Difference(row["entered_count"], row["left_count"], row["kept_count"])

    async def list_difference(
        self,
        connection: Connection,
        tenant_id: UUID,
        earlier: str,
        later: str,
        *,
        changes: Sequence[Change],
        after: str,
        limit: int,
    ) -> list[tuple[str, Change]]:
        """Members after an id that changed in one of these ways, in the order of their ids."""
        rows = await connection.fetch(
            self._queries["list_difference"],
            tenant_id,
            earlier,
            later,
            list(changes),
            after,
            limit,
            timeout=_LONGEST_SECONDS,
        )
        return [(row["profile_id"], Change(row["change"])) for row in rows]

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


def _moved_up(placeholder: re.Match[str]) -> str:
    number = int(placeholder[1])
    return f"${number + _NAMING_PARAMETERS}" if number > 1 else placeholder[0]


def _snapshot(row: asyncpg.Record) -> Snapshot:
    return Snapshot(
        snapshot_id=row["snapshot_id"],
        segment_name=row["segment_name"],
        segment_version=row["segment_version"],
        reason=row["snapshot_reason"],
        audience_sha256=row["audience_sha256"],
        member_count=row["member_count"],
        created_at=row["created_at"],
    )
