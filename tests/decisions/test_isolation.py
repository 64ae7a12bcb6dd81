"""One bad event fails alone, overlapping batches never deadlock, and who has gone is not worked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from uuid import UUID

import asyncpg
import pytest

from server.decisions.assembly import running_decisions
from server.decisions.intake import IncomingEvent
from server.decisions.model import DecisionRecord, Reason
from server.decisions.reservation.epochs import ReservationEpochs
from server.decisions.reservation.sets import RedisReservations, ReservationSettings
from server.decisions.service import DecisionService
from server.decisions.store import DecisionStore
from server.embedded.database_setup import DatabaseUrls
from server.errors import PreconditionFailed
from server.platform.postgres import Database
from server.platform.redis import RedisPool
from server.workers.wake_ups import SweepOnly
from tests.decisions.shop import DAY_SECONDS, NOON, add_campaign, add_marketing_event, add_profile, purchase
from tests.decisions.waiting import locked, waiting_for_locks

PROFILES = [f"p{number:02}" for number in range(40)]


@pytest.fixture
async def shop(app: asyncpg.Connection, tenant_a: UUID) -> None:
    """One marketing event with a cooldown of 30 days, and some customers."""
    await add_campaign(app, tenant_a, "loyalty")
    for profile_id in PROFILES:
        await add_profile(app, tenant_a, profile_id)
    await add_marketing_event(app, tenant_a, "loyalty", "thanks", cooldown_seconds=30 * DAY_SECONDS)


@pytest.fixture
async def another(database: DatabaseUrls, redis: RedisPool) -> AsyncIterator[DecisionService]:
    """Decide on another server."""
    pool = await Database.connect(
        database.app_url, minimum_connections=1, maximum_connections=8, application_name="test-another"
    )
    async with running_decisions(database=pool, redis=redis, wake_up=SweepOnly()) as service:
        yield service
    await pool.close()


def one_each(prefix: str = "order") -> list[IncomingEvent]:
    """A purchase of every customer."""
    return [purchase(f"{prefix}-{profile_id}", profile_id=profile_id) for profile_id in PROFILES]


def reasons(answers: Sequence[object]) -> list[Reason]:
    """The reasons of answers that are all decisions."""
    decided = [answer for answer in answers if isinstance(answer, DecisionRecord)]
    assert len(decided) == len(answers), answers
    return [answer.reason for answer in decided]


@pytest.fixture
async def crowd(superuser: asyncpg.Connection, tenant_a: UUID, shop: None) -> list[str]:
    """So many customers that a batch of theirs is as large as batches of single events get."""
    profile_ids = [f"c{number:03}" for number in range(500)]
    await superuser.execute(
        "INSERT INTO cdp_profiles (tenant_id, profile_id, primary_email) SELECT $1, id, id || '@example.com'"
        " FROM unnest($2::text[]) AS given (id)",
        tenant_a,
        profile_ids,
    )
    await superuser.execute(
        "INSERT INTO consent_management (tenant_id, profile_id, channel, status, legal_basis, source, granted_at)"
        " SELECT $1, id, 'email', 'granted', 'consent', 'test', $3 FROM unnest($2::text[]) AS given (id)",
        tenant_a,
        profile_ids,
        NOON,
    )
    return profile_ids


async def test_an_event_that_breaks_a_constraint_fails_alone_among_500(
    decisions: DecisionService,
    superuser: asyncpg.Connection,
    proof: asyncpg.Connection,
    tenant_a: UUID,
    crowd: list[str],
) -> None:
    await superuser.execute("ALTER TABLE agent_task ADD CONSTRAINT no_unlucky CHECK (profile_id <> 'c313')")
    batch = [purchase(f"order-{profile_id}", profile_id=profile_id) for profile_id in crowd]
    answers = await decisions.decide_batch(tenant_a, batch)
    refusal = answers.pop(313)
    assert isinstance(refusal, PreconditionFailed)
    assert refusal.reason == "RULE_VIOLATED"
    assert "no_unlucky" in refusal.message
    assert reasons(answers) == [Reason.SELECTED] * 499
    assert await proof.fetchval("SELECT count(*) FROM delivery_log") == 499
    assert await proof.fetchval("SELECT count(*) FROM behavioral_events") == 499
    again = [decisions.decide(tenant_a, purchase(f"again-{each}", profile_id=each)) for each in crowd[:13]]
    assert reasons(await asyncio.gather(*again)) == [Reason.COOLDOWN] * 13
    await superuser.execute("ALTER TABLE agent_task DROP CONSTRAINT no_unlucky")
    assert reasons(await decisions.decide_batch(tenant_a, [batch[313]])) == [Reason.SELECTED]


async def test_a_consent_that_is_withdrawn_meanwhile_stops_its_send_alone(
    decisions: DecisionService,
    app: asyncpg.Connection,
    superuser: asyncpg.Connection,
    database: DatabaseUrls,
    proof: asyncpg.Connection,
    tenant_a: UUID,
    shop: None,
) -> None:
    await decisions.decide(tenant_a, purchase("prepare", profile_id="nobody"))
    async with locked(database.superuser_url, "agent_task"):
        call = asyncio.create_task(decisions.decide_batch(tenant_a, one_each()))
        await waiting_for_locks(superuser, 1)
        async with app.transaction():
            await app.execute("SELECT set_config('app.current_tenant_id', $1, true)", str(tenant_a))
            await app.execute(
                "UPDATE consent_management SET status = 'withdrawn', withdrawn_at = now() WHERE profile_id = 'p07'"
            )
    found = reasons(await call)
    assert found.pop(7) is Reason.NO_CONSENT
    assert found == [Reason.SELECTED] * 39
    assert await proof.fetchval("SELECT count(*) FROM delivery_log WHERE profile_id = 'p07'") == 0


@pytest.mark.parametrize("redis_decides", [True, False], ids=["Redis", "PostgreSQL"])
async def test_overlapping_batches_in_opposite_order_never_deadlock(
    decisions: DecisionService,
    another: DecisionService,
    server_database: Database,
    redis: RedisPool,
    proof: asyncpg.Connection,
    tenant_a: UUID,
    shop: None,
    redis_decides: bool,
) -> None:
    if not redis_decides:
        await fall_back(server_database, redis)
    batches = [one_each(f"round-{number}") for number in range(12)]
    calls = []
    for events in batches:
        calls += [decisions.decide_batch(tenant_a, events), another.decide_batch(tenant_a, events[::-1])]
        calls += [
            another.decide_batch(tenant_a, events[10:]),
            decisions.decide_batch(tenant_a, events[30::-1]),
        ]
    for answers in await asyncio.gather(*calls):
        reasons(answers)
    assert await proof.fetchval("SELECT count(*) FROM agent_task WHERE task_type = 'execute'") == 12 * 40
    assert await proof.fetchval("SELECT count(*) FROM delivery_log") == 40


async def fall_back(database: Database, redis: RedisPool) -> None:
    """Let PostgreSQL reserve. Servers go back to Redis within a second or so: either way must be right."""
    store = DecisionStore()
    epochs = ReservationEpochs(
        database=database, store=store, reservations=RedisReservations(redis, ReservationSettings())
    )
    async with database.transaction() as connection:
        epoch = await store.current_epoch(connection)
    await epochs.fall_back(epoch)


async def test_a_caller_that_gave_up_is_not_worked_on(
    decisions: DecisionService,
    superuser: asyncpg.Connection,
    database: DatabaseUrls,
    proof: asyncpg.Connection,
    tenant_a: UUID,
    shop: None,
) -> None:
    await decisions.decide(tenant_a, purchase("prepare", profile_id="nobody"))
    async with locked(database.superuser_url, "agent_task"):
        # One lane for single events and three for batches: all of them taken, each by a batch of its own.
        taken = asyncio.create_task(decisions.decide(tenant_a, purchase("lane")))
        await waiting_for_locks(superuser, 1)
        batches = []
        for place in range(3):
            batch = [purchase(f"place-{place}")]
            batches.append(asyncio.create_task(decisions.decide_batch(tenant_a, batch)))
            await waiting_for_locks(superuser, 2 + place)
        gone: list[asyncio.Task[object]] = [
            asyncio.create_task(decisions.decide(tenant_a, purchase("gone-one"))),
            asyncio.create_task(decisions.decide_batch(tenant_a, [purchase("gone-two")])),
        ]
        stays = asyncio.create_task(decisions.decide(tenant_a, purchase("stays")))
        await asyncio.sleep(0)
        for call in gone:
            call.cancel()
            with suppress(asyncio.CancelledError):
                await call
    await asyncio.gather(taken, *batches, stays)
    await decisions.decide_batch(tenant_a, [purchase("last")])
    rows = await proof.fetch("SELECT source_event_id FROM agent_task WHERE task_type = 'execute'")
    assert {row["source_event_id"] for row in rows} == {
        *("prepare", "lane", "place-0", "place-1", "place-2", "stays", "last")
    }
