"""Use cases of snapshots."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Final
from uuid import UUID

from server.conditions import SqlFragment, parse
from server.errors import NotFound, PreconditionFailed
from server.paging import Cursor, Page, PageRequest, open_cursor
from server.platform.ids import canonical_json, key_id
from server.platform.postgres import Connection, Database
from server.snapshots.model import (
    Audience,
    FreezeRequest,
    Frozen,
    GivenCondition,
    Label,
    NamedSegment,
    Snapshot,
    Wanted,
    condition_audience,
    label_audience,
    member_page,
)
from server.snapshots.store import FIRST_CONDITION_PARAMETER, RequestRow, SnapshotStore
from server.validation import Violations

_CONDITION_FIELDS: Final = {NamedSegment: "segment", Label: "label", GivenCondition: "condition.condition"}


class SnapshotService:
    """Freezes audiences and reads them back.

    Args:
        database: connections of the serving role.
        clock: the present time, which ages and windows of a condition are measured from.
    """

    def __init__(self, *, database: Database, store: SnapshotStore, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._store = store
        self._clock = clock

    async def snapshot(self, tenant_id: UUID, request: FreezeRequest) -> Frozen:
        """Freeze an audience as it is now, all of it in one transaction, inside PostgreSQL.

        PostgreSQL: 6 to 7 round trips, whatever the size. Where another call freezes the very same audience
        at this moment, it waits for that one and answers its snapshot.

        Raises:
            InvalidInput: with every fault.
            NotFound: no campaign defines the segment.
            PreconditionFailed: campaigns define the segment differently, and none of them is active.
        """
        wanted, now = request.checked(), self._clock()
        async with self._database.tenant_transaction(tenant_id) as connection:
            audience = await self._resolve(connection, tenant_id, wanted)
            condition = audience.fragment(
                at=now, first_parameter=FIRST_CONDITION_PARAMETER, field=_CONDITION_FIELDS[type(wanted)]
            )
            snapshot, created = await self._freeze(connection, tenant_id, audience, request.reason, condition)
            row = _request_row(tenant_id, request, wanted, audience, snapshot, now)
            await self._store.record_request(connection, tenant_id, row)
        return Frozen(snapshot=snapshot, created=created, task_id=row.task_id)

    async def get_snapshot(self, tenant_id: UUID, snapshot_id: str) -> Snapshot:
        """One snapshot. PostgreSQL: 3 round trips.

        Raises:
            InvalidInput: the id has no form of an id.
            NotFound: the tenant has no such snapshot.
        """
        _check_id(snapshot_id)
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            snapshot = await self._store.get_snapshot(connection, tenant_id, snapshot_id)
        if snapshot is None:
            raise NotFound("snapshot", snapshot_id)
        return snapshot

    async def list_members(
        self, tenant_id: UUID, snapshot_id: str, page: PageRequest
    ) -> AsyncIterator[Page[str]]:
        """Pages of members to the end, at least one. PostgreSQL: 3 round trips, and 3 for each page.

        No transaction stays open between pages: members never change.

        Raises:
            InvalidInput: the id has no form of an id, or the page is not one of this snapshot.
            NotFound: the tenant has no such snapshot.
        """
        page = member_page(page)
        cursor = _member_cursor(snapshot_id, page)
        await self.get_snapshot(tenant_id, snapshot_id)
        while True:
            members = await self._members(tenant_id, snapshot_id, cursor)
            yield members
            if not members.next_token:
                return
            cursor = _member_cursor(snapshot_id, PageRequest(page.size, members.next_token))

    async def _members(self, tenant_id: UUID, snapshot_id: str, cursor: Cursor) -> Page[str]:
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            members = await self._store.list_members(
                connection, tenant_id, snapshot_id, after=str(cursor.after[0]), limit=cursor.limit
            )
        return cursor.page(members, lambda profile_id: (profile_id,))

    async def _freeze(
        self,
        connection: Connection,
        tenant_id: UUID,
        audience: Audience,
        reason: str,
        condition: SqlFragment,
    ) -> tuple[Snapshot, bool]:
        await self._store.prepare_freeze(connection)
        snapshot_id, created = await self._store.freeze_audience(
            connection,
            tenant_id,
            name=audience.name,
            version=audience.version,
            reason=reason,
            condition=condition,
        )
        snapshot = await self._store.get_snapshot(connection, tenant_id, snapshot_id)
        assert snapshot is not None, "it was inserted, or another transaction has committed it"
        return snapshot, created

    async def _resolve(self, connection: Connection, tenant_id: UUID, wanted: Wanted) -> Audience:
        match wanted:
            case Label(label):
                return label_audience(label)
            case GivenCondition():
                return condition_audience(tenant_id, wanted)
            case NamedSegment(name):
                return await self._named(connection, tenant_id, name)

    async def _named(self, connection: Connection, tenant_id: UUID, name: str) -> Audience:
        definitions = await self._store.find_segment(connection, tenant_id, name)
        if not definitions:
            raise NotFound("segment", name)
        if len(definitions) > 1:
            raise PreconditionFailed(
                "REFERENCE_MISSING",
                "campaigns define the segment differently and none of them is active; activate one of them",
                {"resource": "segment", "id": name},
            )
        return Audience(name, definitions[0].version, parse(definitions[0].condition))


def _check_id(snapshot_id: str) -> None:
    violations = Violations()
    violations.sha256("snapshot_id", snapshot_id)
    violations.raise_if_any()


def _member_cursor(snapshot_id: str, page: PageRequest) -> Cursor:
    _check_id(snapshot_id)
    return open_cursor(page, listing=["snapshot_members", snapshot_id], first=("",))


def _request_row(
    tenant_id: UUID,
    request: FreezeRequest,
    wanted: Wanted,
    audience: Audience,
    snapshot: Snapshot,
    now: datetime,
) -> RequestRow:
    """Every asking is a fact of its own, so its time is part of its id."""
    inputs = wanted.document() | {
        "segment_name": audience.name,
        "segment_version": audience.version,
        "condition": audience.condition.canonical(),
        "evaluated_at": now.isoformat(),
        "requested_by": request.requested_by,
    }
    return RequestRow(
        task_id=key_id(
            "snapshot_request", tenant_id, snapshot.snapshot_id, request.requested_by, now.isoformat()
        ),
        snapshot_id=snapshot.snapshot_id,
        reason=request.reason,
        inputs=canonical_json(inputs),
        result=canonical_json(
            {"audience_sha256": snapshot.audience_sha256, "member_count": snapshot.member_count}
        ),
        requested_at=now,
    )
