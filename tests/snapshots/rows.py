"""Rows to freeze, written as the servers' role writes them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg


@asynccontextmanager
async def acting_for(connection: asyncpg.Connection, tenant_id: UUID) -> AsyncIterator[None]:
    """A transaction in the tenant's context."""
    async with connection.transaction():
        await connection.execute("select set_config('app.current_tenant_id', $1, true)", str(tenant_id))
        yield


async def insert(connection: asyncpg.Connection, tenant_id: UUID, table: str, **columns: Any) -> None:
    """One row; lists and objects become JSON. Call it inside `acting_for`."""
    row = {"tenant_id": UUID(int=tenant_id.int), **columns}
    values = [json.dumps(value) if isinstance(value, (dict, list)) else value for value in row.values()]
    places = ", ".join(f"${position}" for position in range(1, len(row) + 1))
    await connection.execute(f"insert into {table} ({', '.join(row)}) values ({places})", *values)


async def add_profiles(
    connection: asyncpg.Connection, tenant_id: UUID, *profile_ids: str, **columns: Any
) -> None:
    """Profiles that differ in nothing but their id."""
    async with acting_for(connection, tenant_id):
        for profile_id in profile_ids:
            await insert(connection, tenant_id, "cdp_profiles", profile_id=profile_id, **columns)


async def add_campaign(
    connection: asyncpg.Connection, tenant_id: UUID, campaign_id: str, audience: Any, status: str = "active"
) -> None:
    """A campaign with an audience."""
    async with acting_for(connection, tenant_id):
        await insert(
            connection,
            tenant_id,
            "campaign",
            campaign_id=campaign_id,
            campaign_code=campaign_id,
            campaign_name=campaign_id,
            objective="",
            status=status,
            audience=audience,
        )


async def stored(connection: asyncpg.Connection, table: str, tenant_id: UUID) -> list[asyncpg.Record]:
    """All rows of a tenant, as the role sees them that bypasses row-level security."""
    return list(
        await connection.fetch(f"select * from {table} where tenant_id = $1", UUID(int=tenant_id.int))
    )
