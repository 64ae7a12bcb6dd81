"""Decide on real PostgreSQL and Redis, as the serving role: in this process, or as two servers of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import asyncpg
import pytest

from server.config import ServerSettings
from server.decisions.assembly import running_decisions
from server.decisions.service import DecisionService
from server.embedded.database_setup import DatabaseUrls
from server.embedded.redis_server import RedisServer
from server.platform.postgres import Database
from server.platform.redis import RedisPool
from server.workers.wake_ups import SweepOnly
from tests.decisions.processes import ServingProcess, serving
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor

_SCOPES = ["decisions.read", "decisions.write"]


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


@pytest.fixture
async def superuser(database: DatabaseUrls) -> AsyncIterator[asyncpg.Connection]:
    """Sees and ends every backend, and may change tables."""
    connection = await asyncpg.connect(database.superuser_url)
    yield connection
    await connection.close()


@pytest.fixture
async def servers(
    settings: ServerSettings, own_redis: RedisServer, token_for: TokenFor, tenant_a: Tenant
) -> AsyncIterator[tuple[ServingProcess, ServingProcess]]:
    """Two servers of one tenant, on a Redis that may be killed."""
    shared = ServerSettings.model_validate({**settings.model_dump(), "redis_url": own_redis.url})
    token = token_for(tenant_a, _SCOPES)
    async with AsyncExitStack() as stack:
        first, second = await asyncio.gather(
            *(stack.enter_async_context(serving(shared, token)) for _ in range(2))
        )
        yield first, second
