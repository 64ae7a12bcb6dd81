"""What our own database does not take: a run ends and says so; how many sources a tenant may have; how long one may be
silent."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from server.config import Settings
from server.errors import PreconditionFailed, Unavailable
from server.sync.model import Definition, Health, SourceType
from server.sync.sources.kinds import KINDS, ConnectionNotValid
from server.sync.store import MOST_SOURCES, SourceStore
from tests.fixtures.tenants import Tenant
from tests.sync.conftest import Crm, Following, profiles_of
from tests.workers.conftest import until

# What PostgreSQL raises when it is busy, or ends a statement: to us an error of our own database, not of a document.
_REFUSE = """
    create function refuse() returns trigger language plpgsql as $$
    begin
        raise exception 'not % of c550@example.com', new.primary_email using errcode = 'lock_not_available';
    end
    $$;
    create trigger refuses before insert on cdp_profiles
    for each row when (new.ext_id = 'crm-550') execute function refuse();
"""
_REFUSE_THE_END = """
    create function refuse_the_end() returns trigger language plpgsql as $$
    begin
        raise exception 'not now' using errcode = 'lock_not_available';
    end
    $$;
    create trigger refuses before update on data_sources
    for each row when (new.failures > 0) execute function refuse_the_end();
"""
_BLOCKED = "select exists (select from pg_locks where locktype = 'advisory' and not granted)"
_ARANGO = {
    "url": "https://arangodb.example.com:8529",
    "database": "leo_cdp",
    "collection": "cdp_profile",
    "username": "leo_sync",
    "update_attribute": "updatedAt",
}


async def test_a_page_that_our_database_refuses_ends_the_run_and_is_told(
    following: Following, crm: Crm, proof: asyncpg.Connection[asyncpg.Record], tenant_a: Tenant
) -> None:
    await crm.add(600)
    await following.put(tenant_a, SourceType.POSTGRESQL, crm.described, password=crm.password)
    await crm.execute(_REFUSE)

    for failures in (1, 2):
        condition = (await following.run(tenant_a)).condition

        assert (condition.health, condition.failures) == (Health.DEGRADED, failures)
        assert not condition.is_running, "the lease was given back"
        assert "LEO's own database" in str(condition.last_error)
        assert "DATABASE_BUSY" in str(condition.last_error)
        assert "example.com" not in str(condition.last_error)
        assert condition.due_at is not None
        assert 0 < (condition.due_at - datetime.now(UTC)).total_seconds() <= 5 * failures
        assert (condition.total.read, condition.cursor["key"]) == (500, "500"), "the first page stays"
    assert len(await profiles_of(proof, tenant_a)) == 500

    await crm.execute("drop trigger refuses on cdp_profiles")
    cured = (await following.run(tenant_a)).condition
    assert (cured.health, cured.failures, cured.last_error) == (Health.HEALTHY, 0, None)
    assert len(await profiles_of(proof, tenant_a)) == 600


async def test_only_where_not_even_the_end_can_be_noted_the_lease_has_to_run_out(
    following: Following, crm: Crm, tenant_a: Tenant
) -> None:
    await crm.add(600)
    await following.put(tenant_a, SourceType.POSTGRESQL, crm.described, password=crm.password)
    await crm.execute(_REFUSE)
    await crm.execute(_REFUSE_THE_END)

    with pytest.raises(Unavailable):
        await following.jobs.sync_due()

    condition = (await following.get(tenant_a)).condition
    assert condition.is_running
    assert (condition.failures, condition.last_error, condition.total.read) == (0, None, 500)


async def test_of_two_sources_put_at_the_same_moment_only_one_is_the_last_that_a_tenant_may_have(
    following: Following, crm: Crm, proof: asyncpg.Connection[asyncpg.Record], tenant_a: Tenant
) -> None:
    await proof.execute(
        "insert into data_sources (tenant_id, source_id, source_name, source_type)"
        " select $1, 's' || n, 'S', 'file' from generate_series(2, $2::int) as n",
        tenant_a,
        MOST_SOURCES,
    )
    tenant_id = UUID(int=tenant_a.int)
    first = Definition("first", "First", SourceType.FILE, {"path": "a.csv"}, {}, None, None)
    store = SourceStore()

    async def waiting() -> bool:
        return bool(await proof.fetchval(_BLOCKED))

    async with following.app.tenant_transaction(tenant_id) as connection:
        await store.lock_all(connection, tenant_id)
        assert await store.insert(connection, tenant_id, first, None)
        second = asyncio.create_task(
            following.put(tenant_a, SourceType.POSTGRESQL, crm.described, password=crm.password)
        )
        await until(waiting)
    with pytest.raises(PreconditionFailed, match=f"has {MOST_SOURCES} sources"):
        await second
    assert await proof.fetchval("select count(*) from data_sources") == MOST_SOURCES


@pytest.mark.parametrize("kind", [SourceType.ARANGODB, SourceType.POSTGRESQL])
def test_a_source_may_not_be_silent_for_more_than_half_of_a_usual_lease(kind: SourceType) -> None:
    postgres = dict.fromkeys(("host", "database", "user", "table", "key_column", "updated_column"), "x")
    connection: dict[str, Any] = _ARANGO if kind is SourceType.ARANGODB else postgres
    half = Settings.model_fields["lease_seconds"].default / 2
    KINDS[kind].read({**connection, "timeout_seconds": half})
    with pytest.raises(ConnectionNotValid, match="timeout_seconds"):
        KINDS[kind].read({**connection, "timeout_seconds": half + 0.1})
