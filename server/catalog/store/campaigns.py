"""Campaigns in PostgreSQL."""

from __future__ import annotations

from uuid import UUID

import asyncpg
import orjson

from server.catalog.model import Audience, Campaign
from server.contact_policy import ContactPolicy
from server.platform.ids import canonical_json
from server.platform.postgres import Connection
from server.platform.queries import Queries


class CampaignStore:
    """One method for each statement; all inside the tenant's transaction."""

    def __init__(self) -> None:
        self._queries = Queries.load("catalog")

    async def put_campaign(
        self, connection: Connection, tenant_id: UUID, campaign: Campaign
    ) -> Campaign | None:
        """The written campaign; None when it is stored like this already."""
        row = await connection.fetchrow(
            self._queries["put_campaign"],
            tenant_id,
            campaign.campaign_id,
            campaign.campaign_code,
            campaign.campaign_name,
            campaign.objective,
            campaign.status,
            campaign.start_at,
            campaign.end_at,
            _audience_document(campaign.audience),
            canonical_json(campaign.policy.caps_document()),
            _or_null(campaign.policy.quiet_hours_document()),
        )
        return _campaign(row) if row else None

    async def get_campaign(
        self, connection: Connection, tenant_id: UUID, campaign_id: str
    ) -> Campaign | None:
        """The campaign of this id."""
        row = await connection.fetchrow(self._queries["get_campaign"], tenant_id, campaign_id)
        return _campaign(row) if row else None

    async def list_campaigns(
        self, connection: Connection, tenant_id: UUID, *, after: str, status: str | None, limit: int
    ) -> list[Campaign]:
        """Campaigns after an id, in the order of their ids."""
        rows = await connection.fetch(self._queries["list_campaigns"], tenant_id, after, status, limit)
        return [_campaign(row) for row in rows]


def _audience_document(audience: Audience | None) -> str | None:
    if audience is None:
        return None
    name, condition = canonical_json(audience.name), audience.condition.decode()
    return f'{{"name": {name}, "version": "{audience.version}", "condition": {condition}}}'


def _or_null(document: dict[str, object] | None) -> str | None:
    return None if document is None else canonical_json(document)


def _campaign(row: asyncpg.Record) -> Campaign:
    quiet_hours = orjson.loads(row["quiet_hours"]) if row["quiet_hours"] else None
    return Campaign(
        campaign_id=row["campaign_id"],
        campaign_code=row["campaign_code"],
        campaign_name=row["campaign_name"],
        objective=row["objective"],
        status=row["status"],
        start_at=row["start_at"],
        end_at=row["end_at"],
        audience=_audience(row["audience"]) if row["audience"] else None,
        policy=ContactPolicy.from_documents(orjson.loads(row["frequency_caps"]), quiet_hours),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _audience(text: str) -> Audience:
    document = orjson.loads(text)
    return Audience(document["name"], orjson.dumps(document["condition"]), document["version"])
