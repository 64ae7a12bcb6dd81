"""A delivery runner as a worker has it, against real PostgreSQL and a scripted SMTP server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from email.headerregistry import Address
from types import MappingProxyType
from typing import Any

import asyncpg
import orjson
import pytest

from server.dispatch.assembly import Deliveries, DeliverySettings
from server.dispatch.channels.channel import Channel
from server.dispatch.channels.email_smtp import EmailSmtp
from server.dispatch.channels.smtp_pool import Relay, SmtpPool
from server.dispatch.credentials.directory import ChannelDirectory
from server.dispatch.credentials.refresh import TokenRefresher
from server.dispatch.credentials.store import CredentialStore
from server.dispatch.delivery_runner import DeliveryLimits, DeliveryRunner
from server.dispatch.limits.gate import ProviderGate
from server.dispatch.limits.rules import MICROSECONDS, CircuitPolicy
from server.dispatch.outcomes import RetryPolicy
from server.embedded.database_setup import DatabaseUrls
from server.platform.credential_keys import NO_KEYS, CredentialKeys
from server.platform.postgres import Database
from server.platform.redis import RedisPool
from tests.dispatch.decided import Decided, Decisions
from tests.dispatch.scripted_smtp import ScriptedSmtp

SENDER = Address(display_name="Shop", addr_spec="shop@leo.example")


@pytest.fixture
def decisions(app: asyncpg.Connection) -> Decisions:
    """Writes what decisions leave."""
    return Decisions(app)


@pytest.fixture
def smtp() -> Iterator[ScriptedSmtp]:
    """An SMTP server that does as it is told."""
    server = ScriptedSmtp()
    server.start()
    yield server
    server.end()


@pytest.fixture
async def worker_database(database: DatabaseUrls) -> AsyncIterator[Database]:
    """The pool of a worker."""
    pool = await Database.connect(
        database.worker_url, minimum_connections=1, maximum_connections=4, application_name="test-worker"
    )
    yield pool
    await pool.close()


def email_channel(url: str, *, timeout_seconds: float = 5.0, connections: int = 4) -> EmailSmtp:
    """The channel `email` over this relay."""
    relay = Relay.from_url(url, timeout_seconds=timeout_seconds)
    return EmailSmtp(
        pool=SmtpPool(relay, size=connections),
        connections=connections,
        sender=SENDER,
        timeout_seconds=timeout_seconds,
    )


@dataclass(slots=True)
class Fleet:
    """Makes runners, each as if it were a worker of its own.

    Args:
        redis: where limits and circuits are.
        keys: decrypt the accounts of tenants.
        circuit_failures: so many in a row open a circuit.
    """

    database: Database
    redis: RedisPool
    keys: CredentialKeys = NO_KEYS
    lease_seconds: float = 60.0
    attempts: int = 4
    retry_seconds: float = 1e-6
    circuit_failures: int = 10
    circuit_seconds: float = 30.0

    def runner(
        self, channels: Mapping[str, Channel], *, queue: str = "email", worker: str = "host:1"
    ) -> DeliveryRunner:
        """A runner over these channels, which need no account. Retries are due at once."""
        return self.deliveries(self.directory(shared=channels), worker=worker).runner(queue)

    def directory(
        self, *adapters: Channel, shared: Mapping[str, Channel] = MappingProxyType({})
    ) -> ChannelDirectory:
        """Routes over adapters that need accounts, and over shared ones that need none."""
        store = CredentialStore()
        return ChannelDirectory(
            adapters=adapters,
            shared=shared.values(),
            database=self.database,
            store=store,
            keys=self.keys,
            refresher=TokenRefresher(database=self.database, store=store, keys=self.keys),
        )

    def deliveries(
        self, directory: ChannelDirectory, *, worker: str = "host:1", gate: ProviderGate | None = None
    ) -> Deliveries:
        """What a worker process delivers with, its gate included where the test has none to look at."""
        settings = DeliverySettings(
            limits=DeliveryLimits(self.lease_seconds, min(5.0, self.lease_seconds / 2)),
            policy=RetryPolicy(attempts=self.attempts, first_seconds=self.retry_seconds),
            worker=worker,
        )
        return Deliveries(
            settings=settings, database=self.database, directory=directory, gate=gate or self.gate(worker)
        )

    def gate(self, worker: str = "host:1") -> ProviderGate:
        """Limits and circuits as a worker process sees them."""
        policy = CircuitPolicy(
            failures=self.circuit_failures,
            open_for=int(self.circuit_seconds * MICROSECONDS),
            probe_for=5 * MICROSECONDS,
        )
        return ProviderGate(redis=self.redis, policy=policy, worker=worker)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[RedisPool]:
    """The Redis of limits and circuits, empty."""
    pool = await RedisPool.connect(redis_url, client_name="test-worker")
    yield pool
    await pool.close()


@pytest.fixture
def fleet(worker_database: Database, redis: RedisPool) -> Fleet:
    """Makes runners."""
    return Fleet(worker_database, redis)


@dataclass(frozen=True, slots=True)
class Log:
    """What PostgreSQL holds, whoever's it is."""

    proof: asyncpg.Connection

    async def facts(self, decided: Decided) -> list[tuple[str, int, str | None]]:
        """Status, attempt and reason of every row about the decision's deliveries, oldest first."""
        rows = await self.proof.fetch(
            "select delivery_status, attempt, reason from delivery_log where tenant_id = $1 and task_id = $2"
            " order by delivery_id",
            decided.tenant_id,
            decided.task_id,
        )
        return [tuple(row) for row in rows]

    async def status(self, decided: Decided) -> str:
        """Where the delivery stands."""
        status: str = await self.proof.fetchval(
            "select delivery_status from delivery_current where tenant_id = $1 and delivery_key = $2",
            decided.tenant_id,
            decided.delivery_key,
        )
        return status

    async def task_status(self, decided: Decided) -> str:
        """Where the task stands."""
        status: str = await self.proof.fetchval(
            "select status from agent_task where tenant_id = $1 and task_id = $2",
            decided.tenant_id,
            decided.task_id,
        )
        return status

    async def sending(self, decided: Decided) -> dict[str, Any]:
        """The last row that says what was about to be sent, its `provider_response` parsed."""
        row = await self.proof.fetchrow(
            "select * from delivery_log where tenant_id = $1 and task_id = $2 and delivery_status = 'sending'"
            " order by attempt desc limit 1",
            decided.tenant_id,
            decided.task_id,
        )
        assert row is not None
        return {**dict(row), "provider_response": orjson.loads(row["provider_response"])}


@pytest.fixture
def log(proof: asyncpg.Connection) -> Log:
    """Reads what was recorded."""
    return Log(proof)
