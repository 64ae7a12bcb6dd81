"""What workers do for snapshots."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from server.platform.postgres import Database
from server.snapshots.store import SnapshotStore

_BATCH_SIZE: Final = 1000


async def append_snapshot_to_profiles(
    database: Database, tenant_id: UUID, snapshot_id: str, *, batch_size: int = _BATCH_SIZE
) -> int:
    """Write a snapshot's id into `segment_snapshots` of all its members' profiles.

    It may be repeated, run twice at once, or begin again after a crash: a profile has the id once, and
    entries never go away. Erased profiles are left alone. PostgreSQL: 3 round trips and one commit for each
    batch.

    Args:
        database: connections of the workers' role.
        batch_size: how many members a commit covers.

    Returns:
        How many profiles had not had it.
    """
    store, after, total = SnapshotStore(), "", 0
    while True:
        async with database.tenant_transaction(tenant_id) as connection:
            last, appended = await store.append_to_profiles(
                connection, tenant_id, snapshot_id, after=after, limit=batch_size
            )
        total += appended
        if last is None:
            return total
        after = last
