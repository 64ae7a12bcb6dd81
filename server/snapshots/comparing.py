"""Snapshots held against each other, and against what was recorded of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

from server.errors import NotFound
from server.paging import Cursor, PageRequest, open_cursor
from server.platform.postgres import Connection, Database
from server.snapshots.model import (
    Difference,
    DifferencePage,
    DifferenceRequest,
    Snapshot,
    Verified,
    check_snapshot_id,
)
from server.snapshots.store import SnapshotStore


class SnapshotComparison:
    """Compares. It changes nothing.

    Args:
        database: connections of the serving role.
    """

    def __init__(self, *, database: Database, store: SnapshotStore) -> None:
        self._database = database
        self._store = store

    async def diff_snapshots(
        self, tenant_id: UUID, request: DifferenceRequest
    ) -> AsyncIterator[DifferencePage]:
        """Pages of what changed, at least one; the first of a call without a token counts all changes.

        PostgreSQL: 3 or 5 round trips, and 4 for each page; no transaction stays open between them.

        Raises:
            InvalidInput: an id has no form of an id, or the page is not one of this comparison.
            NotFound: the tenant lacks one of the two.
        """
        request = request.checked()
        cursor = _cursor(request, request.page.token)
        counted = await self._begin(tenant_id, request)
        while True:
            page = await self._page(tenant_id, request, cursor, counted)
            yield page
            if not page.next_token:
                return
            counted, cursor = None, _cursor(request, page.next_token)

    async def verify_snapshot(self, tenant_id: UUID, snapshot_id: str) -> Verified:
        """A snapshot held against its members. PostgreSQL: 5 round trips; it reads all members.

        Raises:
            InvalidInput: the id has no form of an id.
            NotFound: the tenant has no such snapshot.
        """
        check_snapshot_id(snapshot_id)
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            snapshot = await self._existing(connection, tenant_id, snapshot_id)
            await self._store.prepare_long_work(connection)
            found = await self._store.measure_members(connection, tenant_id, snapshot_id)
        return Verified(tenant_id, snapshot, found)

    async def _begin(self, tenant_id: UUID, request: DifferenceRequest) -> Difference | None:
        earlier, later = request.from_snapshot_id, request.to_snapshot_id
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            await self._existing(connection, tenant_id, earlier, later)
            if request.page.token:
                return None
            await self._store.prepare_long_work(connection)
            return await self._store.count_difference(connection, tenant_id, earlier, later)

    async def _existing(self, connection: Connection, tenant_id: UUID, *snapshot_ids: str) -> Snapshot:
        """The first of them; all of them have to be there."""
        found = await self._store.get_snapshots(connection, tenant_id, snapshot_ids)
        for snapshot_id in snapshot_ids:
            if snapshot_id not in found:
                raise NotFound("snapshot", snapshot_id)
        return found[snapshot_ids[0]]

    async def _page(
        self, tenant_id: UUID, request: DifferenceRequest, cursor: Cursor, counted: Difference | None
    ) -> DifferencePage:
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            await self._store.prepare_long_work(connection)
            changed = await self._store.list_difference(
                connection,
                tenant_id,
                request.from_snapshot_id,
                request.to_snapshot_id,
                changes=request.changes,
                after=str(cursor.after[0]),
                limit=cursor.limit,
            )
        page = cursor.page(changed, lambda change: (change[0],))
        return DifferencePage(counted, page.items, page.next_token)


def _cursor(request: DifferenceRequest, token: str) -> Cursor:
    listing = ["snapshot_changes", request.from_snapshot_id, request.to_snapshot_id, *request.changes]
    return open_cursor(PageRequest(request.page.size, token), listing=listing, first=("",))
