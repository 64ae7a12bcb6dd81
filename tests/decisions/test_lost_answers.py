"""A committed send stays counted whatever becomes of the call that made it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from server.decisions.assembly import running_decisions
from server.decisions.model import DecisionRecord, Reason
from server.decisions.service import DecisionService
from server.embedded.database_setup import DatabaseUrls
from server.errors import Overloaded, Unavailable
from server.platform.postgres import CommitOutcomeUnknown, Database, Timeouts
from server.platform.redis import RedisPool
from server.workers.wake_ups import SweepOnly
from tests.decisions.shop import DAY_SECONDS, NOON, add_campaign, add_marketing_event, add_profile, purchase
from tests.decisions.waiting import backends_in_lock_wait, locked, waiting_for_locks
from tests.fixtures.armed_proxy import ArmedProxy

# What only the statement that records sends; its end is the commit. And what ends any other transaction.
_TO_BE_RECORDED = b'"reasoning_trace"'
_COMMIT = b"COMMIT\x00"


@pytest.fixture
async def shop(app: asyncpg.Connection, tenant_a: UUID) -> None:
    """One marketing event with a cooldown of 30 days; bob has an address, and no consent."""
    await add_campaign(app, tenant_a, "loyalty")
    await add_profile(app, tenant_a, "ann")
    await add_profile(app, tenant_a, "bob", consents=())
    await add_marketing_event(app, tenant_a, "loyalty", "thanks", cooldown_seconds=30 * DAY_SECONDS)


@asynccontextmanager
async def another_server(url: str, redis: RedisPool, connections: int = 4) -> AsyncIterator[DecisionService]:
    """Decide with a pool of its own."""
    pool = await Database.connect(
        url, minimum_connections=1, maximum_connections=connections, application_name="test-another"
    )
    try:
        async with running_decisions(database=pool, redis=redis, wake_up=SweepOnly()) as service:
            yield service
    finally:
        await pool.close()


async def first_answer(service: DecisionService, tenant_id: UUID, source_event_id: str, day: int) -> Reason:
    """The reason of one purchase, in a batch of its own."""
    (answer,) = await service.decide_batch(
        tenant_id, [purchase(source_event_id, occurred_at=NOON + timedelta(days=day))]
    )
    assert isinstance(answer, DecisionRecord)
    return answer.reason


async def prepare(service: DecisionService, tenant_id: UUID) -> None:
    """Let a server meet the definitions and the month, so that all it has left to write are decisions."""
    await service.decide_batch(tenant_id, [purchase(f"prepare-{id(service)}", profile_id="bob")])


async def sends(proof: asyncpg.Connection) -> list[str]:
    """The events that something was sent for, in the order of their ids."""
    rows = await proof.fetch("SELECT source_event_id FROM agent_task WHERE outcome = 'send' ORDER BY 1")
    return [row["source_event_id"] for row in rows]


async def test_a_failed_duplicate_does_not_release_the_hold_of_the_first(
    decisions: DecisionService,
    redis: RedisPool,
    database: DatabaseUrls,
    superuser: asyncpg.Connection,
    proof: asyncpg.Connection,
    tenant_a: UUID,
    shop: None,
) -> None:
    async with another_server(database.app_url, redis) as other:
        await prepare(decisions, tenant_a)
        await prepare(other, tenant_a)
        async with locked(database.superuser_url, "agent_task"):
            first = asyncio.create_task(first_answer(decisions, tenant_a, "order", 0))
            await waiting_for_locks(superuser, 1)
            of_first = await backends_in_lock_wait(superuser)
            again = asyncio.create_task(first_answer(other, tenant_a, "order", 0))
            await waiting_for_locks(superuser, 2)
            (of_second,) = await backends_in_lock_wait(superuser) - of_first
            await superuser.fetchval("SELECT pg_cancel_backend($1)", of_second)
            with pytest.raises(Unavailable):
                await again
            contender = asyncio.create_task(first_answer(other, tenant_a, "contender", 1))
            await waiting_for_locks(superuser, 2)
        assert await first is Reason.SELECTED
        assert await contender is Reason.COOLDOWN
    assert await sends(proof) == ["order"]


async def test_a_call_that_is_cancelled_in_its_commit_leaves_its_send_counted(
    decisions: DecisionService,
    superuser: asyncpg.Connection,
    proof: asyncpg.Connection,
    tenant_a: UUID,
    shop: None,
) -> None:
    await superuser.execute(
        """
        CREATE FUNCTION wait_in_commit() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END';
        CREATE CONSTRAINT TRIGGER in_commit AFTER INSERT ON agent_task DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.outcome = 'send') EXECUTE FUNCTION wait_in_commit();
        SELECT pg_advisory_lock(1);
        """
    )
    await prepare(decisions, tenant_a)
    call = asyncio.create_task(first_answer(decisions, tenant_a, "order", 0))
    await waiting_for_locks(superuser, 1)
    call.cancel()
    await superuser.execute("SELECT pg_advisory_unlock(1)")
    with suppress(asyncio.CancelledError):
        await call
    assert await first_answer(decisions, tenant_a, "contender", 1) is Reason.COOLDOWN
    assert await sends(proof) == ["order"]


async def test_a_commit_that_never_happened_is_done_again(
    decisions: DecisionService,
    superuser: asyncpg.Connection,
    proof: asyncpg.Connection,
    tenant_a: UUID,
    shop: None,
) -> None:
    await superuser.execute(
        """
        CREATE SEQUENCE fuse;
        CREATE FUNCTION end_backend() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
        'BEGIN IF nextval(''fuse'') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NULL; END';
        CREATE CONSTRAINT TRIGGER in_commit AFTER INSERT ON agent_task DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.outcome = 'send') EXECUTE FUNCTION end_backend();
        """
    )
    assert await first_answer(decisions, tenant_a, "order", 0) is Reason.SELECTED
    assert await superuser.fetchval("SELECT last_value FROM fuse") == 2
    assert await first_answer(decisions, tenant_a, "contender", 1) is Reason.COOLDOWN
    assert await sends(proof) == ["order"]


class CuttingProxy(ArmedProxy):
    """When armed, the next recording is passed on, and its answer is cut off.

    Args:
        cut_at: what tells it.
        stays_away: whether nobody gets through afterwards.
    """

    def __init__(self, url: str, *, cut_at: bytes = _TO_BE_RECORDED, stays_away: bool = False) -> None:
        super().__init__(url)
        self._cut_at = cut_at
        self._stays_away = stays_away
        self.cuts = 0

    async def _serve(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        if self.cuts and self._stays_away:
            answers.close()
            return
        await super()._serve(client, answers)

    async def _pass_on(
        self,
        data: bytes,
        requests: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        back: asyncio.Task[None],
    ) -> bool:
        requests.write(data)
        if not self.armed or self._cut_at not in data:
            return True
        self.armed = False
        self.cuts += 1
        back.cancel()
        # PostgreSQL answers once it has committed.
        await asyncio.gather(back, return_exceptions=True)
        await server.read(65_536)
        return False


async def test_a_commit_whose_answer_is_lost_is_found_and_answered(
    redis: RedisPool, database: DatabaseUrls, proof: asyncpg.Connection, tenant_a: UUID, shop: None
) -> None:
    proxy = CuttingProxy(database.app_url)
    async with another_server(await proxy.start(), redis) as service:
        await prepare(service, tenant_a)
        proxy.armed = True
        assert await first_answer(service, tenant_a, "order", 0) is Reason.SELECTED
        assert proxy.cuts == 1
        assert await first_answer(service, tenant_a, "contender", 1) is Reason.COOLDOWN
    await proxy.stop()
    assert await sends(proof) == ["order"]
    assert await proof.fetchval("SELECT count(*) FROM delivery_log") == 1


async def test_where_postgresql_stays_away_nobody_is_told_that_nothing_was_recorded(
    decisions: DecisionService,
    redis: RedisPool,
    database: DatabaseUrls,
    proof: asyncpg.Connection,
    tenant_a: UUID,
    shop: None,
) -> None:
    proxy = CuttingProxy(database.app_url, stays_away=True)
    async with another_server(await proxy.start(), redis, connections=1) as service:
        await prepare(service, tenant_a)
        proxy.armed = True
        with pytest.raises(CommitOutcomeUnknown):
            await first_answer(service, tenant_a, "order", 0)
    await proxy.stop()
    (again,) = await decisions.decide_batch(tenant_a, [purchase("order")])
    assert isinstance(again, DecisionRecord)
    assert (again.reason, again.duplicate) == (Reason.SELECTED, True)
    assert await sends(proof) == ["order"]


async def test_a_new_month_whose_commit_has_no_answer_is_made_again(
    redis: RedisPool, database: DatabaseUrls, proof: asyncpg.Connection, tenant_a: UUID, shop: None
) -> None:
    proxy = CuttingProxy(database.app_url, cut_at=_COMMIT)
    async with another_server(await proxy.start(), redis) as service:
        proxy.armed = True
        assert await first_answer(service, tenant_a, "order", 0) is Reason.SELECTED
        assert proxy.cuts == 1
    await proxy.stop()
    assert await proof.fetchval("SELECT count(*) FROM behavioral_events") == 1


async def test_what_is_recorded_stays_counted_when_a_duplicate_of_its_batch_can_not_be_looked_up(
    decisions: DecisionService,
    redis: RedisPool,
    database: DatabaseUrls,
    app: asyncpg.Connection,
    superuser: asyncpg.Connection,
    proof: asyncpg.Connection,
    tenant_a: UUID,
    shop: None,
) -> None:
    await add_profile(app, tenant_a, "eve")
    await prepare(decisions, tenant_a)
    async with (
        one_connection(database.app_url) as pool,
        running_decisions(database=pool, redis=redis, wake_up=SweepOnly()) as service,
    ):
        await prepare(service, tenant_a)
        async with locked(database.superuser_url, "agent_task"):
            first = asyncio.create_task(first_answer(decisions, tenant_a, "order", 0))
            await waiting_for_locks(superuser, 1)
            both = [purchase("order"), purchase("of-eve", profile_id="eve")]
            batch = asyncio.create_task(service.decide_batch(tenant_a, both))
            await waiting_for_locks(superuser, 2)
            taking = asyncio.create_task(take_the_connection(pool))
        assert await first is Reason.SELECTED
        with pytest.raises(Overloaded):
            await batch
        await taking
        await decisions.decide(tenant_a, purchase("contender", "eve", NOON + timedelta(days=1)))
    assert await sends(proof) == ["of-eve", "order"]


@asynccontextmanager
async def one_connection(url: str) -> AsyncIterator[Database]:
    """A pool of one, which is soon said to be in use."""
    pool = await Database.connect(
        url,
        minimum_connections=1,
        maximum_connections=1,
        application_name="test-narrow",
        timeouts=Timeouts(acquire_seconds=0.3),
    )
    yield pool
    await pool.close()


async def take_the_connection(pool: Database) -> None:
    """Take it when it becomes free, and keep it for longer than anybody waits."""
    while True:
        with suppress(Overloaded):
            async with pool.transaction() as connection:
                await connection.execute("SELECT pg_sleep(1)")
            return
