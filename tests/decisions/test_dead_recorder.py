"""A server that dies between reservation and commit blocks its profile no longer than its lease, and what it left
behind is recorded before another decides, or never."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from uuid import UUID

import asyncpg
import pytest
from redis.asyncio import Redis

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
    """A process reserves for ann, and is killed with its backends while its INSERT waits: nothing is recorded."""

    async def gone() -> bool:
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'test-victim'"
        return bool(await watcher.fetchval(query) == 0)

    async with (
        victim(database, redis_url, tenant_id, lease_ms) as process,
        locked(database.superuser_url, "agent_task"),
    ):
        await ask(process, watcher)
        process.kill()
        await process.wait()
        # PostgreSQL would do what it was told, unless it dies too.
        await watcher.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'test-victim'"
        )
        await until(gone)


async def ask(process: asyncio.subprocess.Process, watcher: asyncpg.Connection) -> None:
    """Let the victim decide; return once it waits to record."""
    assert process.stdin is not None
    process.stdin.write(b"go\n")
    await waiting_for_locks(watcher, 1)


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


async def test_what_a_killed_server_had_sent_to_be_recorded_counts_even_when_it_comes_after_its_lease(
    decisions: DecisionService,
    database: DatabaseUrls,
    redis_url: str,
    watcher: asyncpg.Connection,
    proof: asyncpg.Connection,
    tenant_a: UUID,
    shop: None,
) -> None:
    async with victim(database, redis_url, tenant_a, lease_ms=1) as process:
        async with locked(database.superuser_url, "agent_task"):
            await ask(process, watcher)
            process.kill()
            await process.wait()
            contender = asyncio.create_task(decisions.decide(tenant_a, purchase("contender")))
            # The contender met a pending send past its lease: it waits for whoever still records.
            await waiting_for_locks(watcher, 2)
        assert (await contender).reason is Reason.COOLDOWN
    rows = await proof.fetch("SELECT source_event_id FROM agent_task WHERE outcome = 'send'")
    assert [row["source_event_id"] for row in rows] == ["of-the-victim"]


async def test_a_server_that_was_asleep_past_its_lease_records_nothing_of_its_epoch(
    decisions: DecisionService,
    database: DatabaseUrls,
    redis_url: str,
    watcher: asyncpg.Connection,
    proof: asyncpg.Connection,
    tenant_a: UUID,
    shop: None,
) -> None:
    """It reserved, slept, and meanwhile another decided: it must decide again, and lose."""
    async with victim(database, redis_url, tenant_a, lease_ms=1) as process, paused(redis_url) as redis:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        await until(partial(held_back, redis))
        process.send_signal(signal.SIGSTOP)
        await redis.execute_command("CLIENT", "UNPAUSE")
        await until(partial(reserved, redis))
        contender = await decisions.decide(tenant_a, purchase("contender"))
        process.send_signal(signal.SIGCONT)
        assert await process.wait() == 0
    assert contender.reason is Reason.SELECTED
    rows = await proof.fetch("SELECT source_event_id, reason_code FROM agent_task WHERE profile_id = 'ann'")
    assert {tuple(row) for row in rows} == {("contender", "SELECTED"), ("of-the-victim", "COOLDOWN")}


@asynccontextmanager
async def paused(redis_url: str) -> AsyncIterator[Redis]:
    """Redis takes scripts and runs none of them, until it is told to go on."""
    redis = Redis.from_url(redis_url)
    await redis.execute_command("CLIENT", "PAUSE", FOR_EVER_MS, "WRITE")
    try:
        yield redis
    finally:
        await redis.execute_command("CLIENT", "UNPAUSE")
        await redis.aclose()


async def held_back(redis: Redis) -> bool:
    """Whether the victim waits for Redis to go on."""
    clients = await redis.client_list()
    return any("b" in client["flags"] for client in clients if client["name"] == "test-victim")


async def reserved(redis: Redis) -> bool:
    """Whether Redis has run the script of the victim, and so of all that waited."""
    return not await held_back(redis)
