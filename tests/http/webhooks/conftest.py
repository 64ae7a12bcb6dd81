"""The listener of webhooks on a real port, deliveries that were sent, and accounts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import pytest

from server.dispatch.channels.registry import CHANNEL_TYPES
from server.dispatch.credentials.model import Accounts, NewCredential
from server.dispatch.credentials.service import CredentialService
from server.dispatch.credentials.store import CredentialStore
from server.embedded.database_setup import DatabaseUrls
from server.http.webhooks.listener import webhooks
from server.platform.credential_keys import CredentialKeys
from server.platform.postgres import Database
from tests.dispatch.decided import Decided, Decisions, Definitions
from tests.fixtures.server import CREDENTIAL_KEYS
from tests.http.webhooks.wires import Sent, Wire

KEYS = CredentialKeys.parse(CREDENTIAL_KEYS)


@pytest.fixture
async def app_database(database: DatabaseUrls) -> AsyncIterator[Database]:
    """The pool of a server."""
    pool = await Database.connect(
        database.app_url, minimum_connections=1, maximum_connections=4, application_name="test-server"
    )
    yield pool
    await pool.close()


@pytest.fixture
async def worker_database(database: DatabaseUrls) -> AsyncIterator[Database]:
    """The pool of a worker."""
    pool = await Database.connect(
        database.worker_url, minimum_connections=1, maximum_connections=4, application_name="test-worker"
    )
    yield pool
    await pool.close()


@pytest.fixture
async def watcher(database: DatabaseUrls) -> AsyncIterator[asyncpg.Connection]:
    """Sees every backend."""
    connection = await asyncpg.connect(database.superuser_url)
    yield connection
    await connection.close()


@dataclass(slots=True)
class Site:
    """Sends requests as providers do."""

    address: str
    session: aiohttp.ClientSession

    async def post(self, tenant_id: UUID, name: str, sent: Sent) -> tuple[int, str]:
        """Status and reason."""
        url = f"http://{self.address}/webhooks/{name}/{tenant_id}"
        headers = {"Content-Type": "application/json", **sent.headers}
        async with self.session.post(url, data=sent.body, headers=headers) as answer:
            text = await answer.text()
            return answer.status, (await answer.json())["reason"] if text else ""

    async def get(self, tenant_id: UUID, name: str, query: Mapping[str, str]) -> tuple[int, str]:
        """Status and body."""
        url = f"http://{self.address}/webhooks/{name}/{tenant_id}"
        async with self.session.get(url, params=query) as answer:
            return answer.status, await answer.text()


@pytest.fixture
async def site(app_database: Database) -> AsyncIterator[Site]:
    """The listener, and who calls it."""
    async with (
        webhooks(
            "127.0.0.1:0", database=app_database, keys=KEYS, share_port=False, drain_seconds=1
        ) as address,
        aiohttp.ClientSession() as session,
    ):
        yield Site(address, session)


@dataclass(slots=True)
class Shop:
    """Makes deliveries that a provider took, and looks at what is recorded."""

    app: asyncpg.Connection
    proof: asyncpg.Connection
    decisions: Decisions
    service: CredentialService

    async def account(self, tenant_id: UUID, wire: Wire) -> None:
        """The tenant's account at the provider."""
        new = NewCredential(wire.account, wire.name, wire.values)
        await self.service.put(UUID(int=tenant_id.int), new)

    async def sent(
        self, tenant_id: UUID, channel: str, message_id: str | None, *, destination: str = "somebody"
    ) -> Decided:
        """A delivery that the provider took; None where its answer was lost."""
        definitions = await self.decisions.define(tenant_id, channels=[channel])
        profile = await self.decisions.profile(tenant_id, uuid4().hex, consented=[channel])
        decided = await self.decisions.send(definitions, profile, channels=[channel])
        await self._append(definitions, decided, channel, "sending", destination=destination)
        status = "unknown" if message_id is None else "sent"
        await self._append(definitions, decided, channel, status, provider_message_id=message_id)
        return decided

    async def fall_back(self, decided: Decided, channel: str) -> None:
        """The next channel is begun."""
        row = await self.proof.fetchrow("select * from delivery_log where task_id = $1", decided.task_id)
        assert row is not None
        definitions = Definitions(decided.tenant_id, row["campaign_id"], row["marketing_event_id"], "")
        async with self.decisions.tenant(decided.tenant_id):
            await self.app.execute(
                "insert into consent_management (tenant_id, profile_id, channel, status, legal_basis, source,"
                " granted_at) values ($1, $2, $3, 'granted', 'consent', 'test', now())",
                decided.tenant_id,
                decided.profile_id,
                channel,
            )
        await self._append(definitions, decided, channel, "queued", key=uuid4().hex, attempt=0)

    async def _append(
        self,
        definitions: Definitions,
        decided: Decided,
        channel: str,
        status: str,
        *,
        key: str | None = None,
        attempt: int = 1,
        destination: str | None = None,
        provider_message_id: str | None = None,
    ) -> None:
        async with self.decisions.tenant(decided.tenant_id):
            await self.app.execute(
                "insert into delivery_log (tenant_id, delivery_key, attempt, task_id, marketing_event_id,"
                " campaign_id, profile_id, snapshot_id, channel, delivery_status, destination,"
                " provider_message_id, sent_at)"
                " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,"
                " case $10 when 'sent' then now() end)",
                decided.tenant_id,
                key or decided.delivery_key,
                attempt,
                decided.task_id,
                definitions.marketing_event_id,
                definitions.campaign_id,
                decided.profile_id,
                decided.snapshot_id,
                channel,
                status,
                destination,
                provider_message_id,
            )

    async def receipts(self, decided: Decided) -> list[tuple[str, str | None]]:
        """Status and reason of what was reported of the delivery, oldest first."""
        rows = await self.proof.fetch(
            "select delivery_status, reason from delivery_log where tenant_id = $1 and delivery_key = $2"
            " and delivery_status in ('delivered', 'read', 'bounced') order by delivery_id",
            decided.tenant_id,
            decided.delivery_key,
        )
        return [tuple(row) for row in rows]

    async def stands(self, decided: Decided) -> dict[str, Any]:
        """The delivery as it stands."""
        row = await self.proof.fetchrow(
            "select * from delivery_current where tenant_id = $1 and delivery_key = $2",
            decided.tenant_id,
            decided.delivery_key,
        )
        assert row is not None
        return dict(row)

    async def aside(self, tenant_id: UUID) -> list[dict[str, Any]]:
        """What was kept aside."""
        rows = await self.proof.fetch(
            "select * from agent_task where tenant_id = $1 and queue = 'receipts' order by created_at",
            tenant_id,
        )
        return [dict(row) for row in rows]

    async def make_due(self) -> None:
        """What is kept aside is due now."""
        await self.proof.execute("update agent_task set due_at = now() where queue = 'receipts'")


@pytest.fixture
async def shop(app: asyncpg.Connection, proof: asyncpg.Connection, app_database: Database) -> Shop:
    """Makes deliveries and accounts of any tenant."""
    service = CredentialService(
        database=app_database, store=CredentialStore(), accounts=Accounts.of(CHANNEL_TYPES), keys=KEYS
    )
    return Shop(app, proof, Decisions(app), service)
