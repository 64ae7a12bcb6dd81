"""Use cases of campaigns."""

from __future__ import annotations

from dataclasses import replace
from typing import Final
from uuid import UUID

import asyncpg

from server.catalog.model import Audience, Campaign
from server.catalog.service.conditions import ConditionCompiler, parse_condition
from server.catalog.store import CampaignStore
from server.errors import AlreadyExists, NotFound, PreconditionFailed
from server.paging import Page, PageRequest, open_cursor
from server.platform.ids import canonical_json, content_id
from server.platform.postgres import Database
from server.validation import Violations

_SECOND_AUDIENCE: Final = "LE005"


class Campaigns:
    """Puts and reads campaigns."""

    def __init__(self, *, database: Database, store: CampaignStore, conditions: ConditionCompiler) -> None:
        self._database = database
        self._store = store
        self._conditions = conditions

    async def put(self, tenant_id: UUID, campaign: Campaign) -> tuple[Campaign, bool]:
        """Create the campaign or replace its content.

        Returns:
            The stored campaign, and whether it changed. PostgreSQL: 3 to 4 round trips.

        Raises:
            InvalidInput: with every fault.
            AlreadyExists: another campaign has the code.
            PreconditionFailed: another active campaign defines the segment differently.
        """
        checked = self._checked(tenant_id, campaign)
        try:
            async with self._database.tenant_transaction(tenant_id) as connection:
                written = await self._store.put_campaign(connection, tenant_id, checked)
                if written is not None:
                    return written, True
                stored = await self._store.get_campaign(connection, tenant_id, campaign.campaign_id)
        except asyncpg.UniqueViolationError as error:
            raise AlreadyExists(
                "IDENTIFIER_TAKEN", "another campaign has this code", {"field": "campaign.campaign_code"}
            ) from error
        except asyncpg.PostgresError as error:
            if error.sqlstate == _SECOND_AUDIENCE:
                raise _second_audience() from error
            raise
        assert stored is not None
        return stored, False

    async def get(self, tenant_id: UUID, campaign_id: str) -> Campaign:
        """One campaign. PostgreSQL: 3 round trips.

        Raises:
            InvalidInput: the id has no form of an id.
            NotFound: the tenant has no such campaign.
        """
        violations = Violations()
        violations.identifier("campaign_id", campaign_id)
        violations.raise_if_any()
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            campaign = await self._store.get_campaign(connection, tenant_id, campaign_id)
        if campaign is None:
            raise NotFound("campaign", campaign_id)
        return campaign

    async def list(self, tenant_id: UUID, page: PageRequest, *, status: str | None) -> Page[Campaign]:
        """Campaigns by id, page by page. PostgreSQL: 3 round trips.

        Raises:
            InvalidInput: the page is not one of this list.
        """
        cursor = open_cursor(page, listing=["campaigns", status or ""], first=("",))
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            campaigns = await self._store.list_campaigns(
                connection, tenant_id, after=str(cursor.after[0]), status=status, limit=cursor.limit
            )
        return cursor.page(campaigns, lambda campaign: (campaign.campaign_id,))

    def _checked(self, tenant_id: UUID, campaign: Campaign) -> Campaign:
        """The campaign with its audience in canonical form and versioned."""
        violations = Violations("campaign")
        campaign.check(violations)
        audience = self._compiled(tenant_id, campaign.audience, violations) if campaign.audience else None
        violations.raise_if_any()
        return replace(campaign, audience=audience)

    def _compiled(self, tenant_id: UUID, audience: Audience, violations: Violations) -> Audience | None:
        if not audience.condition:
            return None
        condition = parse_condition(self._conditions, audience.condition, violations, "audience.condition")
        if condition is None:
            return None
        _refuse_events(condition.attributes, violations)
        canonical = condition.canonical()
        return Audience(
            name=audience.name,
            condition=canonical_json(canonical).encode(),
            version=content_id("segment", tenant_id, canonical),
        )


def _refuse_events(attributes: frozenset[str], violations: Violations) -> None:
    """Who belongs to a segment can not depend on an event: a snapshot has none."""
    events = sorted(name for name in attributes if name.startswith("event."))
    if events:
        violations.add(
            "audience.condition",
            f"reads {events[0]}: an audience is about profiles; put it into the marketing event's condition",
        )


def _second_audience() -> PreconditionFailed:
    return PreconditionFailed(
        "RULE_VIOLATED",
        "another active campaign defines the segment of this name with another condition;"
        " use the same condition, another name, or pause that campaign",
        {"field": "campaign.audience.name"},
    )
