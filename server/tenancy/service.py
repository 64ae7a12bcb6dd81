"""Use cases of tenants. Runs as the admin role, without a tenant context."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import asyncpg

from server.errors import AlreadyExists, NotFound
from server.paging import Page, PageRequest, open_cursor
from server.platform.postgres import Connection, Database
from server.tenancy.model import NewTenant, Tenant, TenantChange, parse_tenant_id
from server.tenancy.store import TenantStore
from server.validation import Violations

_FIRST: Final = str(UUID(int=0))


class TenantService:
    """Creates, reads and changes tenants.

    Args:
        database: connections of the role leo_admin.
    """

    def __init__(self, *, database: Database, store: TenantStore) -> None:
        self._database = database
        self._store = store

    async def create_tenant(self, new: NewTenant) -> tuple[Tenant, bool]:
        """Create a tenant, or find the one that its realm and client already have.

        Returns:
            The tenant, and whether it is new. PostgreSQL: 3 to 4 round trips.

        Raises:
            InvalidInput: with every fault.
            AlreadyExists: the realm has the name or the client, but not both for one tenant.
        """
        metadata = new.metadata()
        async with self._database.transaction() as connection:
            created = await self._store.insert_tenant(connection, new, metadata)
            if created is not None:
                return created, True
            return await self._existing(connection, new), False

    async def _existing(self, connection: Connection, new: NewTenant) -> Tenant:
        found = await self._store.get_tenant_of_client(connection, new.keycloak_realm, new.keycloak_client_id)
        if found is None:
            raise _name_taken()
        if found.tenant_name != new.tenant_name:
            raise AlreadyExists(
                "IDENTIFIER_TAKEN",
                "the realm and client belong to a tenant of another name",
                {"tenant_id": str(found.tenant_id)},
            )
        return found

    async def get_tenant(self, tenant_id: str) -> Tenant:
        """One tenant. PostgreSQL: 3 round trips.

        Raises:
            InvalidInput: the id is no UUID.
            NotFound: there is no such tenant.
        """
        key = parse_tenant_id(tenant_id)
        async with self._database.transaction(readonly=True) as connection:
            return _found(await self._store.get_tenant(connection, key), tenant_id)

    async def list_tenants(self, page: PageRequest) -> Page[Tenant]:
        """Tenants by id, page by page. PostgreSQL: 3 round trips.

        Raises:
            InvalidInput: the page is not one of this list.
        """
        cursor = open_cursor(page, listing=["tenants"], first=(_FIRST,))
        violations = Violations()
        after = violations.uuid("page.page_token", str(cursor.after[0]))
        violations.raise_if_any()
        assert after is not None
        async with self._database.transaction(readonly=True) as connection:
            tenants = await self._store.list_tenants(connection, after, cursor.limit)
        return cursor.page(tenants, lambda tenant: (str(tenant.tenant_id),))

    async def update_tenant(self, change: TenantChange) -> Tenant:
        """Change what is given; the same change again writes nothing. PostgreSQL: 3 to 4 round trips.

        Raises:
            InvalidInput: with every fault.
            NotFound: there is no such tenant.
            AlreadyExists: another tenant of the realm has the name.
        """
        metadata = change.metadata()
        key = parse_tenant_id(change.tenant_id)
        try:
            async with self._database.transaction() as connection:
                changed = await self._store.update_tenant(
                    connection, key, name=change.tenant_name, status=change.status, metadata=metadata
                )
                unchanged = None if changed else await self._store.get_tenant(connection, key)
        except asyncpg.UniqueViolationError as error:
            raise _name_taken() from error
        return _found(changed or unchanged, change.tenant_id)


def _found(tenant: Tenant | None, tenant_id: str) -> Tenant:
    if tenant is None:
        raise NotFound("tenant", tenant_id)
    return tenant


def _name_taken() -> AlreadyExists:
    return AlreadyExists(
        "IDENTIFIER_TAKEN", "another tenant of the realm has this name", {"field": "tenant_name"}
    )
