"""A customer's past, written row by row along the foreign keys, as the servers' role writes it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from server.platform.ids import audience_sha256, key_id
from tests.snapshots.rows import acting_for, insert

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
BUNDLE = "b" * 64
DEFINITION = "d" * 64
TEMPLATE = UUID(int=7)


class History:
    """Writes for one tenant; every call is a transaction of its own.

    Args:
        connection: as the servers' role.
    """

    def __init__(self, connection: asyncpg.Connection, tenant_id: UUID) -> None:
        self._connection = connection
        self.tenant_id = UUID(int=tenant_id.int)

    async def begin(self) -> None:
        """A campaign with one marketing event over e-mail, and its template in two versions."""
        async with acting_for(self._connection, self.tenant_id):
            await self._connection.execute("select ensure_month($1::date)", START.date())
            await self._insert(
                "campaign",
                campaign_id="spring",
                campaign_code="SPRING",
                campaign_name="Spring",
                objective="",
                status="active",
            )
            await self._insert(
                "marketing_event",
                marketing_event_id=DEFINITION,
                campaign_id="spring",
                event_name="thanks",
                event_type="TRIGGER",
                event_channel="email",
                channels=["email", "telegram"],
                template_name="thanks",
                status="active",
            )
            for number, version in ((6, 1), (7, 2)):
                await self._insert(
                    "message_templates",
                    template_id=UUID(int=number),
                    template_name="thanks",
                    channel="email",
                    body_template="Thank you",
                    version=version,
                    status="active" if version == 2 else "superseded",
                )

    async def profile(self, profile_id: str) -> None:
        """A profile that agreed to e-mail."""
        async with acting_for(self._connection, self.tenant_id):
            await self._insert("cdp_profiles", profile_id=profile_id)
            await self._insert(
                "consent_management",
                profile_id=profile_id,
                channel="email",
                status="granted",
                legal_basis="consent",
                source="test",
                granted_at=START,
            )

    async def suppressed(self, profile_id: str, number: int, reason: str) -> str:
        """A purchase that nothing was sent for; the id of the decision."""
        async with acting_for(self._connection, self.tenant_id):
            await self._event(profile_id, number)
            return await self._decision(
                profile_id, number, outcome="suppressed", reason_code=reason, status="completed"
            )

    async def sent(self, profile_id: str, number: int, *statuses: str) -> str:
        """A purchase that a message was sent for, with these rows of its delivery; the id of the decision."""
        async with acting_for(self._connection, self.tenant_id):
            await self._event(profile_id, number)
            snapshot_id = await self._snapshot(profile_id)
            task_id = await self._decision(
                profile_id,
                number,
                outcome="send",
                reason_code="SELECTED",
                marketing_event_id=DEFINITION,
                campaign_id="spring",
                snapshot_id=snapshot_id,
                status="pending",
                due_at=START + timedelta(hours=number),
            )
            for status in ("queued", *statuses):
                await self._delivery(profile_id, task_id, snapshot_id, status)
            return task_id

    async def _event(self, profile_id: str, number: int) -> None:
        await self._insert(
            "behavioral_events",
            event_key=key_id("event", self.tenant_id, f"{profile_id}-{number}"),
            profile_id=profile_id,
            source_event_id=f"{profile_id}-{number}",
            event_type="purchase",
            attributes={"amount": number},
            occurred_at=START + timedelta(minutes=number),
        )

    async def _snapshot(self, profile_id: str) -> str:
        sha = audience_sha256([profile_id])
        snapshot_id = key_id("snapshot", self.tenant_id, "all", "1", sha)
        await self._connection.execute(
            "insert into segment_snapshot (tenant_id, snapshot_id, segment_name, segment_version,"
            " snapshot_reason, audience_sha256, member_count) values ($1, $2, 'all', '1', 'a test', $3, 1)"
            " on conflict do nothing",
            self.tenant_id,
            snapshot_id,
            sha,
        )
        await self._connection.execute(
            "insert into segment_snapshot_member (tenant_id, snapshot_id, profile_id) values ($1, $2, $3)"
            " on conflict do nothing",
            self.tenant_id,
            snapshot_id,
            profile_id,
        )
        return snapshot_id

    async def _decision(self, profile_id: str, number: int, *, reason_code: str, **columns: Any) -> str:
        source_event_id = f"{profile_id}-{number}"
        task_id = key_id("task", self.tenant_id, source_event_id)
        candidate = {
            "marketing_event_id": DEFINITION,
            "event_name": "thanks",
            "reason": reason_code,
            "explanation": f"thanks: {reason_code}",
        }
        await self._insert(
            "agent_task",
            task_id=task_id,
            agent_name="rule_engine",
            task_type="execute",
            profile_id=profile_id,
            source_event_id=source_event_id,
            event_type="purchase",
            occurred_at=START + timedelta(minutes=number),
            decided_at=START + timedelta(minutes=number, seconds=1),
            rule_bundle_id=BUNDLE,
            reason_code=reason_code,
            reasoning_summary=f"because {reason_code}",
            reasoning_trace={"candidates": [candidate]},
            **columns,
        )
        return task_id

    async def _delivery(self, profile_id: str, task_id: str, snapshot_id: str, status: str) -> None:
        await self._insert(
            "delivery_log",
            delivery_key=key_id("delivery", self.tenant_id, task_id, "email"),
            attempt=1,
            task_id=task_id,
            marketing_event_id=DEFINITION,
            campaign_id="spring",
            profile_id=profile_id,
            snapshot_id=snapshot_id,
            channel="email",
            delivery_status=status,
            destination=None if status == "queued" else f"{profile_id}@example.com",
            reason="mailbox full" if status == "bounced" else None,
            subject="a rendered subject",
            body="a rendered body",
            provider_message_id="message-1" if status == "sent" else None,
            sent_at=START + timedelta(hours=1) if status == "sent" else None,
        )

    async def _insert(self, table: str, **columns: Any) -> None:
        await insert(self._connection, self.tenant_id, table, **columns)
