"""What two server processes do to the same rows: in opposite order, late, or with another body under one id."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta

import asyncpg
import grpc
import pytest
from leo.activation.v1 import decision_service_pb2 as wire
from leo.activation.v1 import decision_service_pb2_grpc
from leo_client.errors import AlreadyExists

from server.decisions.reservation.epochs import redis_reserves
from server.embedded.redis_server import RedisServer
from tests.decisions.processes import ServingProcess, event, purchases
from tests.decisions.shop import DAY_SECONDS, NOON, add_campaign, add_marketing_event, add_profile
from tests.fixtures.server import bearer
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor

Decide = Callable[[Sequence[wire.Event]], Awaitable[list[wire.Decision]]]
PROFILES = [f"p{number:02}" for number in range(40)]
ROUNDS = 20
RESERVING = pytest.mark.parametrize("redis_decides", [True, False], ids=["Redis", "PostgreSQL"])


@pytest.fixture
async def shop(app: asyncpg.Connection, tenant_a: Tenant) -> None:
    """Thanks at most once a day, and of the campaign at most two messages in three days."""
    cap = {"window_seconds": 3 * DAY_SECONDS, "maximum": 2, "channel": "email"}
    await add_campaign(app, tenant_a, "loyalty", frequency_caps=[cap])
    await add_marketing_event(app, tenant_a, "loyalty", "thanks", cooldown_seconds=DAY_SECONDS)
    for profile_id in PROFILES:
        await add_profile(app, tenant_a, profile_id)


async def epoch_of(app: asyncpg.Connection) -> int:
    """The reservation epoch in force."""
    epoch: int = await app.fetchval("SELECT last_value FROM reservation_epoch")
    return epoch


@pytest.fixture
async def writers(
    servers: tuple[ServingProcess, ServingProcess], token_for: TokenFor, tenant_a: Tenant
) -> AsyncIterator[tuple[Decide, Decide]]:
    """DecideBatch of either server, without the client's own repetition: a failure shows."""
    metadata = bearer(token_for(tenant_a, ["decisions.write"]))
    async with AsyncExitStack() as stack:

        async def writer(server: ServingProcess) -> Decide:
            options = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(server.address, options))
            stub = decision_service_pb2_grpc.DecisionServiceStub(channel)

            async def decide(events: Sequence[wire.Event]) -> list[wire.Decision]:
                answer = await stub.DecideBatch(wire.DecideBatchRequest(events=events), metadata=metadata)
                assert all(result.HasField("decision") for result in answer.results), answer
                return [result.decision for result in answer.results]

            return decide

        first, second = servers
        yield await writer(first), await writer(second)


@RESERVING
async def test_batches_in_opposite_order_over_both_servers_never_deadlock(
    servers: tuple[ServingProcess, ServingProcess],
    writers: tuple[Decide, Decide],
    own_redis: RedisServer,
    shop: None,
    app: asyncpg.Connection,
    proof: asyncpg.Connection,
    redis_decides: bool,
) -> None:
    if not redis_decides:
        own_redis.stop()
    assert servers[0].pid != servers[1].pid
    first, second = writers
    fresh = [0, 0]
    for number in range(ROUNDS):
        at = NOON + number * timedelta(hours=7)
        events = [event(f"{number}-{profile_id}", profile_id, at) for profile_id in PROFILES]
        answers = await asyncio.gather(
            *(first(events), second(events[::-1]), first(events[10:]), second(events[30::-1]))
        )
        for position, answered in enumerate(answers):
            fresh[position % 2] += sum(not decision.duplicate for decision in answered)
        assert len({text_of(decision) for answered in answers for decision in answered}) == len(events)
    assert all(fresh), "both servers were the first to decide something"
    assert sum(fresh) == ROUNDS * len(PROFILES)
    assert await proof.fetchval(
        "SELECT count(*) FROM agent_task WHERE task_type = 'execute'"
    ) == ROUNDS * len(PROFILES)
    assert redis_reserves(await epoch_of(app)) is redis_decides
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    assert await proof.fetchval(deadlocks) == 0


def text_of(decision: wire.Decision) -> bytes:
    """The answer but for whether it is the first one."""
    decision.duplicate = False
    return decision.SerializeToString(deterministic=True)


@RESERVING
async def test_a_late_event_keeps_its_distance_to_what_came_before_and_after_it(
    servers: tuple[ServingProcess, ServingProcess],
    own_redis: RedisServer,
    shop: None,
    app: asyncpg.Connection,
    redis_decides: bool,
) -> None:
    """At most one a day and two in three days, whatever the order in which events arrive."""
    if not redis_decides:
        own_redis.stop()
    day, second = timedelta(days=1), timedelta(seconds=1)
    sent, cooldown, capped = (
        *(wire.DECISION_REASON_SELECTED, wire.DECISION_REASON_COOLDOWN, wire.DECISION_REASON_CAPPED),
    )
    arriving = (
        (10 * day, sent),
        (9 * day + second, cooldown),  # it came before, and is closer than a day to what was sent
        (9 * day, sent),  # exactly a day is far enough
        (7 * day + second, capped),  # it would be the first of three within three days
        (7 * day, sent),
        (-300 * day, sent),  # long before anything that Redis keeps
        (-300 * day + second, cooldown),
        (10 * day - second, cooldown),
    )
    for position, (at, expected) in enumerate(arriving):
        (event,) = purchases("p00", [NOON + at], prefix=f"{position}-")
        assert (await servers[position % 2].decide(event)).reason == expected, at
    assert all(server.fresh for server in servers)
    assert redis_reserves(await epoch_of(app)) is redis_decides


async def test_of_two_bodies_at_the_same_moment_one_is_decided_and_the_other_is_told_so(
    servers: tuple[ServingProcess, ServingProcess], shop: None, proof: asyncpg.Connection
) -> None:
    refused = 0
    for number in range(40):
        bodies = [purchases("p00", [NOON + timedelta(hours=hour)], f"{number}-")[0] for hour in (1, 2)]
        answers = await asyncio.gather(
            *(server.decide(body) for server, body in zip(servers, bodies, strict=True)),
            return_exceptions=True,
        )
        (refusal,) = [answer for answer in answers if isinstance(answer, AlreadyExists)]
        (decision,) = [answer for answer in answers if isinstance(answer, wire.Decision)]
        stored = await proof.fetchrow("SELECT * FROM agent_task WHERE task_id = $1", decision.task_id)
        assert stored is not None
        assert refusal.reason == "EVENT_BODY_CHANGED"
        assert refusal.metadata["first_input_sha256"] == stored["input_sha256"]
        assert stored["occurred_at"] == NOON + timedelta(hours=2 if answers[0] is refusal else 1)
        refused += answers[0] is refusal
    assert 0 < refused < 40, "either server came first at times"
