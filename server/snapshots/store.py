"""Snapshots in PostgreSQL: one method for each named query of db/queries/snapshots.sql."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg
import orjson

from server.platform.postgres import Connection
from server.platform.queries import Queries
from server.snapshots.model import Change, Difference, Drawn, Found, LeftOut, Members, Snapshot

_CONDITION_MARK: Final = "/* condition */ TRUE"
_MEMBERS_MARK: Final = "/* members */ (SELECT profile_id FROM cdp_profiles WHERE tenant_id = $1)"
_NAMING_PARAMETERS: Final = 3
_COUNTING_PARAMETERS: Final = 2
_DRAWING_PARAMETERS: Final = 4
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
            self._around(members, "freeze_audience", _NAMING_PARAMETERS),
            tenant_id,
            members.name,
            members.version,
            reason,
            *members.parameters,
            timeout=_LONGEST_SECONDS,
        )
        assert row is not None, "the query always answers one row"
        return row["snapshot_id"], row["created"]

    def _around(self, members: Members, name: str, own: int) -> str:
        """A statement around the query that finds members, which it gives so many parameters of its own."""
        found = self._queries[members.query].rstrip(";").replace(_CONDITION_MARK, members.condition)
        return self._queries[name].replace(_MEMBERS_MARK, f"({_moved_up(found, own)})")

    async def cost_of_counting(self, connection: Connection, tenant_id: UUID, members: Members) -> float:
        """What the planner thinks that it costs to find all of them."""
        found = self._queries[members.query].rstrip(";").replace(_CONDITION_MARK, members.condition)
        plan = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {found}", tenant_id, *members.parameters)
        return float(orjson.loads(plan)[0]["Plan"]["Total Cost"])

    async def count_members(
        self, connection: Connection, tenant_id: UUID, members: Members, *, limit: int, named: int
    ) -> tuple[int, tuple[str, ...]]:
        """How many there are, up to a limit, and the first of their ids."""
        row = await connection.fetchrow(
            self._around(members, "count_members", _COUNTING_PARAMETERS),
            tenant_id,
            limit,
            named,
            *members.parameters,
        )
        assert row is not None, "the query always answers one row"
        return row["member_count"], tuple(row["profile_ids"])

    async def table_pages(self, connection: Connection) -> int:
        """How many pages the profiles of all tenants take."""
        pages: int = await connection.fetchval(self._queries["table_pages"])
        return pages

    async def sample_members(
        self,
        connection: Connection,
        tenant_id: UUID,
        members: Members,
        *,
        pages: int,
        wanted: int,
        seed: int,
        named: int,
    ) -> Drawn:
        """Whom so many pages, drawn at random, hold of those that a condition means."""
        condition = _moved_up(members.condition, _DRAWING_PARAMETERS)
        row = await connection.fetchrow(
            self._queries["sample_members"].replace(_CONDITION_MARK, condition),
            tenant_id,
            pages,
            wanted,
            seed,
            named,
            *members.parameters,
        )
        assert row is not None, "the query always answers one row"
        return Drawn(row["page_count"], row["member_count"], row["square_count"], tuple(row["profile_ids"]))

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


def _moved_up(sql: str, by: int) -> str:
    """The same with all placeholders but the tenant's so much higher."""
    return re.sub(r"\$(\d+)", lambda found: f"${int(found[1]) + by}" if found[1] != "1" else "$1", sql)


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
