"""Use cases of marketing events: versions, not edits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from server.catalog.model import MarketingEvent
from server.catalog.service.conditions import ConditionCompiler, parse_condition
from server.catalog.store import MarketingEventStore
from server.errors import NotFound, PreconditionFailed
from server.paging import Page, PageRequest, open_cursor
from server.platform.ids import canonical_json, content_id
from server.platform.postgres import Connection, Database
from server.validation import Violations


@dataclass(frozen=True, slots=True)
class PutResult:
    """What became of a definition.

    Args:
        changed: False when it was in use like this already.
        superseded_id: what it replaced; None when it replaced nothing.
    """

    event: MarketingEvent
    changed: bool
    superseded_id: str | None


class MarketingEvents:
    """Puts, cancels and reads marketing events."""

    def __init__(
        self, *, database: Database, store: MarketingEventStore, conditions: ConditionCompiler
    ) -> None:
        self._database = database
        self._store = store
        self._conditions = conditions

    async def put(self, tenant_id: UUID, event: MarketingEvent) -> PutResult:
        """Make this content the definition in use of its campaign and name.

        Writers of one name wait for each other. PostgreSQL: 7 to 9 round trips.

        Raises:
            InvalidInput: with every fault.
            PreconditionFailed: the campaign, or a template of an active event or of the experiment on it, does
                not exist.
        """
        identified = self._identified(tenant_id, event)
        async with self._database.tenant_transaction(tenant_id) as connection:
            await self._require_references(connection, tenant_id, identified)
            await self._store.lock_name(connection, tenant_id, event.campaign_id, event.event_name)
            superseded = await self._store.supersede(connection, tenant_id, identified)
            written = await self._store.put_marketing_event(connection, tenant_id, identified)
            stored = written or await self._store.get_marketing_event(
                connection, tenant_id, identified.marketing_event_id
            )
        assert stored is not None
        return PutResult(stored, written is not None, superseded)

    async def get(self, tenant_id: UUID, marketing_event_id: str) -> MarketingEvent:
        """One marketing event. PostgreSQL: 3 round trips.

        Raises:
            InvalidInput: the id has no form of an id.
            NotFound: the tenant has no such marketing event.
        """
        _check_id(marketing_event_id)
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            return await self._found(connection, tenant_id, marketing_event_id)

    async def cancel(self, tenant_id: UUID, marketing_event_id: str) -> MarketingEvent:
        """Take a marketing event out of use. PostgreSQL: 3 to 4 round trips.

        Raises:
            InvalidInput: the id has no form of an id.
            NotFound: the tenant has no such marketing event.
            PreconditionFailed: it is superseded.
        """
        _check_id(marketing_event_id)
        async with self._database.tenant_transaction(tenant_id) as connection:
            cancelled = await self._store.cancel_marketing_event(connection, tenant_id, marketing_event_id)
            stored = cancelled or await self._found(connection, tenant_id, marketing_event_id)
        if stored.status != "cancelled":
            raise PreconditionFailed(
                "RULE_VIOLATED",
                "the marketing event was superseded; cancel the definition that replaced it",
                {"marketing_event_id": marketing_event_id},
            )
        return stored

    async def list(
        self, tenant_id: UUID, page: PageRequest, *, campaign_id: str | None, status: str | None
    ) -> Page[MarketingEvent]:
        """Marketing events by id, page by page; without a status, all but superseded ones.

        PostgreSQL: 3 round trips.

        Raises:
            InvalidInput: the page is not one of this list.
        """
        listing = ["marketing_events", campaign_id or "", status or ""]
        cursor = open_cursor(page, listing=listing, first=("",))
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            events = await self._store.list_marketing_events(
                connection,
                tenant_id,
                after=str(cursor.after[0]),
                campaign_id=campaign_id,
                status=status,
                limit=cursor.limit,
            )
        return cursor.page(events, lambda event: (event.marketing_event_id,))

    def _identified(self, tenant_id: UUID, event: MarketingEvent) -> MarketingEvent:
        """The event with its condition in canonical form and the id of its content."""
        violations = Violations("marketing_event")
        event.check(violations)
        parsed = None
        if event.condition is not None:
            parsed = parse_condition(self._conditions, event.condition, violations, "condition")
        violations.raise_if_any()
        condition = dict(parsed.canonical()) if parsed else None
        return replace(
            event,
            condition=canonical_json(condition).encode() if condition is not None else None,
            marketing_event_id=content_id("marketing_event", tenant_id, event.content(condition)),
        )

    async def _require_references(
        self, connection: Connection, tenant_id: UUID, event: MarketingEvent
    ) -> None:
        if not await self._store.share_campaign(connection, tenant_id, event.campaign_id):
            raise PreconditionFailed(
                "REFERENCE_MISSING",
                "there is no such campaign: put it first",
                {"campaign_id": event.campaign_id},
            )
        if event.status != "active":
            return
        variants = await self._store.variant_templates(
            connection, tenant_id, event.campaign_id, event.event_name
        )
        for name in (event.template_name, *variants):
            missing = await self._store.channels_without_template(connection, tenant_id, name, event.channels)
            if missing:
                raise PreconditionFailed(
                    "REFERENCE_MISSING",
                    "there is no active message template of this name for the channel: put it first",
                    {"template_name": name, "channel": missing[0]},
                )

    async def _found(
        self, connection: Connection, tenant_id: UUID, marketing_event_id: str
    ) -> MarketingEvent:
        event = await self._store.get_marketing_event(connection, tenant_id, marketing_event_id)
        if event is None:
            raise NotFound("marketing event", marketing_event_id)
        return event


def _check_id(marketing_event_id: str) -> None:
    violations = Violations()
    violations.sha256("marketing_event_id", marketing_event_id)
    violations.raise_if_any()
