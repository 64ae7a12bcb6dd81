"""Two tenants' profiles, asked in both worlds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from uuid import UUID

import pytest

from server.embedded.database_setup import DatabaseUrls
from tests.conditions.world import Running, World, connect
from tests.fixtures.tenants import Tenant


@pytest.fixture
def world(database: DatabaseUrls, tenant_a: Tenant, tenant_b: Tenant) -> Iterator[Running]:
    """A world, and the runner of its connection: hypothesis calls tests that are no coroutines."""
    with asyncio.Runner() as runner:
        connection = runner.run(connect(database))
        yield runner, World(connection, (UUID(int=tenant_a.int), UUID(int=tenant_b.int)))
        runner.run(connection.close())
