"""Segments in PostgreSQL: one method for each named query of db/queries/segments.sql."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from server.conditions import SqlFragment
from server.platform.ids import canonical_json
from server.platform.postgres import Connection
from server.platform.queries import Queries
from server.segments.model import ENTERED, LEFT, Definition, Judged

_JUDGEMENT_MARK: Final = "/* judgement */ '[]'::jsonb"
_EVERY_PROFILE: Final = "profile_id > $2"
_THESE_PROFILES: Final = "profile_id = ANY ($2::text[])"


@dataclass(frozen=True, slots=True)
class Change:
    """A profile entered or left a segment, and it is to be decided on. `attributes` is a JSON object."""

    task_id: str
    source_event_id: str
    profile_id: str
    event_type: str
    occurred_at: datetime
    attributes: bytes


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What is asked of profiles.

    Args:
        judgement: which segments a row of `cdp_profiles p` is in.
        at: the present.
        versions: version by name of the segments.
        decided: whether changes are to be decided on.
    """

    judgement: SqlFragment
    at: datetime
    versions: Mapping[str, str]
    decided: bool


class SegmentStore:
    """Every method is one statement and one round trip, inside the caller's open transaction."""

    def __init__(self) -> None:
        self._queries = Queries.load("segments")

    async def list_segments(self, connection: Connection, tenant_id: UUID) -> list[Definition]:
        """The definitions that are in force."""
        rows = await connection.fetch(self._queries["list_segments"], tenant_id)
        return [
            Definition(row["segment_name"], row["segment_version"], row["condition"].encode()) for row in rows
        ]

    async def is_waited_for(self, connection: Connection, tenant_id: UUID) -> bool:
        """Whether a change can lead to a decision."""
        waits: bool = await connection.fetchval(self._queries["is_waited_for"], tenant_id, [ENTERED, LEFT])
        return waits

    async def take_turn(self, connection: Connection, tenant_id: UUID) -> bool:
        """Whether nobody else evaluates the tenant; nobody else will until the transaction ends."""
        taken: bool = await connection.fetchval(self._queries["take_turn"], tenant_id)
        return taken

    async def judge_next(
        self, connection: Connection, tenant_id: UUID, asked: Evaluation, *, after: str, limit: int
    ) -> Judged:
        """Judge the next profiles, and write what changed."""
        return await self._judge(self._queries["judge_next"], connection, tenant_id, asked, after, limit)

    async def judge_these(
        self, connection: Connection, tenant_id: UUID, asked: Evaluation, profile_ids: Sequence[str]
    ) -> Judged:
        """Judge these profiles, and write what changed."""
        return await self._judge(
            self._queries["judge_next"].replace(_EVERY_PROFILE, _THESE_PROFILES),
            connection,
            tenant_id,
            asked,
            sorted(set(profile_ids)),
            len(profile_ids),
        )

    async def _judge(
        self,
        query: str,
        connection: Connection,
        tenant_id: UUID,
        asked: Evaluation,
        which: str | list[str],
        limit: int,
    ) -> Judged:
        row = await connection.fetchrow(
            query.replace(_JUDGEMENT_MARK, asked.judgement.text),
            tenant_id,
            which,
            limit,
            asked.at,
            canonical_json(asked.versions),
            asked.decided,
            *asked.judgement.parameters,
        )
        assert row is not None, "the query always answers one row"
        return Judged(
            row["last_profile_id"],
            row["changed_count"],
            row["entered_count"],
            row["left_count"],
            row["asked_count"],
        )

    async def claim_changes(
        self, connection: Connection, *, limit: int, lease: timedelta, claimant: str
    ) -> list[tuple[UUID, str]]:
        """Lease changes of any tenant; tenants and task ids."""
        rows = await connection.fetch(self._queries["claim_changes"], limit, lease, claimant)
        return [(row["tenant_id"], row["task_id"]) for row in rows]

    async def load_changes(
        self, connection: Connection, tenant_id: UUID, task_ids: Sequence[str], claimant: str
    ) -> list[Change]:
        """What the claimed changes say."""
        rows = await connection.fetch(self._queries["load_changes"], tenant_id, task_ids, claimant)
        return [Change(**{**row, "attributes": row["attributes"].encode()}) for row in rows]

    async def end_changes(
        self, connection: Connection, tenant_id: UUID, ends: Mapping[str, tuple[str, bytes]]
    ) -> None:
        """Record status and result of tasks, by id."""
        ordered = sorted(ends)
        await connection.execute(
            self._queries["end_changes"],
            tenant_id,
            ordered,
            [ends[task_id][0] for task_id in ordered],
            [ends[task_id][1].decode() for task_id in ordered],
        )
