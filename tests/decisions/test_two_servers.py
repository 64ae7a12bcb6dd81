"""Two server processes on one database and one Redis: limits hold, whatever happens to Redis meanwhile."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
import redis as sync_redis
from leo.activation.v1 import decision_service_pb2 as wire

from server.config import ServerSettings
from server.decisions.epochs import redis_reserves
from server.embedded.account import server_account
from server.embedded.redis_server import RedisServer
from server.embedded.state import StateDirectory
from tests.decisions.processes import ServingProcess, at_half, purchases, serving
from tests.decisions.shop import DAY_SECONDS, NOON, add_campaign, add_marketing_event, add_profile
from tests.decisions.waiting import until
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor

SCOPES = ["decisions.read", "decisions.write"]
COOLDOWN = timedelta(days=1)
# Within any so many days of event time at most so many sends: of the campaign, of the tenant.
CAPS = ((timedelta(days=3), 2), (timedelta(days=7), 4))
_SEED = 20_260_302


@pytest.fixture
def own_redis(worker_directory: Path) -> Iterator[RedisServer]:
    """A Redis that a test may kill; it comes back on the same port, empty."""
    account = server_account()
    state = StateDirectory(worker_directory / f"redis-{uuid4().hex[:8]}", account)
    state.open()
    server = RedisServer(
        state=state, account=account, name="redis", password=uuid4().hex, variable="LEO_REDIS_URL"
    )
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def servers(
    settings: ServerSettings, own_redis: RedisServer, token_for: TokenFor, tenant_a: Tenant
) -> AsyncIterator[tuple[ServingProcess, ServingProcess]]:
    """Two servers of one tenant."""
    shared = ServerSettings.model_validate({**settings.model_dump(), "redis_url": own_redis.url})
    token = token_for(tenant_a, SCOPES)
    async with AsyncExitStack() as stack:
        first, second = await asyncio.gather(
            *(stack.enter_async_context(serving(shared, token)) for _ in range(2))
        )
        yield first, second


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


def flush(server: RedisServer) -> None:
    """Empty Redis."""
    with sync_redis.Redis.from_url(server.url) as client:
        client.flushall()


def crash(server: RedisServer) -> None:
    """Kill Redis, and start it again, empty."""
    server.kill()
    server.start()


FAULTS: dict[str, Callable[[RedisServer], None]] = {"FLUSHALL": flush, "killed and restarted": crash}


@pytest.mark.parametrize("fault", FAULTS)
async def test_no_limit_is_broken_when_redis_forgets(
    servers: tuple[ServingProcess, ServingProcess],
    own_redis: RedisServer,
    shop: None,
    app: asyncpg.Connection,
    proof: asyncpg.Connection,
    fault: str,
) -> None:
    before = await epoch_of(app)
    calls = await started(servers, purchases("ann", moments(1_000, shuffled=True)))
    await at_half(calls, lambda: FAULTS[fault](own_redis))
    await asyncio.gather(*calls)
    await assert_sound(proof, servers, 1_000)
    assert await epoch_of(app) > before
    await until_redis_reserves(app)


async def test_decisions_go_on_without_redis_and_it_heals(
    servers: tuple[ServingProcess, ServingProcess],
    own_redis: RedisServer,
    shop: None,
    app: asyncpg.Connection,
    proof: asyncpg.Connection,
) -> None:
    events = purchases("ann", moments(1_000, shuffled=True))
    calls = await started(servers, events[:400])
    await at_half(calls, own_redis.stop)
    await asyncio.gather(*calls)
    await asyncio.gather(*await started(servers, events[400:600]))
    assert not redis_reserves(await epoch_of(app))
    own_redis.start()
    await until_redis_reserves(app)
    await asyncio.gather(*await started(servers, events[600:]))
    await assert_sound(proof, servers, 1_000)


async def started(
    servers: Sequence[ServingProcess], events: Sequence[wire.Event]
) -> list[asyncio.Task[wire.Decision]]:
    """Calls for all events, shared by the servers; 64 at once for each."""
    gates = [asyncio.Semaphore(64) for _ in servers]

    async def call(position: int, event: wire.Event) -> wire.Decision:
        async with gates[position % len(servers)]:
            return await servers[position % len(servers)].decide(event)

    return [asyncio.create_task(call(position, event)) for position, event in enumerate(events)]


async def until_redis_reserves(app: asyncpg.Connection) -> None:
    """Return once the servers have gone back to Redis."""

    async def healed() -> bool:
        return redis_reserves(await epoch_of(app))

    await until(healed)
