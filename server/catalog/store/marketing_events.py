"""Marketing events in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg
import orjson

from server.catalog.model import MarketingEvent
from server.platform.postgres import Connection
from server.platform.queries import Queries


class MarketingEventStore:
    """One method for each statement; all inside the tenant's transaction."""

    def __init__(self) -> None:
        self._queries = Queries.load("catalog")
        self._experiments = Queries.load("experiments")

    async def lock_name(self, connection: Connection, tenant_id: UUID, campaign_id: str, name: str) -> None:
        """Wait for other writers of this name."""
        key = orjson.dumps(["marketing_event", str(tenant_id), campaign_id, name]).decode()
        await connection.execute(self._queries["lock_name"], key)

    async def share_campaign(self, connection: Connection, tenant_id: UUID, campaign_id: str) -> bool:
        """Whether the campaign exists; it then stays for the transaction."""
        return bool(await connection.fetchval(self._queries["share_campaign"], tenant_id, campaign_id))

    async def channels_without_template(
        self, connection: Connection, tenant_id: UUID, name: str, channels: Sequence[str]
    ) -> list[str]:
        """Those of the channels that have no active template of this name."""
        rows = await connection.fetch(
            self._queries["channels_without_template"], tenant_id, name, list(channels)
        )
        return [row["channel"] for row in rows]

    async def variant_templates(
        self, connection: Connection, tenant_id: UUID, campaign_id: str, event_name: str
    ) -> list[str]:
        """What the running experiment on this name sends beside the event's own template."""
        rows = await connection.fetch(
            self._experiments["variant_templates"], tenant_id, campaign_id, event_name
        )
        return [row["template_name"] for row in rows]

    async def supersede(self, connection: Connection, tenant_id: UUID, event: MarketingEvent) -> str | None:
        """Take whatever else is in use under the event's name out of use; its id."""
        superseded: str | None = await connection.fetchval(
            self._queries["supersede_marketing_event"],
            tenant_id,
            event.campaign_id,
            event.event_name,
            event.marketing_event_id,
        )
        return superseded

    async def put_marketing_event(
        self, connection: Connection, tenant_id: UUID, event: MarketingEvent
    ) -> MarketingEvent | None:
        """The written event; None when it is in use with this status already."""
        row = await connection.fetchrow(
            self._queries["put_marketing_event"],
            tenant_id,
            event.marketing_event_id,
            event.campaign_id,
            event.event_name,
            event.event_type,
            orjson.dumps(event.channels),
            event.trigger_event_type,
            event.topic,
            event.condition,
            event.template_name,
            event.priority,
            event.cooldown_seconds,
            event.start_at,
            event.end_at,
            event.description,
            event.status,
            event.valid_for_seconds,
            event.receipt_seconds,
        )
        return _marketing_event(row) if row else None

    async def get_marketing_event(
        self, connection: Connection, tenant_id: UUID, marketing_event_id: str
    ) -> MarketingEvent | None:
        """The marketing event of this id."""
        row = await connection.fetchrow(self._queries["get_marketing_event"], tenant_id, marketing_event_id)
        return _marketing_event(row) if row else None

    async def list_marketing_events(
        self,
        connection: Connection,
        tenant_id: UUID,
        *,
        after: str,
        campaign_id: str | None,
        status: str | None,
        limit: int,
    ) -> list[MarketingEvent]:
        """Marketing events after an id, in the order of their ids."""
        rows = await connection.fetch(
            self._queries["list_marketing_events"], tenant_id, after, campaign_id, status, limit
        )
        return [_marketing_event(row) for row in rows]

    async def cancel_marketing_event(
        self, connection: Connection, tenant_id: UUID, marketing_event_id: str
    ) -> MarketingEvent | None:
        """The cancelled event; None when it was neither planned nor active."""
        row = await connection.fetchrow(
            self._queries["cancel_marketing_event"], tenant_id, marketing_event_id
        )
        return _marketing_event(row) if row else None


def _marketing_event(row: asyncpg.Record) -> MarketingEvent:
    return MarketingEvent(
        marketing_event_id=row["marketing_event_id"],
        campaign_id=row["campaign_id"],
        event_name=row["event_name"],
        event_type=row["event_type"],
        channels=tuple(orjson.loads(row["channels"])),
        trigger_event_type=row["trigger_event_type"],
        topic=row["topic"],
        valid_for_seconds=row["valid_for_seconds"],
        receipt_seconds=row["receipt_seconds"],
        condition=row["condition"].encode() if row["condition"] else None,
        template_name=row["template_name"],
        priority=row["priority"],
        cooldown_seconds=row["cooldown_seconds"],
        start_at=row["start_at"],
        end_at=row["end_at"],
        description=row["description"],
        status=row["status"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
