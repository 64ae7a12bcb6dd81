"""Several workers, one message: whoever comes first has all alerts of a night, and nobody sends them again."""

from __future__ import annotations

from datetime import timedelta

import asyncpg

from server.platform.clock import utc_now
from tests.dispatch.conftest import Log
from tests.dispatch.decided import Decided, Decisions, Definitions
from tests.dispatch.scripted_smtp import ScriptedSmtp
from tests.fixtures.tenants import Tenant
from tests.workers.conftest import Workers, until

PROFILES, ALERTS = 6, 8


async def held(decisions: Decisions, definitions: Definitions, profile_ids: list[str]) -> list[Decided]:
    """Alerts of a night that ends in a moment, for each profile."""
    morning = utc_now() + timedelta(seconds=3)
    return [
        await decisions.send(
            definitions,
            profile_id,
            event_type="alert.fired",
            attributes={"amount": number},
            quiet_until=morning,
        )
        for number in range(ALERTS)
        for profile_id in profile_ids
    ]


async def test_two_workers_send_one_message_for_each_night(
    workers: Workers,
    decisions: Decisions,
    smtp: ScriptedSmtp,
    log: Log,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
) -> None:
    """Each of their claims takes a delivery or two, so they meet in every group. Then one is killed with a message on
    its way: all that is in it is `unknown`, and is not sent again."""
    definitions = await decisions.define(tenant_a, subject="{{ digest.count }} alerts")
    pair = [workers.start(smtp_url=smtp.url, smtp_connections="2") for _ in range(2)]
    for worker in pair:
        await worker.ready()
    profile_ids = [await decisions.profile(tenant_a, f"p{number}") for number in range(PROFILES)]
    sent = await held(decisions, definitions, profile_ids)
    await until(lambda: _nothing_pending(proof))

    assert sorted(smtp.arrived) == [f"{profile_id}@example.com" for profile_id in profile_ids]
    rows = await proof.fetch(
        "select subject, count(*) as deliveries from delivery_log where delivery_status = 'sending'"
        " group by profile_id, subject"
    )
    assert [tuple(row) for row in rows] == [(f"{ALERTS} alerts", ALERTS)] * PROFILES
    assert {await log.status(one) for one in sent} == {"sent"}

    smtp.hold = True
    smtp.data_arrived.clear()
    lost = await held(decisions, definitions, profile_ids[:1])
    await until(lambda: _at_provider(smtp))
    for worker in pair:
        worker.kill()
    smtp.hold = False
    await proof.execute("update agent_task set lease_until = now() where status = 'pending'")
    workers.start(smtp_url=smtp.url)
    await until(lambda: _nothing_pending(proof))

    assert {(await log.facts(one))[-1] for one in lost} == {("unknown", 1, "WORKER_LOST")}
    assert len(smtp.arrived) == PROFILES + 1


async def _nothing_pending(proof: asyncpg.Connection) -> bool:
    return not await proof.fetchval("select exists (select from agent_task where status = 'pending')")


async def _at_provider(smtp: ScriptedSmtp) -> bool:
    return smtp.data_arrived.is_set()
