"""Which tenant a verified realm and client belong to, asked of PostgreSQL and remembered for a short time."""

from __future__ import annotations

import time
from typing import Final, Protocol
from uuid import UUID

from server.platform.postgres import Database
from server.platform.queries import Queries
from server.rpc.expiring_cache import ExpiringCache

_KNOWN_SECONDS: Final = 30.0
_UNKNOWN_SECONDS: Final = 2.0
_MOST_ENTRIES: Final = 10_000


class TenantDirectory(Protocol):
    """Finds tenants."""

    async def resolve(self, realm: str, client: str) -> UUID | None:
        """The active tenant of this realm and client, or None."""
        ...


class PostgresTenantDirectory:
    """Tenants of the database. A change (a suspended tenant) is seen within 30 seconds."""

    def __init__(self, *, database: Database) -> None:
        self._database = database
        self._queries = Queries.load("rpc")
        self._cache: ExpiringCache[tuple[str, str], tuple[UUID | None]] = ExpiringCache(
            most_entries=_MOST_ENTRIES, now=time.monotonic
        )

    async def resolve(self, realm: str, client: str) -> UUID | None:
        """As `TenantDirectory.resolve`. One transaction when not remembered."""
        remembered = self._cache.get((realm, client))
        if remembered is not None:
            return remembered[0]
        async with self._database.transaction(readonly=True) as connection:
            tenant_id: UUID | None = await connection.fetchval(self._queries["resolve_tenant"], realm, client)
        seconds = _UNKNOWN_SECONDS if tenant_id is None else _KNOWN_SECONDS
        self._cache.put((realm, client), (tenant_id,), expires_at=time.monotonic() + seconds)
        return tenant_id
