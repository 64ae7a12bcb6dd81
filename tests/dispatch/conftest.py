"""A delivery runner as a worker has it, against real PostgreSQL and a scripted SMTP server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from email.headerregistry import Address
from typing import Any

import asyncpg
import orjson
import pytest

from server.dispatch.channels.channel import Channel
from server.dispatch.channels.email_smtp import EmailSmtp
from server.dispatch.channels.smtp_pool import Relay, SmtpPool
from server.dispatch.delivery_runner import DeliveryLimits, DeliveryRunner
from server.dispatch.delivery_store import DeliveryStore
from server.dispatch.outcomes import RetryPolicy
from server.dispatch.preparation import Preparation
from server.dispatch.recorder import StepRecorder
from server.embedded.database_setup import DatabaseUrls
from server.platform.postgres import Database
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
    """Makes runners, each as if it were a worker of its own."""

    database: Database
    lease_seconds: float = 60.0
    attempts: int = 4
    retry_seconds: float = 1e-6

    def runner(
        self, channels: Mapping[str, Channel], *, queue: str = "email", worker: str = "host:1"
    ) -> DeliveryRunner:
        """A runner over these channels. Retries are due at once."""
        store = DeliveryStore()
        return DeliveryRunner(
            queue=queue,
            channels=channels,
            database=self.database,
            store=store,
            preparation=Preparation(database=self.database, store=store, channels=channels),
            recorder=StepRecorder(database=self.database, store=store),
            limits=DeliveryLimits(self.lease_seconds, min(5.0, self.lease_seconds / 2)),
            policy=RetryPolicy(attempts=self.attempts, first_seconds=self.retry_seconds),
            worker=worker,
        )


@pytest.fixture
def fleet(worker_database: Database) -> Fleet:
    """Makes runners."""
    return Fleet(worker_database)


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
