"""Who reserves: Redis, PostgreSQL, and Redis again, and nothing is sent twice on the way."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from server.decisions.model import DecisionRecord, Reason
from server.decisions.reservation.epochs import ReservationEpochs
from server.decisions.reservation.sets import RedisReservations, ReservationSettings
from server.decisions.service import DecisionService
from server.decisions.store import DecisionStore
from server.platform.postgres import Database
from server.platform.redis import RedisPool
from tests.decisions.shop import DAY_SECONDS, NOON, add_campaign, add_marketing_event, add_profile, purchase


@pytest.fixture
async def shop(app: asyncpg.Connection, tenant_a: UUID) -> None:
    """One marketing event with a cooldown of 30 days."""
    await add_campaign(app, tenant_a, "loyalty")
    await add_profile(app, tenant_a, "ann")
    await add_marketing_event(app, tenant_a, "loyalty", "thanks", cooldown_seconds=30 * DAY_SECONDS)


async def decided(service: DecisionService, tenant_id: UUID, *days: int, prefix: str = "") -> list[Reason]:
    """Decide a purchase on each of these days, as one batch."""
    events = [purchase(f"{prefix}{day}", occurred_at=NOON + timedelta(days=day)) for day in days]
    answers = await service.decide_batch(tenant_id, events)
    return [answer.reason for answer in answers if isinstance(answer, DecisionRecord)]


async def test_an_emptied_redis_violates_no_cooldown(
    decisions: DecisionService, tenant_a: UUID, shop: None, redis: RedisPool
) -> None:
    assert await decided(decisions, tenant_a, 0) == [Reason.SELECTED]
    await redis.command("FLUSHALL")
    assert await decided(decisions, tenant_a, 29, 30, 31) == [
        Reason.COOLDOWN,
        Reason.SELECTED,
        Reason.COOLDOWN,
    ]


async def test_postgresql_decides_as_redis_does(
    decisions: DecisionService, server_database: Database, redis: RedisPool, tenant_a: UUID, shop: None
) -> None:
    store = DecisionStore()
    epochs = ReservationEpochs(
        database=server_database, store=store, reservations=RedisReservations(redis, ReservationSettings())
    )
    async with server_database.transaction() as connection:
        epoch = await store.current_epoch(connection)
    assert await decided(decisions, tenant_a, 0) == [Reason.SELECTED]
    await epochs.fall_back(epoch)
    assert await decided(decisions, tenant_a, 29, 30, 31, -29, -30) == [
        Reason.COOLDOWN,
        Reason.SELECTED,
        Reason.COOLDOWN,
        Reason.COOLDOWN,
        Reason.SELECTED,
    ]
    await epochs.heal()
    assert await decided(decisions, tenant_a, 59, 60) == [Reason.COOLDOWN, Reason.SELECTED]
