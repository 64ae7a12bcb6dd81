"""A server that dies between reservation and commit blocks its profile no longer than its lease."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from uuid import UUID

import asyncpg
import pytest

from server.decisions.model import DecisionRecord, Reason
from server.decisions.service import DecisionService
from server.embedded.database_setup import DatabaseUrls
from tests.decisions.shop import DAY_SECONDS, add_campaign, add_marketing_event, add_profile, purchase
from tests.decisions.waiting import locked, until, waiting_for_locks

LEASE_MS = 300
FOR_EVER_MS = 3_600_000


@pytest.fixture
async def shop(app: asyncpg.Connection, tenant_a: UUID) -> None:
    """One marketing event with a cooldown of 30 days; bob has an address, and no consent."""
    await add_campaign(app, tenant_a, "loyalty")
    await add_profile(app, tenant_a, "ann")
    await add_profile(app, tenant_a, "bob", consents=())
    await add_marketing_event(app, tenant_a, "loyalty", "thanks", cooldown_seconds=30 * DAY_SECONDS)


@asynccontextmanager
async def victim(
    database: DatabaseUrls, redis_url: str, tenant_id: UUID, lease_ms: int
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that is about to decide for ann."""
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "tests.decisions.deciding_process",
            str(lease_ms),
            str(UUID(int=tenant_id.int)),
        ),
        env={
            **os.environ,
            "PYTHONPATH": ":".join(sys.path),
            "LEO_DATABASE_URL": database.app_url,
            "LEO_REDIS_URL": redis_url,
        },
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def die_after_reserving(
    database: DatabaseUrls, redis_url: str, tenant_id: UUID, watcher: asyncpg.Connection, lease_ms: int
) -> None:
    """A process reserves for ann, and is killed while its INSERT waits; its transaction is rolled back."""
    async with (
        victim(database, redis_url, tenant_id, lease_ms) as process,
        locked(database.superuser_url, "agent_task"),
    ):
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        await waiting_for_locks(watcher, 1)
        process.kill()
        await process.wait()

    async def gone() -> bool:
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'test-victim'"
        return bool(await watcher.fetchval(query) == 0)

    await until(gone)


@pytest.fixture
async def watcher(database: DatabaseUrls) -> AsyncIterator[asyncpg.Connection]:
    """Sees every backend."""
    connection = await asyncpg.connect(database.superuser_url)
    yield connection
    await connection.close()


async def test_the_profile_is_free_after_the_lease(
    decisions: DecisionService,
    database: DatabaseUrls,
    redis_url: str,
    watcher: asyncpg.Connection,
    proof: asyncpg.Connection,
    tenant_a: UUID,
    shop: None,
) -> None:
    await die_after_reserving(database, redis_url, tenant_a, watcher, LEASE_MS)
    numbers = count()

    async def sent() -> bool:
        record = await decisions.decide(tenant_a, purchase(f"later-{next(numbers)}"))
        assert record.reason in (Reason.SELECTED, Reason.COOLDOWN)
        return record.reason is Reason.SELECTED

    await until(sent)
    assert await proof.fetchval("SELECT count(*) FROM agent_task WHERE outcome = 'send'") == 1
    assert await proof.fetchval("SELECT 1 FROM agent_task WHERE source_event_id = 'of-the-victim'") is None


async def test_until_then_its_send_counts_and_its_own_event_may_be_tried_again(
    decisions: DecisionService,
    database: DatabaseUrls,
    redis_url: str,
    watcher: asyncpg.Connection,
    tenant_a: UUID,
    shop: None,
) -> None:
    await die_after_reserving(database, redis_url, tenant_a, watcher, FOR_EVER_MS)
    answers = await decisions.decide_batch(tenant_a, [purchase("another"), purchase("of-the-victim")])
    assert [answer.reason for answer in answers if isinstance(answer, DecisionRecord)] == [
        Reason.COOLDOWN,
        Reason.SELECTED,
    ]
