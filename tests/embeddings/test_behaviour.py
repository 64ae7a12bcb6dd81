"""What customers do makes their vectors anew: of all tenants, at a bounded rate, whenever it happened."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from server.embedded.database_setup import DatabaseUrls
from server.embeddings.behaviour import BehaviourQueue
from server.errors import Unavailable
from server.platform.clock import utc_now
from server.platform.postgres import Database, Timeouts
from server.platform.redis import RedisPool
from tests.embeddings.rows import Rows
from tests.fixtures.tenants import Tenant

HOUR = timedelta(hours=1)


class World:
    """Two tenants' customers, and the schedule's job."""

    def __init__(self, database: Database, redis: RedisPool, proof: asyncpg.Connection) -> None:
        self._database = database
        self._redis = redis
        self.proof = proof

    async def run(self, every: timedelta = HOUR, *, step: timedelta = HOUR) -> None:
        """One run of a worker."""
        await BehaviourQueue(
            database=self._database, redis=self._redis, every=every, clock=utc_now, step=step
        ).run()

    async def does(
        self,
        tenant: Tenant,
        profile_id: str,
        event_type: str = "view",
        *,
        at: datetime | None = None,
        recorded: datetime | None = None,
    ) -> None:
        """Record an event."""
        when = at or utc_now()
        await self.proof.execute("select ensure_month($1)", when.date())
        await self.proof.execute(
            "insert into behavioral_events (tenant_id, event_key, profile_id, source_event_id, event_type, occurred_at,"
            " created_at) values ($1, gen_random_uuid()::text, $2, 'e', $3, $4, coalesce($5, now()))",
            UUID(int=tenant.int),
            profile_id,
            event_type,
            when,
            recorded,
        )

    async def embedded(self, *, ago: timedelta) -> None:
        """As if workers had embedded everybody so long ago."""
        await self.proof.execute("alter table embedding_job disable trigger user")
        await self.proof.execute(
            "update embedding_job set status = 'completed', updated_at = now() - $1::interval", ago
        )
        await self.proof.execute("alter table embedding_job enable trigger user")

    async def forget(self) -> None:
        """As if nobody had been queued, and nobody had looked."""
        await self.proof.execute("delete from embedding_job")
        await self._redis.command("FLUSHDB")

    async def waiting(self) -> list[str]:
        """Whose jobs are pending."""
        rows = await self.proof.fetch(
            "select entity_id from embedding_job where status = 'pending' order by 1"
        )
        return [row["entity_id"] for row in rows]


@pytest.fixture
async def world(database: DatabaseUrls, redis_url: str) -> AsyncIterator[World]:
    pool = await Database.connect(
        database.worker_url,
        minimum_connections=1,
        maximum_connections=2,
        application_name="test",
        timeouts=Timeouts(lock_ms=200),
    )
    redis = await RedisPool.connect(redis_url, client_name="test")
    superuser = await asyncpg.connect(database.superuser_url)
    yield World(pool, redis, superuser)
    await superuser.close()
    await redis.close()
    await pool.close()


async def test_who_did_something_is_embedded_again_but_not_every_time(
    world: World, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    rows = Rows(world.proof)
    for tenant, profile_id in ((tenant_a, "ann"), (tenant_b, "ben"), (tenant_a, "new"), (tenant_a, "idle")):
        await rows.profile(tenant, profile_id)
    await world.does(tenant_a, "ann")
    await world.does(tenant_b, "ben", at=datetime(2026, 1, 5, tzinfo=UTC))
    await world.does(tenant_a, "idle", "segment.entered")
    await world.does(tenant_a, "nobody")
    await world.run(every=timedelta())
    assert await world.waiting() == [], "zero is never"
    await world.run()
    assert await world.waiting() == ["ann", "ben"], "an event of long ago counts as well"

    await world.embedded(ago=HOUR / 2)
    await world.does(tenant_a, "ann")
    await world.does(tenant_a, "new")
    await world.run()
    assert await world.waiting() == ["new"]
    await world.embedded(ago=HOUR * 2)
    await world.run()
    assert await world.waiting() == ["ann", "ben", "new"]
    assert (
        await world.proof.fetchval(
            "select count(*) from embedding_job where tenant_id = $1", UUID(int=tenant_b.int)
        )
        == 1
    )


async def test_jobs_that_wait_or_are_dead_and_the_erased_are_left_alone(
    world: World, tenant_a: Tenant
) -> None:
    rows = Rows(world.proof)
    for profile_id in ("dead", "gone", "waits"):
        await rows.profile(tenant_a, profile_id, "gold")
        await world.does(tenant_a, profile_id)
    await world.embedded(ago=HOUR * 2)
    await world.proof.execute("update embedding_job set status = 'failed' where entity_id = 'dead'")
    await world.proof.execute(
        "update embedding_job set status = 'pending', lease_owner = 'w', lease_until = now(), attempts = 1"
        " where entity_id = 'waits'"
    )
    await world.proof.execute("update cdp_profiles set erased_at = now() where profile_id = 'gone'")
    await world.run()
    assert await world.waiting() == ["waits"]
    assert (
        await world.proof.fetchval("select lease_owner from embedding_job where entity_id = 'waits'") == "w"
    )


async def test_several_steps_find_whom_one_finds(world: World, tenant_a: Tenant, tenant_b: Tenant) -> None:
    rows, begun, step = Rows(world.proof), utc_now(), timedelta(minutes=7)
    for minutes in (55, 49, 48, 42, 15, 7, 1):
        for tenant in (tenant_a, tenant_b):
            await rows.profile(tenant, f"did-{minutes}")
            await world.does(tenant, f"did-{minutes}", recorded=begun - timedelta(minutes=minutes))
    await world.does(tenant_a, "did-55", recorded=begun - timedelta(minutes=1))
    await world.run(step=HOUR * 2)
    at_once = await world.waiting()
    assert len(at_once) == 14
    await world.forget()
    await world.run(step=step)
    assert await world.waiting() == at_once


async def test_a_step_that_fails_leaves_those_before_it_done(world: World, tenant_a: Tenant) -> None:
    rows, begun, step = Rows(world.proof), utc_now(), timedelta(minutes=10)
    for profile_id, minutes in (("early", 45), ("late", 15)):
        await rows.profile(tenant_a, profile_id, "gold")
        await world.does(tenant_a, profile_id, recorded=begun - timedelta(minutes=minutes))
    await world.embedded(ago=HOUR * 2)
    async with world.proof.transaction():
        await world.proof.execute("select from embedding_job where entity_id = 'late' for update")
        with pytest.raises(Unavailable):
            await world.run(step=step)
        assert await world.waiting() == ["early"]
    await world.embedded(ago=HOUR * 2)
    await world.run(step=step)
    assert await world.waiting() == ["late"], "it goes on behind what was done"
