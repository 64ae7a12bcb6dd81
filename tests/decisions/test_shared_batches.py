"""Events of several tenants share a batch and its commit, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import pytest

from server.decisions.model import Reason
from server.decisions.service import DecisionService
from server.embedded.database_setup import DatabaseUrls
from server.errors import NotFound, PreconditionFailed
from tests.decisions.shop import DAY_SECONDS, NOON, add_campaign, add_marketing_event, add_profile, purchase
from tests.decisions.waiting import locked, waiting_for_locks

UNKNOWN = UUID(int=7)


@pytest.fixture
async def shops(app: asyncpg.Connection, tenant_a: UUID, tenant_b: UUID) -> None:
    """Two tenants with the same ids; the first one's purchases are thanked for once in 30 days."""
    for tenant, cooldown_seconds in ((tenant_a, 30 * DAY_SECONDS), (tenant_b, 0)):
        await add_campaign(app, tenant, "loyalty")
        for profile_id in ("ann", "unlucky"):
            await add_profile(app, tenant, profile_id)
        await add_marketing_event(app, tenant, "loyalty", "thanks", cooldown_seconds=cooldown_seconds)


@pytest.fixture
async def superuser(database: DatabaseUrls) -> AsyncIterator[asyncpg.Connection]:
    """Sees every backend, and may change tables."""
    connection = await asyncpg.connect(database.superuser_url)
    yield connection
    await connection.close()


@asynccontextmanager
async def lane_taken(
    decisions: DecisionService, database: DatabaseUrls, watcher: asyncpg.Connection, tenant_id: UUID
) -> AsyncIterator[None]:
    """What arrives while the block runs forms one batch."""
    async with locked(database.superuser_url, "agent_task"):
        taken = asyncio.create_task(decisions.decide(tenant_id, purchase("lane", profile_id="nobody")))
        await waiting_for_locks(watcher, 1)
        yield
    await taken


async def test_tenants_of_a_batch_keep_apart(
    decisions: DecisionService,
    superuser: asyncpg.Connection,
    database: DatabaseUrls,
    proof: asyncpg.Connection,
    tenant_a: UUID,
    tenant_b: UUID,
    shops: None,
) -> None:
    await superuser.execute(
        "ALTER TABLE agent_task ADD CONSTRAINT no_unlucky CHECK (profile_id <> 'unlucky')"
    )
    for tenant in (tenant_a, tenant_b):
        await decisions.decide(tenant, purchase("prepare", profile_id="nobody"))
    async with lane_taken(decisions, database, superuser, tenant_a):
        ours, theirs = (
            [asyncio.create_task(decisions.decide(tenant, purchase(f"order-{n}"))) for n in range(10)]
            for tenant in (tenant_a, tenant_b)
        )
        bad = asyncio.create_task(decisions.decide(tenant_b, purchase("bad", profile_id="unlucky")))
        await asyncio.sleep(0)
    assert [call.reason for call in await asyncio.gather(*ours)].count(Reason.SELECTED) == 1
    assert {call.reason for call in await asyncio.gather(*theirs)} == {Reason.SELECTED}
    with pytest.raises(PreconditionFailed):
        await bad
    rows = await proof.fetch(
        "SELECT tenant_id, count(*) AS sends FROM delivery_log WHERE profile_id = 'ann' GROUP BY tenant_id"
    )
    assert {row["tenant_id"]: row["sends"] for row in rows} == {
        UUID(int=tenant_a.int): 1,
        UUID(int=tenant_b.int): 10,
    }


async def test_a_definition_that_does_not_compile_stops_its_own_tenant_only(
    decisions: DecisionService,
    superuser: asyncpg.Connection,
    database: DatabaseUrls,
    app: asyncpg.Connection,
    tenant_a: UUID,
    tenant_b: UUID,
    shops: None,
) -> None:
    broken = {"attribute": "event.amount", "operator": "resembles", "value": 1}
    await add_marketing_event(app, tenant_b, "loyalty", "broken", condition=broken)
    await decisions.decide(tenant_a, purchase("prepare", profile_id="nobody"))
    async with lane_taken(decisions, database, superuser, tenant_a):
        theirs = asyncio.create_task(decisions.decide(tenant_b, purchase("order")))
        ours = asyncio.create_task(decisions.decide(tenant_a, purchase("order")))
        await asyncio.sleep(0)
    assert (await ours).reason is Reason.SELECTED
    with pytest.raises(PreconditionFailed, match="put it again"):
        await theirs


async def test_a_tenant_that_is_gone_is_not_found(decisions: DecisionService) -> None:
    with pytest.raises(NotFound):
        await decisions.decide_batch(UNKNOWN, [purchase("1", occurred_at=NOON)])
