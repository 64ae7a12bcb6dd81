"""Two server processes on one database and one Redis: limits hold, whatever happens to Redis meanwhile."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import asyncpg
import pytest
from leo.activation.v1 import decision_service_pb2 as wire

from server.decisions.reservation.epochs import redis_reserves
from server.embedded.database_setup import DatabaseUrls
from server.embedded.redis_server import RedisServer
from tests.decisions.processes import ServingProcess, at_half, purchases, started
from tests.decisions.redis_faults import FORGETTING
from tests.decisions.shop import DAY_SECONDS, NOON, add_campaign, add_marketing_event, add_profile
from tests.decisions.waiting import locked, until, waiting_for_locks
from tests.fixtures.tenants import Tenant

COOLDOWN = timedelta(days=1)
# Within any so many days of event time at most so many sends: of the campaign, of the tenant.
CAPS = ((timedelta(days=3), 2), (timedelta(days=7), 4))
_SEED = 20_260_302


@pytest.fixture
async def shop(app: asyncpg.Connection, tenant_a: Tenant, database: object) -> None:
    """Thanks at most once a day, the campaign and the tenant with caps."""
    (days, most), (week, most_a_week) = CAPS
    caps = [{"window_seconds": int(days.total_seconds()), "maximum": most, "channel": "email"}]
    await add_campaign(
        app,
        tenant_a,
        "loyalty",
        frequency_caps=[*caps, {"window_seconds": int(week.total_seconds()), "maximum": most_a_week}],
    )
    await add_profile(app, tenant_a, "ann")
    await add_profile(app, tenant_a, "bob")
    await add_marketing_event(app, tenant_a, "loyalty", "thanks", cooldown_seconds=DAY_SECONDS)


def moments(count: int, *, shuffled: bool) -> list[datetime]:
    """Moments of 40 days, in order or not."""
    chance = random.Random(_SEED)
    found = [
        NOON + timedelta(microseconds=chance.randrange(40 * DAY_SECONDS * 1_000_000)) for _ in range(count)
    ]
    return found if shuffled else sorted(found)


def fits(sent: Sequence[datetime]) -> bool:
    """Whether these sends keep all limits: looked at one by one, as a person would."""
    limits = ((COOLDOWN, 1), *CAPS)
    return all(
        sum(start <= other < start + window for other in sent) <= most
        for start in sent
        for window, most in limits
    )


async def sent_to(proof: asyncpg.Connection, profile_id: str = "ann") -> list[datetime]:
    """Event times of the sends to a profile."""
    rows = await proof.fetch(
        "SELECT occurred_at FROM agent_task WHERE profile_id = $1 AND outcome = 'send' ORDER BY 1", profile_id
    )
    return [row["occurred_at"] for row in rows]


async def epoch_of(app: asyncpg.Connection) -> int:
    """The reservation epoch in force."""
    epoch: int = await app.fetchval("SELECT last_value FROM reservation_epoch")
    return epoch


async def assert_sound(proof: asyncpg.Connection, servers: Sequence[ServingProcess], events: int) -> None:
    """Every event was decided once, by two processes, and no limit is broken; the database says so itself."""
    assert len({server.pid for server in servers}) == len(servers) == 2
    assert all(server.fresh for server in servers)
    decided = [source_event_id for server in servers for source_event_id in server.fresh]
    rows = await proof.fetch("SELECT source_event_id FROM agent_task WHERE task_type = 'execute'")
    assert sorted(row["source_event_id"] for row in rows) == sorted({*decided})
    assert len(rows) == events
    closest = await proof.fetchval(
        """
        SELECT min(gap) FROM (
            SELECT occurred_at - lag(occurred_at) OVER (ORDER BY occurred_at) AS gap
            FROM agent_task WHERE profile_id = 'ann' AND outcome = 'send'
        ) AS gaps
        """
    )
    assert closest >= COOLDOWN
    assert fits(await sent_to(proof))
    queued = "SELECT count(*) FROM delivery_log WHERE delivery_status = 'queued' AND profile_id = 'ann'"
    assert await proof.fetchval(queued) == len(await sent_to(proof))


@pytest.mark.parametrize("shuffled", [False, True], ids=["in order", "out of order"])
async def test_exactly_what_the_limits_allow_is_sent(
    servers: tuple[ServingProcess, ServingProcess], shop: None, proof: asyncpg.Connection, shuffled: bool
) -> None:
    events = purchases("ann", moments(1_000, shuffled=shuffled))
    first, second = servers
    await asyncio.gather(first.decide_all(events[::2]), second.decide_all(events[1::2]))
    await assert_sound(proof, servers, 1_000)
    sent = await sent_to(proof)
    kept_back = [event.occurred_at.ToDatetime(NOON.tzinfo) for event in events]
    assert not [at for at in kept_back if at not in sent and fits([*sent, at])], "more could have been sent"


async def test_duplicates_over_both_servers_are_one_row_and_one_answer(
    servers: tuple[ServingProcess, ServingProcess], shop: None, proof: asyncpg.Connection
) -> None:
    events = purchases("ann", moments(300, shuffled=True))
    first, second = servers
    own = [purchases("bob", [NOON], prefix=name) for name in ("first-", "second-")]
    answers = await asyncio.gather(
        first.decide_all([*own[0], *events]), second.decide_all([*own[1], *events[::-1]])
    )
    by_event: dict[str, list[wire.Decision]] = {}
    for decision in (decision for answer in answers for decision in answer):
        by_event.setdefault(decision.source_event_id, []).append(decision)
    for event in events:
        one, other = by_event[event.source_event_id]
        assert one.duplicate != other.duplicate
        one.duplicate = other.duplicate = False
        assert one == other
    await assert_sound(proof, servers, 302)


@pytest.mark.parametrize("fault", FORGETTING)
async def test_no_limit_is_broken_when_redis_forgets(
    servers: tuple[ServingProcess, ServingProcess],
    own_redis: RedisServer,
    shop: None,
    app: asyncpg.Connection,
    proof: asyncpg.Connection,
    fault: str,
) -> None:
    before = await epoch_of(app)
    calls = started(servers, purchases("ann", moments(1_000, shuffled=True)))
    await at_half(calls, lambda: FORGETTING[fault](own_redis))
    await asyncio.gather(*calls)
    await assert_sound(proof, servers, 1_000)
    assert await epoch_of(app) > before
    await until_redis_reserves(app)


@pytest.mark.parametrize("waits_for", ["its commit", "its epoch"])
@pytest.mark.parametrize("fault", FORGETTING)
async def test_a_send_under_way_counts_though_the_other_server_notices_first(
    servers: tuple[ServingProcess, ServingProcess],
    own_redis: RedisServer,
    shop: None,
    app: asyncpg.Connection,
    proof: asyncpg.Connection,
    superuser: asyncpg.Connection,
    database: DatabaseUrls,
    fault: str,
    waits_for: str,
) -> None:
    """Redis forgets what one server has reserved and not yet committed, and the other server is told so first."""
    noticing, committing = servers
    await asyncio.gather(noticing.decide_all(nobody("a")), committing.decide_all(nobody("b")))
    before = await epoch_of(app)
    held = (
        locked(database.superuser_url, "agent_task")
        if waits_for == "its commit"
        else no_recorders(database.superuser_url)
    )
    async with held:
        (committed,) = started([committing], purchases("ann", [NOON], prefix="committed"))
        await waiting_for_locks(superuser, 1)
        await asyncio.to_thread(FORGETTING[fault], own_redis)
        (noticed,) = started([noticing], purchases("ann", [NOON + timedelta(hours=1)], prefix="noticed"))
        await waiting_for_locks(superuser, 2)
        assert not await sent_to(proof)
    answers = await asyncio.gather(committed, noticed)
    assert sorted(answer.outcome for answer in answers) == [
        wire.DECISION_OUTCOME_SEND,
        wire.DECISION_OUTCOME_SUPPRESSED,
    ]
    later = await committing.decide_all(purchases("ann", [NOON + timedelta(hours=2)], prefix="later"))
    assert [answer.reason for answer in later] == [wire.DECISION_REASON_COOLDOWN]
    assert len(await sent_to(proof)) == 1
    assert await epoch_of(app) > before
    await until_redis_reserves(app)


def nobody(prefix: str) -> list[wire.Event]:
    """An event that lets a server meet the definitions and the month, and sends nothing."""
    return purchases("nobody", [NOON], prefix=prefix)


@asynccontextmanager
async def no_recorders(url: str) -> AsyncIterator[None]:
    """Nobody records under any epoch while the block runs."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute("SELECT wait_for_recorders()")
            yield
    finally:
        await connection.close()


