"""Workers go through the segments: killed in a batch, two at once, and what is decided on those who entered."""

from __future__ import annotations

import json
from collections import Counter
from uuid import UUID

import asyncpg

from server.embedded.database_setup import DatabaseUrls
from server.workers.broker import celery_app
from server.workers.routes import CeleryQueue, TaskName
from tests.dispatch.decided import Decisions
from tests.dispatch.scripted_smtp import ScriptedSmtp
from tests.fixtures.tenants import Tenant
from tests.segments.test_evaluation import RICH, define
from tests.snapshots.rows import stored
from tests.workers.conftest import Workers, until

PEOPLE = [f"p{number}" for number in range(20)]
_WAITING = (
    "select exists (select from pg_stat_activity"
    " where datname = current_database() and wait_event_type = 'Lock')"
)


async def test_who_enters_a_segment_is_decided_on_once_whatever_becomes_of_workers(
    workers: Workers,
    decisions: Decisions,
    database: DatabaseUrls,
    broker_url: str,
    smtp: ScriptedSmtp,
    app: asyncpg.Connection,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
) -> None:
    definitions = await decisions.define(tenant_a)
    await proof.execute(
        "update marketing_event set trigger_event_type = 'segment.entered', condition = $2"
        " where marketing_event_id = $1",
        definitions.marketing_event_id,
        json.dumps({"attribute": "event.segment", "operator": "==", "value": "rich"}),
    )
    await define(app, tenant_a, rich=RICH, everybody={"all": []})
    for profile_id in PEOPLE:
        await decisions.profile(tenant_a, profile_id, attributes={"total_spent": 500, "first_name": "Lan"})
    superuser = await asyncpg.connect(database.superuser_url)
    transaction = superuser.transaction()
    await transaction.start()
    await superuser.execute("select from cdp_profiles where profile_id = 'p7' for update")
    watcher = await asyncpg.connect(database.superuser_url)

    async def stuck() -> bool:
        return bool(await watcher.fetchval(_WAITING))

    first = workers.start(smtp_url=smtp.url)
    await first.ready()
    _wake(broker_url)
    await until(stuck)
    first.kill()
    pair = [workers.start(smtp_url=smtp.url) for _ in range(2)]
    for worker in pair:
        await worker.ready()
    assert len({first.pid, *(worker.pid for worker in pair)}) == 3
    await transaction.rollback()
    for _ in pair:
        _wake(broker_url)

    async def done() -> bool:
        count = await proof.fetchval(
            "select count(*) from agent_task where queue = 'segments' and status = 'completed'"
        )
        return bool(count == 2 * len(PEOPLE))

    await until(done)
    for connection in (superuser, watcher):
        await connection.close()
    rows = await stored(proof, "cdp_profiles", tenant_a)
    assert {row["evaluated_segments"] for row in rows} == {'["everybody", "rich"]'}
    tasks = await stored(proof, "agent_task", UUID(int=tenant_a.int))
    sent = Counter(row["profile_id"] for row in tasks if row["outcome"] == "send")
    assert sent == Counter(PEOPLE)
    moves = [
        (row["profile_id"], row["entity_id"])
        for row in await stored(proof, "behavioral_events", tenant_a)
        if row["event_type"] == "segment.entered"
    ]
    assert sorted(moves) == sorted((each, name) for each in PEOPLE for name in ("everybody", "rich"))


def _wake(broker_url: str) -> None:
    """What the schedule does every ten seconds."""
    with celery_app(broker_url) as celery:
        celery.send_task(TaskName.EVALUATE_SEGMENTS.value, queue=CeleryQueue.MAINTENANCE.value)
