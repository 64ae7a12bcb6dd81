"""A pool as the servers have it, and a table of many types under forced row-level security."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from server.embedded.database_setup import DatabaseUrls
from server.platform.postgres import Database

CREATE_SAMPLE = """
create table sample (
    tenant_id uuid not null,
    sample_key text not null,
    words text,
    document jsonb,
    seen_at timestamptz,
    octets bytea,
    amount numeric,
    counted integer check (counted >= 0),
    primary key (tenant_id, sample_key)
);
alter table sample enable row level security;
alter table sample force row level security;
create policy tenant_isolation on sample
    using (tenant_id = (select nullif(current_setting('app.current_tenant_id', true), '')::uuid));
grant select, insert, update on sample to leo_app;
grant select on sample to leo_proof;
"""


@pytest.fixture
async def pool(database: DatabaseUrls) -> AsyncIterator[Database]:
    """A pool of one connection, so that the second transaction meets what the first one left."""
    opened = await Database.connect(
        database.app_url, minimum_connections=1, maximum_connections=1, application_name="tests"
    )
    yield opened
    await opened.close()


@pytest.fixture
async def sample(database: DatabaseUrls) -> str:
    """The name of the table; it is empty."""
    owner = await asyncpg.connect(database.owner_url)
    try:
        await owner.execute(CREATE_SAMPLE)
    finally:
        await owner.close()
    return "sample"
