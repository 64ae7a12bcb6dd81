"""A small shop to decide for: two campaigns, four marketing events, profiles, consents."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from server.decisions.intake import IncomingEvent
from server.platform.ids import content_id

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY_SECONDS = 86_400


async def add_campaign(
    connection: asyncpg.Connection, tenant_id: UUID, campaign_id: str, **columns: Any
) -> None:
    """Insert a campaign, active unless told otherwise."""
    values = {
        "campaign_code": campaign_id.upper(),
        "campaign_name": campaign_id,
        "objective": "CONVERSION",
        "status": "active",
        **columns,
    }
    await _insert(connection, tenant_id, "campaign", {"campaign_id": campaign_id, **values})


async def add_marketing_event(
    connection: asyncpg.Connection, tenant_id: UUID, campaign_id: str, event_name: str, **columns: Any
) -> str:
    """Insert a marketing event over e-mail, triggered by purchases unless told otherwise; its id."""
    values = {
        "campaign_id": campaign_id,
        "event_name": event_name,
        "event_type": "TRIGGER",
        "event_channel": "email",
        "channels": ["email"],
        "trigger_event_type": "purchase",
        "template_name": event_name,
        "priority": 0,
        "cooldown_seconds": 0,
        "status": "active",
        **columns,
    }
    identity = content_id("marketing_event", tenant_id, {key: str(value) for key, value in values.items()})
    await _insert(connection, tenant_id, "marketing_event", {"marketing_event_id": identity, **values})
    return identity


async def add_profile(
    connection: asyncpg.Connection,
    tenant_id: UUID,
    profile_id: str,
    *,
    consents: tuple[str, ...] = ("email",),
    **columns: Any,
) -> None:
    """Insert a profile with an address and current consents."""
    values = {"primary_email": f"{profile_id}@example.com", **columns}
    await _insert(connection, tenant_id, "cdp_profiles", {"profile_id": profile_id, **values})
    for channel in consents:
        await _insert(
            connection,
            tenant_id,
            "consent_management",
            {
                "profile_id": profile_id,
                "channel": channel,
                "status": "granted",
                "legal_basis": "consent",
                "source": "test",
                "granted_at": NOON,
            },
        )


def purchase(
    source_event_id: str, profile_id: str = "ann", occurred_at: datetime = NOON, **attributes: Any
) -> IncomingEvent:
    """A purchase as a caller sends it."""
    return IncomingEvent(source_event_id, profile_id, "purchase", occurred_at, orjson.dumps(attributes))


async def _insert(
    connection: asyncpg.Connection, tenant_id: UUID, table: str, values: Mapping[str, Any]
) -> None:
    row = {"tenant_id": UUID(int=tenant_id.int), **values}
    encoded = [orjson.dumps(v).decode() if isinstance(v, (dict, list)) else v for v in row.values()]
    places = ", ".join(f"${position}" for position in range(1, len(row) + 1))
    async with connection.transaction():
        await connection.execute("SELECT set_config('app.current_tenant_id', $1, true)", str(tenant_id))
        await connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", *encoded)
