"""The statements of `db/queries/tenancy.sql`: one method each, one round trip each."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import asyncpg
import orjson

from server.platform.postgres import Connection
from server.platform.queries import Queries
from server.tenancy.model import NewTenant, Tenant, TenantDefaults


class TenantStore:
    """Tenants in PostgreSQL, through a connection of the admin role."""

    def __init__(self) -> None:
        self._queries = Queries.load("tenancy")

    async def insert_tenant(
        self, connection: Connection, new: NewTenant, metadata: dict[str, Any]
    ) -> Tenant | None:
        """The new tenant; None when its realm already has the client or the name."""
        row = await connection.fetchrow(
            self._queries["insert_tenant"],
            new.tenant_name,
            new.keycloak_realm,
            new.keycloak_client_id,
            orjson.dumps(metadata),
        )
        return _tenant(row) if row else None

    async def get_tenant(self, connection: Connection, tenant_id: UUID) -> Tenant | None:
        """The tenant of this id."""
        row = await connection.fetchrow(self._queries["get_tenant"], tenant_id)
        return _tenant(row) if row else None

    async def get_tenant_of_client(self, connection: Connection, realm: str, client_id: str) -> Tenant | None:
        """The tenant of a realm and client."""
        row = await connection.fetchrow(self._queries["get_tenant_of_client"], realm, client_id)
        return _tenant(row) if row else None

    async def list_tenants(self, connection: Connection, after: UUID, limit: int) -> list[Tenant]:
        """Tenants after an id, in the order of their ids."""
        return [_tenant(row) for row in await connection.fetch(self._queries["list_tenants"], after, limit)]

    async def update_tenant(
        self,
        connection: Connection,
        tenant_id: UUID,
        *,
        name: str | None,
        status: str | None,
        metadata: dict[str, Any],
    ) -> Tenant | None:
        """The changed tenant; None when nothing changed, or there is no such tenant."""
        row = await connection.fetchrow(
            self._queries["update_tenant"], tenant_id, name, status, orjson.dumps(metadata)
        )
        return _tenant(row) if row else None


def _tenant(row: asyncpg.Record) -> Tenant:
    metadata = orjson.loads(row["metadata"])
    return Tenant(
        tenant_id=row["tenant_id"],
        tenant_name=row["tenant_name"],
        keycloak_realm=row["keycloak_realm"],
        keycloak_client_id=row["keycloak_client_id"],
        status=row["status"],
        defaults=TenantDefaults.from_metadata(metadata),
        settings=metadata.get("settings", {}),
        definitions_version=row["definitions_version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
