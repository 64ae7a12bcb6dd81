"""RabbitMQ as the broker: quorum queues, and nothing depends on what they hold. Runs where RabbitMQ is installed."""

from __future__ import annotations

import asyncpg
import pytest
from amqp.exceptions import PreconditionFailed
from kombu import Connection

from server.workers.broker import celery_app
from server.workers.routes import CeleryQueue, TaskName
from server.workers.wake_ups import WakeUps
from tests.dispatch.decided import Decisions
from tests.dispatch.scripted_smtp import ScriptedSmtp
from tests.fixtures.rabbitmq import RabbitServer
from tests.fixtures.tenants import Tenant
from tests.workers.conftest import Workers, until


async def test_wake_ups_are_few_and_each_in_its_quorum_queue(rabbitmq: RabbitServer) -> None:
    wake_ups = WakeUps(celery_app(rabbitmq.url))
    for _ in range(1_000):
        await wake_ups.notify("email")
    await wake_ups.notify("push")
    await wake_ups.close()

    async def arrived() -> bool:
        return rabbitmq.waiting(CeleryQueue.DEFAULT) == rabbitmq.waiting(CeleryQueue.PRIORITY_HIGH) == 1

    await until(arrived)
    with Connection(rabbitmq.url) as connection, pytest.raises(PreconditionFailed, match="x-queue-type"):
        connection.default_channel.queue_declare(
            CeleryQueue.DEFAULT, durable=True, auto_delete=False, arguments={"x-max-length": 10_000}
        )
    rabbitmq.empty([CeleryQueue.DEFAULT, CeleryQueue.PRIORITY_HIGH])


async def test_what_waited_too_long_is_not_served(
    rabbitmq: RabbitServer, workers: Workers, smtp: ScriptedSmtp
) -> None:
    """Each wake-up has an argument too many: whoever serves it says that it failed."""
    app = celery_app(rabbitmq.url)
    queue = CeleryQueue.MAINTENANCE
    app.send_task(TaskName.MATCH_RECEIPTS, args=("late",), queue=queue, expires=-1)
    app.send_task(TaskName.RECONCILE_COUNTS, args=("live",), queue=queue, expires=600)
    worker = workers.start(smtp_url=smtp.url, broker_url=rabbitmq.url)

    async def told() -> bool:
        return "work_failed" in worker.events()

    await until(told)
    failed = [line["job"] for line in worker.lines() if line["event"] == "work_failed"]
    assert failed == [TaskName.RECONCILE_COUNTS]
    assert worker.stop() == 0


async def test_a_rabbitmq_that_loses_everything_loses_nothing(
    rabbitmq: RabbitServer,
    workers: Workers,
    decisions: Decisions,
    smtp: ScriptedSmtp,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
) -> None:
    """Its queues are emptied while work arrives, and then the node comes back without queues and without data."""
    definitions = await decisions.define(tenant_a)
    pair = [workers.start(smtp_url=smtp.url, broker_url=rabbitmq.url) for _ in range(2)]
    for worker in pair:
        await worker.ready()
    for number in range(30):
        await decisions.send(definitions, await decisions.profile(tenant_a, f"p{number}"))
        if number % 10 == 0:
            rabbitmq.empty([CeleryQueue.DEFAULT, CeleryQueue.MAINTENANCE])
    await until(lambda: _all_sent(proof, 30))
    for number in range(30, 60):
        await decisions.send(definitions, await decisions.profile(tenant_a, f"p{number}"))
        if number == 40:
            rabbitmq.lose_everything()
    await until(lambda: _all_sent(proof, 60))

    assert len(smtp.arrived) == len(set(smtp.arrived)) == 60
    assert [worker.stop() for worker in pair] == [0, 0]


async def _all_sent(proof: asyncpg.Connection, count: int) -> bool:
    sent = await proof.fetchval("select count(*) from delivery_log where delivery_status = 'sent'")
    return bool(sent == count)
