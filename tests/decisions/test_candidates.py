"""Several candidates: who wins, what the losers are told, and that a failed winner gives its place back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count
from uuid import UUID

import asyncpg
import pytest

from server.decisions.assembly import running_decisions
from server.decisions.model import DecisionRecord, Reason
from server.decisions.reservation.sets import ReservationSettings
from server.decisions.service import DecisionService
from server.errors import PreconditionFailed
from server.platform.postgres import Database
from server.platform.redis import RedisPool
from server.workers.wake_ups import SweepOnly
from tests.decisions.shop import DAY_SECONDS, add_campaign, add_marketing_event, add_profile, purchase
from tests.decisions.waiting import until

_FOR_EVER_MS = 3_600_000


@pytest.fixture
async def patient(server_database: Database, redis: RedisPool) -> AsyncIterator[DecisionService]:
    """Decide, where no lease ends while a test runs."""
    settings = ReservationSettings(lease_ms=_FOR_EVER_MS)
    async with running_decisions(
        database=server_database, redis=redis, wake_up=SweepOnly(), reservation=settings
    ) as service:
        yield service


@pytest.fixture
async def shop(app: asyncpg.Connection, tenant_a: UUID) -> list[str]:
    """The best candidate has a cooldown; of the two equal ones, the name of the one with the smaller id first."""
    await add_campaign(app, tenant_a, "loyalty")
    await add_profile(app, tenant_a, "ann")
    await add_marketing_event(app, tenant_a, "loyalty", "best", priority=5, cooldown_seconds=DAY_SECONDS)
    ids = {
        await add_marketing_event(app, tenant_a, "loyalty", name, priority=1, cooldown_seconds=60): name
        for name in ("one", "two")
    }
    return [ids[identity] for identity in sorted(ids)]


async def told(service: DecisionService, tenant_id: UUID, source_event_id: str) -> dict[str, str]:
    """What each candidate of a purchase got, best first."""
    record = await service.decide(tenant_id, purchase(source_event_id))
    return {candidate.event_name: candidate.reason for candidate in record.candidates}


async def test_priority_then_the_smaller_id_and_the_losers_know(
    decisions: DecisionService, tenant_a: UUID, shop: list[str]
) -> None:
    smaller, larger = shop
    expected: list[tuple[str, str, str]] = [
        ("SELECTED", "LOST_TO", "LOST_TO"),
        ("COOLDOWN", "SELECTED", "LOST_TO"),
        ("COOLDOWN", "COOLDOWN", "SELECTED"),
        ("COOLDOWN", "COOLDOWN", "COOLDOWN"),
    ]
    for number, (best, first, second) in enumerate(expected):
        found = await told(decisions, tenant_a, f"order-{number}")
        assert list(found.items()) == [("best", best), (smaller, first), (larger, second)]


async def test_what_could_not_be_recorded_is_released(
    patient: DecisionService, tenant_a: UUID, shop: list[str], superuser: asyncpg.Connection
) -> None:
    await superuser.execute("ALTER TABLE agent_task ADD CONSTRAINT no_luck CHECK (source_event_id <> 'bad')")
    with pytest.raises(PreconditionFailed):
        await patient.decide(tenant_a, purchase("bad"))
    numbers = count()

    async def is_free() -> bool:
        record = await patient.decide(tenant_a, purchase(f"later-{next(numbers)}"))
        assert isinstance(record, DecisionRecord)
        return record.candidates[0].reason == Reason.SELECTED

    await until(is_free)
