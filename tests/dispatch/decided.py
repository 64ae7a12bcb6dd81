"""Rows as the definition and decision layers leave them, for tests of what comes after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import orjson

from server.decisions.reservation.limits import microseconds
from server.platform.ids import audience_sha256, key_id


@dataclass(frozen=True, slots=True)
class Definitions:
    """A campaign with one marketing event, as they stand in a tenant."""

    tenant_id: UUID
    campaign_id: str
    marketing_event_id: str
    template_name: str


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision to send, queued."""

    tenant_id: UUID
    task_id: str
    delivery_key: str
    profile_id: str
    snapshot_id: str


@dataclass(slots=True)
class Decisions:
    """Writes as the servers' role, within the tenant."""

    app: asyncpg.Connection
    clock: datetime = field(default_factory=lambda: datetime.now(UTC) - timedelta(seconds=1))

    async def define(
        self,
        tenant_id: UUID,
        *,
        channels: Sequence[str] = ("email",),
        subject: str = "Hello {{ profile.first_name }}",
        body: str = "Dear {{ profile.first_name }}, you spent {{ event.amount }}.",
        metadata: Mapping[str, Any] | None = None,
        language: str = "default",
        engine: str = "jinja2",
        valid_for_seconds: int | None = None,
        receipt_seconds: int | None = None,
    ) -> Definitions:
        """A campaign, a marketing event, and a template for each channel."""
        name = uuid4().hex[:12]
        marketing_event_id = key_id("marketing_event", tenant_id, name)
        async with self.tenant(tenant_id):
            await self.app.execute(
                "insert into campaign (tenant_id, campaign_id, campaign_code, campaign_name, objective, status)"
                " values ($1, $2, $2, 'Campaign', 'CONVERSION', 'active')",
                tenant_id,
                name,
            )
            await self.app.execute(
                "insert into marketing_event (tenant_id, marketing_event_id, campaign_id, event_name, event_type,"
                " event_channel, channels, template_name, status, valid_for_seconds, receipt_seconds)"
                " values ($1, $2, $3, 'thanks', 'TRIGGER', $4, $5, $3, 'active', $6, $7)",
                tenant_id,
                marketing_event_id,
                name,
                channels[0],
                orjson.dumps(list(channels)).decode(),
                valid_for_seconds,
                receipt_seconds,
            )
        definitions = Definitions(tenant_id, name, marketing_event_id, name)
        for channel in channels:
            await self.template(definitions, channel, language, subject, body, metadata, engine)
        return definitions

    async def template(
        self,
        definitions: Definitions,
        channel: str,
        language: str,
        subject: str,
        body: str,
        metadata: Mapping[str, Any] | None = None,
        engine: str = "jinja2",
    ) -> None:
        """One active template."""
        async with self.tenant(definitions.tenant_id):
            await self.app.execute(
                "insert into message_templates (tenant_id, template_id, template_name, channel, language,"
                " subject_template, body_template, metadata, version, status, template_engine)"
                " values ($1, $2, $3, $4, $5, $6, $7, $8, 1, 'active', $9)",
                definitions.tenant_id,
                uuid4(),
                definitions.template_name,
                channel,
                language,
                subject,
                body,
                orjson.dumps(metadata or {}).decode(),
                engine,
            )

    async def profile(
        self,
        tenant_id: UUID,
        profile_id: str,
        *,
        email: str | None = "",
        language: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        addresses: Mapping[str, Any] | None = None,
        consented: Sequence[str] = ("email",),
    ) -> str:
        """A customer with current consents; the e-mail address follows from the id unless it is given."""
        async with self.tenant(tenant_id):
            await self.app.execute(
                "insert into cdp_profiles (tenant_id, profile_id, primary_email, language, raw_attributes,"
                " channel_addresses) values ($1, $2, $3, $4, $5, $6)",
                tenant_id,
                profile_id,
                f"{profile_id}@example.com" if email == "" else email,
                language,
                orjson.dumps(attributes if attributes is not None else {"first_name": "Lan"}).decode(),
                orjson.dumps(addresses or {}).decode(),
            )
            for channel in consented:
                await self.app.execute(
                    "insert into consent_management (tenant_id, profile_id, channel, status, legal_basis,"
                    " source, granted_at) values ($1, $2, $3, 'granted', 'consent', 'test', now())",
                    tenant_id,
                    profile_id,
                    channel,
                )
        return profile_id

    async def withdraw(self, tenant_id: UUID, profile_id: str, channel: str = "email") -> None:
        """The customer takes the consent back."""
        async with self.tenant(tenant_id):
            await self.app.execute(
                "update consent_management set status = 'withdrawn', withdrawn_at = now()"
                " where tenant_id = $1 and profile_id = $2 and channel = $3",
                tenant_id,
                profile_id,
                channel,
            )

    async def send(
        self,
        definitions: Definitions,
        profile_id: str,
        *,
        channels: Sequence[str] = ("email",),
        due_at: datetime | None = None,
        plan_task_id: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        event_type: str = "purchase",
        quiet_until: datetime | None = None,
    ) -> Decided:
        """A decision to send to the profile, due now, or when quiet hours end."""
        tenant_id = definitions.tenant_id
        source = uuid4().hex
        task_id = key_id("task", tenant_id, source)
        audience = audience_sha256([profile_id])
        snapshot_id = key_id("snapshot", tenant_id, "everyone", "v1", audience)
        delivery_key = key_id("delivery", tenant_id, task_id, channels[0])
        event = {
            "source_event_id": source,
            "event_type": event_type,
            "occurred_at": self.clock.isoformat(),
            "attributes": attributes if attributes is not None else {"amount": 120},
        }
        due = quiet_until or self.clock
        result = {"channels": list(channels), "due_us": microseconds(due)}
        async with self.tenant(tenant_id):
            await self.freeze(tenant_id, snapshot_id, "everyone", "v1", [profile_id])
            await self.app.execute(
                "insert into agent_task (tenant_id, task_id, agent_name, task_type, campaign_id,"
                " marketing_event_id, snapshot_id, profile_id, parent_task_id, source_event_id, event_type,"
                " occurred_at, decided_at, outcome, reason_code, inputs, result, status, queue, due_at)"
                " values ($1, $2, 'rule_engine', 'execute', $3, $4, $5, $6, $7, $8, $14, $9, $9, 'send',"
                " 'SELECTED', $10, $11, 'pending', $12, $13)",
                tenant_id,
                task_id,
                definitions.campaign_id,
                definitions.marketing_event_id,
                snapshot_id,
                profile_id,
                plan_task_id,
                source,
                self.clock,
                orjson.dumps({"event": event}).decode(),
                orjson.dumps(result).decode(),
                channels[0],
                due_at or due,
                event_type,
            )
            await self.app.execute(
                "insert into delivery_log (tenant_id, delivery_key, attempt, task_id, marketing_event_id,"
                " campaign_id, profile_id, snapshot_id, channel, delivery_status)"
                " values ($1, $2, 0, $3, $4, $5, $6, $7, $8, 'queued')",
                tenant_id,
                delivery_key,
                task_id,
                definitions.marketing_event_id,
                definitions.campaign_id,
                profile_id,
                snapshot_id,
                channels[0],
            )
        return Decided(tenant_id, task_id, delivery_key, profile_id, snapshot_id)

    async def fail(self, decided: Decided, *, status: str = "failed", channel: str = "email") -> None:
        """What a worker leaves that gave up after one attempt, or of which nobody knows."""
        async with self.tenant(decided.tenant_id):
            for step in ("sending", status):
                await self.app.execute(
                    "insert into delivery_log (tenant_id, delivery_key, attempt, task_id, marketing_event_id,"
                    " campaign_id, profile_id, snapshot_id, channel, delivery_status, reason)"
                    " select tenant_id, $2, 1, task_id, marketing_event_id, campaign_id, profile_id,"
                    " snapshot_id, $4, $5, case $5 when 'sending' then null else 'SMTP_550' end"
                    " from agent_task where tenant_id = $1 and task_id = $3",
                    decided.tenant_id,
                    decided.delivery_key,
                    decided.task_id,
                    channel,
                    step,
                )
            await self.app.execute(
                "update agent_task set status = $3 where tenant_id = $1 and task_id = $2",
                decided.tenant_id,
                decided.task_id,
                "failed" if status == "failed" else "completed",
            )

    async def freeze(
        self, tenant_id: UUID, snapshot_id: str, name: str, version: str, members: Sequence[str]
    ) -> None:
        """A frozen audience, inside the open transaction."""
        await self.app.execute(
            "insert into segment_snapshot (tenant_id, snapshot_id, segment_name, segment_version,"
            " audience_sha256, member_count) values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
            tenant_id,
            snapshot_id,
            name,
            version,
            audience_sha256(members),
            len(members),
        )
        await self.app.execute(
            "insert into segment_snapshot_member (tenant_id, snapshot_id, profile_id)"
            " select $1, $2, unnest($3::text[]) on conflict do nothing",
            tenant_id,
            snapshot_id,
            list(members),
        )

    def tenant(self, tenant_id: UUID) -> TenantBlock:
        """A transaction in the tenant's context."""
        return TenantBlock(self.app, tenant_id)


class TenantBlock:
    """`async with`: a transaction whose rows belong to one tenant."""

    def __init__(self, connection: asyncpg.Connection, tenant_id: UUID) -> None:
        self._connection = connection
        self._tenant_id = tenant_id
        self._transaction: Any = None

    async def __aenter__(self) -> None:
        self._transaction = self._connection.transaction()
        await self._transaction.start()
        await self._connection.execute(
            "select set_config('app.current_tenant_id', $1, true)", str(self._tenant_id)
        )

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
        await (self._transaction.commit() if kind is None else self._transaction.rollback())
