"""Passwords of sources under a newer key."""

from __future__ import annotations

from collections import Counter
from typing import Final
from uuid import UUID

from server.paging import Key
from server.platform.logging import get_logger
from server.platform.postgres import Database
from server.platform.sealing import Unreadable
from server.sync.secrets import SourceSecrets, place_of
from server.sync.sources.kinds import ConnectionNotValid
from server.sync.store import SourceStore

_PAGE: Final = 100


class SecretRotation:
    """Encrypts the passwords of all active tenants' sources under the newest key; may be repeated at any time."""

    def __init__(self, *, database: Database, store: SourceStore, secrets: SourceSecrets) -> None:
        self._database = database
        self._store = store
        self._secrets = secrets

    async def run(self) -> Counter[str]:
        """How many were `rotated`, `current` before, and `unreadable`: those are left as they are.

        PostgreSQL: one transaction for each source.

        Raises:
            PreconditionFailed: this process has no key.
        """
        counts: Counter[str] = Counter()
        async with self._database.transaction(readonly=True) as connection:
            tenants = await self._store.list_tenants(connection)
        for tenant_id in tenants:
            after: Key = ("",)
            while ids := await self._ids(tenant_id, after):
                for source_id in ids:
                    counts[await self._rotate(tenant_id, source_id)] += 1
                after = (ids[-1],)
        del counts[""]
        return counts

    async def _ids(self, tenant_id: UUID, after: Key) -> list[str]:
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            sources = await self._store.list(connection, tenant_id, after=after, limit=_PAGE)
        return [source.definition.source_id for source in sources]

    async def _rotate(self, tenant_id: UUID, source_id: str) -> str:
        """What became of it; empty where it has no password."""
        async with self._database.tenant_transaction(tenant_id) as connection:
            stored = await self._store.lock(connection, tenant_id, source_id)
            if stored is None or stored.secret is None:
                return ""
            if self._secrets.is_current(stored.secret):
                return "current"
            try:
                place = place_of(tenant_id, stored.source.definition)
                password = self._secrets.unseal(stored.secret, place)
            except (Unreadable, ConnectionNotValid):
                get_logger().error("source_password_unreadable", tenant_id=str(tenant_id))
                return "unreadable"
            await self._store.store_secret(
                connection, tenant_id, source_id, self._secrets.seal(password, place)
            )
        return "rotated"
