"""Results that are recorded while the commit of others hangs."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from server.dispatch.claims import Fact, Status, Step, Subject, TaskEnd, TaskStatus
from server.dispatch.delivery_store import BEGINNING, DeliveryStore
from server.dispatch.recorder import StepRecorder
from server.platform.postgres import Database
from tests.dispatch.conftest import Log
from tests.dispatch.decided import Decided, Decisions, Definitions
from tests.fixtures.tenants import Tenant

_OWNER = "host:1:test"
_HANGS = """
select exists (select from pg_locks where not granted and pg_backend_pid() = any(pg_blocking_pids(pid)))
"""


@pytest.fixture
async def definitions(decisions: Decisions, tenant_a: Tenant) -> Definitions:
    """A campaign with one event; and two who agreed to e-mail."""
    await decisions.profile(tenant_a, "lan")
    await decisions.profile(tenant_a, "minh")
    return await decisions.define(tenant_a)


def sent(decided: Decided, definitions: Definitions) -> Step:
    """The provider took it."""
    subject = Subject(
        decided.task_id,
        definitions.marketing_event_id,
        definitions.campaign_id,
        decided.profile_id,
        decided.snapshot_id,
    )
    fact = Fact(subject, "email", decided.delivery_key, 1, Status.SENT)
    return Step([fact], None, TaskEnd(decided.task_id, TaskStatus.COMPLETED))


async def test_a_commit_that_hangs_holds_up_no_later_results(
    decisions: Decisions, definitions: Definitions, worker_database: Database, log: Log
) -> None:
    first, second = [await decisions.send(definitions, name) for name in ("lan", "minh")]
    store = DeliveryStore()
    lease = timedelta(seconds=60)
    claims = await store.claim_tasks(
        worker_database.write, "email", limit=2, lease=lease, owner=_OWNER, since=BEGINNING
    )
    assert len(claims) == 2
    recorder = StepRecorder(database=worker_database, store=store)
    holding = log.proof.transaction()
    await holding.start()
    await log.proof.execute("select from agent_task where task_id = $1 for no key update", first.task_id)

    hanging = asyncio.create_task(recorder.record(first.tenant_id, sent(first, definitions), _OWNER))
    await _until_it_hangs(log.proof)
    await recorder.record(second.tenant_id, sent(second, definitions), _OWNER)

    assert await log.task_status(second) == "completed"
    assert not hanging.done()
    await holding.rollback()
    await hanging
    assert [await log.status(each) for each in (first, second)] == ["sent", "sent"]
    assert await log.task_status(first) == "completed"


async def _until_it_hangs(holder: asyncpg.Connection) -> None:
    """Until somebody waits for what this connection holds."""
    async with asyncio.timeout(60):
        while not await holder.fetchval(_HANGS):
            pass