async def test_decisions_go_on_without_redis_and_it_heals(
    servers: tuple[ServingProcess, ServingProcess],
    own_redis: RedisServer,
    shop: None,
    app: asyncpg.Connection,
    proof: asyncpg.Connection,
) -> None:
    events = purchases("ann", moments(1_000, shuffled=True))
    calls = started(servers, events[:400])
    await at_half(calls, own_redis.stop)
    await asyncio.gather(*calls)
    await asyncio.gather(*started(servers, events[400:600]))
    assert not redis_reserves(await epoch_of(app))
    assert {"redis_reserves": False} in changes_of_epoch(servers)
    own_redis.start()
    await until_redis_reserves(app)
    await asyncio.gather(*started(servers, events[600:]))
    await assert_sound(proof, servers, 1_000)


async def until_redis_reserves(app: asyncpg.Connection) -> None:
    """Return once the servers have gone back to Redis."""

    async def healed() -> bool:
        return redis_reserves(await epoch_of(app))

    await until(healed)


def changes_of_epoch(servers: Sequence[ServingProcess]) -> list[dict[str, object]]:
    """What the servers have logged of changes: who reserves from then on."""
    return [
        {"redis_reserves": entry["redis_reserves"]}
        for server in servers
        for entry in server.log
        if entry["event"] == "reservation_epoch_changed"
    ]
