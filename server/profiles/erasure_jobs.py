"""What workers call: erasures whose caller is gone are completed."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from server.platform.postgres import Database
from server.platform.task_claims import Claims, claimed_by_tenant
from server.profiles.erasure import ProfileErasure
from server.profiles.erasure_store import ErasureStore

_PAGE: Final = 20
_LEASE: Final = timedelta(minutes=5)


class ErasureJobs:
    """Goes on. Any number may run at once: each leases what it completes.

    Args:
        worker: names this process in claims.
    """

    def __init__(
        self, *, database: Database, store: ErasureStore, erasure: ProfileErasure, worker: str
    ) -> None:
        self._database = database
        self._store = store
        self._erasure = erasure
        self._worker = worker

    async def go_on(self) -> None:
        """Complete every erasure that was begun and has not moved for a minute. PostgreSQL: 3 round trips for a page,
        and for each erasure 3, and 3 for each 10,000 rows.

        Raises:
            LeoError: the database is away; leases run out, and the next run goes on.
        """
        async for tenant_id, task_ids in claimed_by_tenant(self._claim):
            for task_id in task_ids:
                async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
                    profile_id = await self._store.load_erasure(connection, tenant_id, task_id)
                await self._erasure.redact(tenant_id, profile_id)

    async def _claim(self) -> Claims:
        async with self._database.transaction() as connection:
            return await self._store.claim_erasures(connection, limit=_PAGE, lease=_LEASE, owner=self._worker)
