"""What workers call: decide firings that their server could not, and end rules and silences whose time is over."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID, uuid4

from server.alerts.deciding import Decider, decide_firings
from server.alerts.firing_store import FiringStore
from server.alerts.store import AlertStore
from server.errors import LeoError
from server.platform.logging import get_logger
from server.platform.postgres import Database
from server.platform.task_claims import claimed_by_tenant

_PAGE: Final = 500


class AlertJobs:
    """Takes up firings that are due: their server was killed, busy, or could not reach what it needs.

    Args:
        lease_seconds: how long a claim holds.
        worker: names this process in claims.
    """

    def __init__(
        self,
        *,
        database: Database,
        store: AlertStore,
        firings: FiringStore,
        decider: Decider,
        lease_seconds: float,
        worker: str,
    ) -> None:
        self._database = database
        self._store = store
        self._firings = firings
        self._decider = decider
        self._lease = timedelta(seconds=lease_seconds)
        self._worker = worker

    async def decide_firings(self) -> None:
        """Decide until none is due. Idempotent; any number may run at once."""
        claimant = f"{self._worker}:{uuid4().hex}"
        async for tenant_id, task_ids in claimed_by_tenant(lambda: self._claim(claimant)):
            await self._decide(tenant_id, task_ids, claimant)

    async def end_silences(self) -> None:
        """File silences whose time is over, so that what is asked at a firing stays short. Idempotent; any number
        may run at once.

        Raises:
            LeoError: the database is away; the next run looks again.
        """
        claimant = f"{self._worker}:{uuid4().hex}"
        async for tenant_id, silence_ids in claimed_by_tenant(lambda: self._claim_silences(claimant)):
            async with self._database.tenant_transaction(tenant_id) as connection:
                await self._firings.complete_silences(connection, tenant_id, silence_ids)

    async def expire_rules(self) -> None:
        """End rules whose time is over: they did not fire any more, and now their owners forget them. Idempotent; any
        number may run at once.

        Raises:
            LeoError: the database is away; the next run looks again.
        """
        ended = _PAGE
        while ended == _PAGE:
            async with self._database.transaction() as connection:
                ended = await self._store.expire_rules(connection, _PAGE)

    async def _claim_silences(self, claimant: str) -> list[tuple[UUID, str]]:
        async with self._database.transaction() as connection:
            return await self._firings.claim_silences(connection, limit=_PAGE, claimant=claimant)

    async def _claim(self, claimant: str) -> list[tuple[UUID, str]]:
        async with self._database.transaction() as connection:
            return await self._store.claim_firings(
                connection, limit=_PAGE, lease=self._lease, claimant=claimant
            )

    async def _decide(self, tenant_id: UUID, task_ids: list[str], claimant: str) -> None:
        try:
            async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
                firings = await self._store.load_firings(connection, tenant_id, task_ids, claimant)
            await decide_firings(self._decider, self._database, self._store, tenant_id, firings)
        except LeoError as error:
            get_logger().warning("firings_wait", count=len(task_ids), reason=error.reason)
