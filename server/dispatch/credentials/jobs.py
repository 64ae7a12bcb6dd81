"""What the schedule calls: tokens are renewed before they end."""

from __future__ import annotations

from server.dispatch.credentials.directory import ChannelDirectory
from server.dispatch.credentials.store import CredentialStore
from server.errors import LeoError
from server.platform.logging import get_logger
from server.platform.postgres import Database


class CredentialJobs:
    """Upkeep of credentials. Any number may run at once: what is renewed is looked at under its lock."""

    def __init__(self, *, database: Database, store: CredentialStore, directory: ChannelDirectory) -> None:
        self._database = database
        self._store = store
        self._directory = directory

    async def renew_due(self) -> None:
        """Renew every token whose time has come: twelve hours after the last time, or shortly before it ends.

        PostgreSQL: one small read for each active tenant.

        Raises:
            LeoError: the database is away; the next run looks again.
        """
        async with self._database.transaction(readonly=True) as connection:
            tenants = await self._store.list_tenants(connection)
        for tenant_id in tenants:
            try:
                await self._directory.renew_due(tenant_id)
            except LeoError as error:
                # One tenant's trouble does not keep the others' tokens from being renewed.
                get_logger().warning("credentials_wait", tenant_id=str(tenant_id), reason=error.reason)
