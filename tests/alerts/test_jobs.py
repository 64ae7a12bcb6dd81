"""What a worker does with firings whose server could not decide them."""

from __future__ import annotations

import asyncpg
import pytest

from server.alerts.firing_store import FiringStore
from server.alerts.jobs import AlertJobs
from server.alerts.store import AlertStore
from server.decisions.assembly import running_decisions
from server.embedded.database_setup import DatabaseUrls
from server.platform.ids import key_id
from server.platform.postgres import Database
from server.platform.redis import RedisPool
from server.workers.routes import TaskName, wake_up_of
from server.workers.wake_ups import SweepOnly
from tests.decisions.shop import add_profile
from tests.fixtures.tenants import Tenant

_RULE = """
    insert into alert_rules (tenant_id, rule_id, profile_id, symbol, condition_logic, source)
    values ($1, $2, 'ann', 'AAPL', '{"operator": "above", "direction": "up", "price_nanos": 5}', 'USER_MANUAL')
"""
_FIRE = """
    select task_id from fire_alert_rules(
        array[$1::uuid], array[$2::text], array[1::bigint], array[7::bigint], array[3::bigint], array[now()],
        array[false], array[null::jsonb], '0'
    )
"""
RULE_ID = "ab" * 32


async def test_a_firing_that_nobody_decided_is_decided_once_by_the_workers(
    database: DatabaseUrls,
    redis_url: str,
    app: asyncpg.Connection,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
) -> None:
    await add_profile(app, tenant_a, "ann")
    await proof.execute(_RULE, tenant_a, RULE_ID)
    assert await app.fetchval(_FIRE, tenant_a, RULE_ID) == key_id("alert_firing", tenant_a, RULE_ID, "1")
    assert await app.fetchval(_FIRE, tenant_a, RULE_ID) is None, "a generation is claimed once"
    pool = await Database.connect(
        database.worker_url, minimum_connections=1, maximum_connections=4, application_name="test"
    )
    redis = await RedisPool.connect(redis_url, client_name="test")
    async with running_decisions(database=pool, redis=redis, wake_up=SweepOnly()) as decisions:
        jobs = AlertJobs(
            database=pool,
            store=AlertStore(),
            firings=FiringStore(),
            decider=decisions,
            lease_seconds=60,
            worker="test",
        )
        await jobs.decide_firings()
        await jobs.decide_firings()
    await redis.close()
    await pool.close()
    task = await proof.fetchrow("select * from agent_task where queue = 'alerts'")
    assert task["status"] == "completed"
    assert task["attempts"] == 1
    decided = await proof.fetch("select * from agent_task where outcome is not null")
    assert [row["task_id"] for row in decided] == [key_id("task", tenant_a, f"alert:{RULE_ID}:1")]
    assert decided[0]["reason_code"] == "NO_CANDIDATE"


@pytest.mark.parametrize(
    ("queue", "task"),
    [
        ("alerts", TaskName.DECIDE_FIRINGS),
        ("silences", TaskName.END_SILENCES),
        ("email", TaskName.DELIVER),
    ],
)
def test_the_queue_of_alerts_has_a_task_of_its_own(queue: str, task: TaskName) -> None:
    assert wake_up_of(queue)[0] is task
