"""Wake-ups: few, never in the way, and no loss when they are lost."""

from __future__ import annotations

import json
from datetime import date

import redis

from server.workers.broker import celery_app
from server.workers.routes import CeleryQueue, TaskName, celery_queue_of, wake_up_of
from server.workers.schedule import entries
from server.workers.upkeep import months_from
from server.workers.wake_ups import WakeUps
from tests.workers.conftest import until


async def test_many_wishes_are_few_messages(broker_url: str) -> None:
    wake_ups = WakeUps(celery_app(broker_url))
    for _ in range(1_000):
        await wake_ups.notify("email")
    await wake_ups.notify("push")
    await wake_ups.close()

    with redis.Redis.from_url(broker_url) as broker:
        default = broker.lrange(CeleryQueue.DEFAULT, 0, -1)
        urgent = broker.lrange(CeleryQueue.PRIORITY_HIGH, 0, -1)
    assert isinstance(default, list)
    assert isinstance(urgent, list)
    assert [json.loads(message)["headers"]["argsrepr"] for message in default] == ["('email',)"]
    assert [json.loads(message)["headers"]["task"] for message in urgent] == [TaskName.DELIVER]


async def test_a_wish_during_publishing_is_published_as_well(broker_url: str) -> None:
    wake_ups = WakeUps(celery_app(broker_url))
    with redis.Redis.from_url(broker_url) as broker:

        async def one_more() -> bool:
            await wake_ups.notify("email")
            return int(broker.llen(CeleryQueue.DEFAULT)) >= 3

        await until(one_more)
    await wake_ups.close()


async def test_a_broker_that_is_away_is_no_error() -> None:
    wake_ups = WakeUps(celery_app("redis://127.0.0.1:1/0"))

    await wake_ups.notify("email")
    await wake_ups.close()


def test_urgent_channels_have_a_queue_of_their_own() -> None:
    assert celery_queue_of("push") is CeleryQueue.PRIORITY_HIGH
    assert celery_queue_of("telegram") is CeleryQueue.PRIORITY_HIGH
    assert celery_queue_of("email") is CeleryQueue.DEFAULT
    assert wake_up_of("dispatch") == (TaskName.CARRY_OUT_PLANS, ())
    assert wake_up_of("email") == (TaskName.DELIVER, ("email",))


def test_the_schedule_drops_what_waited_too_long() -> None:
    for name, entry in entries().items():
        elsewhere = {
            TaskName.RENEW_TOKENS: CeleryQueue.SYNC,
            TaskName.SYNC_SOURCES: CeleryQueue.SYNC,
            TaskName.EMBED: CeleryQueue.AI,
        }
        assert entry["options"]["queue"] == elsewhere.get(TaskName(name), CeleryQueue.MAINTENANCE)
        assert entry["options"]["expires"] >= entry["schedule"].total_seconds()


def test_months_cross_the_year() -> None:
    assert months_from(date(2026, 11, 21), 3) == [
        date(2026, 11, 1),
        date(2026, 12, 1),
        date(2027, 1, 1),
        date(2027, 2, 1),
    ]
