"""From a wish to the members that are to be frozen: definitions and other snapshots are looked up."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from server.conditions import parse
from server.errors import NotFound, PreconditionFailed
from server.platform.postgres import Connection
from server.snapshots.model import (
    Audience,
    Combination,
    GivenCondition,
    GivenList,
    Label,
    Members,
    NamedSegment,
    Wanted,
    combined_members,
    condition_audience,
    label_audience,
    listed_members,
)
from server.snapshots.store import SnapshotStore


class Resolution:
    """Looks up what one request names.

    Args:
        connection: in the tenant's transaction.
        at: the present, which ages and windows of a condition are measured from.
    """

    def __init__(self, store: SnapshotStore, connection: Connection, tenant_id: UUID, at: datetime) -> None:
        self._store = store
        self._connection = connection
        self._tenant_id = tenant_id
        self._at = at

    async def members(self, wanted: Wanted) -> Members:
        """Who is meant. PostgreSQL: no round trip, or one for a named segment and for a combination.

        Raises:
            InvalidInput: with every fault of a condition.
            NotFound: no campaign defines the segment, or a snapshot to combine does not exist.
            PreconditionFailed: campaigns define the segment differently, and none of them is active.
        """
        match wanted:
            case Label(label):
                return label_audience(label).members(at=self._at, field="label")
            case GivenCondition():
                audience = condition_audience(self._tenant_id, wanted)
                return audience.members(at=self._at, field="condition.condition")
            case GivenList():
                return listed_members(wanted)
            case Combination():
                return await self._combined(wanted)
            case NamedSegment(name):
                audience = await self._named(name)
                return audience.members(at=self._at, field="segment")

    async def _combined(self, wanted: Combination) -> Members:
        wanted_ids = (wanted.snapshot_id, wanted.other_snapshot_id)
        found = await self._store.get_snapshots(self._connection, self._tenant_id, wanted_ids)
        for snapshot_id in wanted_ids:
            if snapshot_id not in found:
                raise NotFound("snapshot", snapshot_id)
        return combined_members(self._tenant_id, wanted)

    async def _named(self, name: str) -> Audience:
        definitions = await self._store.find_segment(self._connection, self._tenant_id, name)
        if not definitions:
            raise NotFound("segment", name)
        if len(definitions) > 1:
            raise PreconditionFailed(
                "REFERENCE_MISSING",
                "campaigns define the segment differently and none of them is active; activate one of them",
                {"resource": "segment", "id": name},
            )
        return Audience(name, definitions[0].version, parse(definitions[0].condition))
