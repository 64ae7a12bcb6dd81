"""The tenant that a new stack starts with, so that its first call needs no administration."""

from __future__ import annotations

import asyncpg

from server.embedded.token_issuer import REALM
from server.platform.queries import Queries

FIRST_TENANT = "demo"


async def ensure_first_tenant(admin_url: str) -> None:
    """Register the tenant unless it is there. One round trip, as the admin role."""
    connection = await asyncpg.connect(admin_url)
    try:
        await connection.execute(Queries.load("embedded")["ensure_tenant"], REALM, FIRST_TENANT)
    finally:
        await connection.close()
