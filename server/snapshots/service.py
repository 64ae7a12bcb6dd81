"""Use cases of snapshots: freeze an audience, and read what was frozen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Final
from uuid import UUID

from server.errors import NotFound
from server.paging import Cursor, Page, PageRequest, open_cursor
from server.platform.ids import canonical_json, key_id
from server.platform.postgres import Connection, Database
from server.snapshots.model import (
    FreezeRequest,
    Frozen,
    GivenList,
    LeftOut,
    Members,
    Snapshot,
    Wanted,
    check_snapshot_id,
    member_page,
)
from server.snapshots.resolving import Resolution
from server.snapshots.store import RequestRow, SnapshotStore
from server.validation import Violations

_LONGEST_NAME: Final = 200
_NOBODY: Final = LeftOut(0, ())


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

        PostgreSQL: 6 to 8 round trips, whatever the size. Where another call freezes the very same audience
        at this moment, it waits for that one and answers its snapshot.

        Raises:
            InvalidInput: with every fault.
            NotFound: no campaign defines the segment, or a snapshot to combine does not exist.
            PreconditionFailed: campaigns define the segment differently, and none of them is active.
        """
        wanted, now = request.checked(), self._clock()
        async with self._database.tenant_transaction(tenant_id) as connection:
            members = await Resolution(self._store, connection, tenant_id, now).members(wanted)
            snapshot, created = await self._freeze(connection, tenant_id, members, request.reason)
            left_out = await self._left_out(connection, tenant_id, snapshot.snapshot_id, wanted)
            row = _request_row(tenant_id, request, wanted, members, snapshot, now)
            await self._store.record_request(connection, tenant_id, row)
        return Frozen(snapshot=snapshot, created=created, task_id=row.task_id, left_out=left_out)

    async def get_snapshot(self, tenant_id: UUID, snapshot_id: str) -> Snapshot:
        """One snapshot. PostgreSQL: 3 round trips.

        Raises:
            InvalidInput: the id has no form of an id.
            NotFound: the tenant has no such snapshot.
        """
        check_snapshot_id(snapshot_id)
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            snapshots = await self._store.get_snapshots(connection, tenant_id, [snapshot_id])
        if not snapshots:
            raise NotFound("snapshot", snapshot_id)
        return snapshots[snapshot_id]

    async def list_snapshots(self, tenant_id: UUID, segment_name: str, page: PageRequest) -> Page[Snapshot]:
        """The snapshots of a segment, the newest first. PostgreSQL: 3 round trips.

        Raises:
            InvalidInput: no name is given, or the page is not one of this list.
        """
        violations = Violations()
        violations.text("segment_name", segment_name, maximum=_LONGEST_NAME)
        violations.raise_if_any()
        cursor = open_cursor(page, listing=["snapshots", segment_name], first=("",))
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            snapshots = await self._store.list_snapshots(
                connection, tenant_id, segment_name, after=str(cursor.after[0]), limit=cursor.limit
            )
        return cursor.page(snapshots, lambda snapshot: (snapshot.snapshot_id,))

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
        self, connection: Connection, tenant_id: UUID, members: Members, reason: str
    ) -> tuple[Snapshot, bool]:
        await self._store.prepare_long_work(connection)
        snapshot_id, created = await self._store.freeze_audience(
            connection, tenant_id, members=members, reason=reason
        )
        snapshots = await self._store.get_snapshots(connection, tenant_id, [snapshot_id])
        return snapshots[snapshot_id], created

    async def _left_out(
        self, connection: Connection, tenant_id: UUID, snapshot_id: str, wanted: Wanted
    ) -> LeftOut:
        if not isinstance(wanted, GivenList):
            return _NOBODY
        given = sorted(set(wanted.profile_ids))
        return await self._store.left_out_of_list(connection, tenant_id, snapshot_id, given)


def _member_cursor(snapshot_id: str, page: PageRequest) -> Cursor:
    check_snapshot_id(snapshot_id)
    return open_cursor(page, listing=["snapshot_members", snapshot_id], first=("",))


def _request_row(
    tenant_id: UUID,
    request: FreezeRequest,
    wanted: Wanted,
    members: Members,
    snapshot: Snapshot,
    now: datetime,
) -> RequestRow:
    """Every asking is a fact of its own, so its time is part of its id."""
    inputs = {
        **wanted.document(),
        **members.record,
        "segment_name": members.name,
        "segment_version": members.version,
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
