"""Decide on real PostgreSQL and Redis, as the serving role."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from server.decisions.assembly import running_decisions
from server.decisions.service import DecisionService
from server.embedded.database_setup import DatabaseUrls
from server.platform.postgres import Database
from server.platform.redis import RedisPool
from server.workers.wake_ups import SweepOnly


@pytest.fixture
async def server_database(database: DatabaseUrls) -> AsyncIterator[Database]:
    """A server's pool."""
    pool = await Database.connect(
        database.app_url, minimum_connections=1, maximum_connections=8, application_name="test-decisions"
    )
    yield pool
    await pool.close()


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[RedisPool]:
    """The reservations' Redis, empty."""
    pool = await RedisPool.connect(redis_url, client_name="test-decisions")
    yield pool
    await pool.close()


@pytest.fixture
async def decisions(server_database: Database, redis: RedisPool) -> AsyncIterator[DecisionService]:
    """Decide, as a server runs it."""
    async with running_decisions(database=server_database, redis=redis, wake_up=SweepOnly()) as service:
        yield service
