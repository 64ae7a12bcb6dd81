"""`leo worker` as users start it: delivers, shares, survives, and never sends twice."""

from __future__ import annotations

import aiohttp
import asyncpg
import pytest
import redis

from server.embedded.database_setup import DatabaseUrls
from server.embedded.mailbox import Mailbox
from server.embedded.ports import free_port
from tests.dispatch.conftest import Log
from tests.dispatch.decided import Decided, Decisions
from tests.dispatch.scripted_smtp import ScriptedSmtp
from tests.fixtures.tenants import Tenant
from tests.workers.conftest import Workers, until


async def test_a_queued_send_reaches_the_mailbox(
    workers: Workers, decisions: Decisions, mailbox: Mailbox, smtp_url: str, log: Log, tenant_a: Tenant
) -> None:
    """Nobody sends a wake-up: the sweep finds it."""
    definitions = await decisions.define(tenant_a)
    decided = await decisions.send(definitions, await decisions.profile(tenant_a, "lan"))
    worker = workers.start(smtp_url=smtp_url)

    await until(lambda: _stands(log, decided, "sent"))

    [message] = mailbox.messages()
    assert message["Delivered-To"] == "lan@example.com"
    assert message["Message-ID"].startswith(f"<{decided.delivery_key[:32]}@")
    assert worker.stop() == 0
    assert worker.events()[-1] == "worker_stopped"


async def test_a_worker_shows_its_figures_and_its_health(workers: Workers) -> None:
    address = f"127.0.0.1:{free_port()}"
    worker = workers.start(metrics_listen=address)
    await worker.ready()
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://{address}/metrics") as answer:
            text = await answer.text()
        async with session.get(f"http://{address}/healthz") as answer:
            assert answer.status == 200
    assert "leo_reservation_redis 1.0" in text
    assert 'leo_database_connections{state="open"}' in text


async def test_two_workers_share_the_work_and_send_nothing_twice(
    workers: Workers,
    decisions: Decisions,
    smtp: ScriptedSmtp,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
) -> None:
    pair = [workers.start(smtp_url=smtp.url, smtp_connections="1") for _ in range(2)]
    for worker in pair:
        await worker.ready()
    definitions = await decisions.define(tenant_a)
    expected: list[str] = []

    async def both_served() -> bool:
        rows = await proof.fetch(
            "select distinct split_part(provider_response ->> 'claim', ':', 2)::int as pid"
            " from delivery_log where delivery_status = 'sending'"
        )
        return {row["pid"] for row in rows} == {worker.pid for worker in pair}

    async def more_until_both_served() -> bool:
        for _ in range(40):
            profile_id = f"p{len(expected)}"
            await decisions.send(definitions, await decisions.profile(tenant_a, profile_id))
            expected.append(f"{profile_id}@example.com")
        return await both_served()

    await until(more_until_both_served)
    await until(lambda: _all_sent(proof, len(expected)))

    assert sorted(smtp.arrived) == sorted(expected)


async def test_killed_between_sending_and_result_it_leaves_unknown(
    workers: Workers, decisions: Decisions, smtp: ScriptedSmtp, log: Log, tenant_a: Tenant
) -> None:
    definitions = await decisions.define(tenant_a)
    smtp.hold = True
    decided = await decisions.send(definitions, await decisions.profile(tenant_a, "lan"))
    first = workers.start(smtp_url=smtp.url, lease_seconds="20", send_seconds="10")
    await until(lambda: _happened(smtp))
    assert await log.facts(decided) == [("queued", 0, None), ("sending", 1, None)]
    first.kill()
    smtp.hold = False
    await log.proof.execute("update agent_task set lease_until = now() where task_id = $1", decided.task_id)
    second = workers.start(smtp_url=smtp.url)

    await until(lambda: _stands(log, decided, "unknown"))
    later = await decisions.send(definitions, await decisions.profile(tenant_a, "minh"))
    await until(lambda: _stands(log, later, "sent"))

    assert (await log.facts(decided))[-1] == ("unknown", 1, "WORKER_LOST")
    assert smtp.arrived == ["lan@example.com", "minh@example.com"]
    assert second.stop() == 0


async def test_at_sigterm_it_finishes_what_it_sends(
    workers: Workers, decisions: Decisions, smtp: ScriptedSmtp, log: Log, tenant_a: Tenant
) -> None:
    definitions = await decisions.define(tenant_a)
    decided = [
        await decisions.send(definitions, await decisions.profile(tenant_a, f"p{number}"))
        for number in range(30)
    ]
    worker = workers.start(smtp_url=smtp.url, smtp_connections="1")
    await until(lambda: _happened(smtp))

    assert worker.stop() == 0

    statuses = {await log.status(one) for one in decided}
    assert statuses <= {"sent", "queued"}
    assert len(smtp.arrived) == [await log.status(one) for one in decided].count("sent")


async def test_a_broker_that_is_emptied_loses_nothing(
    workers: Workers,
    decisions: Decisions,
    smtp: ScriptedSmtp,
    broker_url: str,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
) -> None:
    definitions = await decisions.define(tenant_a)
    worker = workers.start(smtp_url=smtp.url)
    await worker.ready()
    with redis.Redis.from_url(broker_url) as broker:
        for number in range(60):
            await decisions.send(definitions, await decisions.profile(tenant_a, f"p{number}"))
            broker.flushdb()

    await until(lambda: _all_sent(proof, 60))

    assert len(smtp.arrived) == len(set(smtp.arrived)) == 60


async def test_lost_database_connections_lose_nothing(
    workers: Workers,
    decisions: Decisions,
    smtp: ScriptedSmtp,
    database: DatabaseUrls,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
) -> None:
    """As at a restart of PostgreSQL: every connection of the worker ends, again and again."""
    definitions = await decisions.define(tenant_a)
    worker = workers.start(smtp_url=smtp.url, lease_seconds="4", send_seconds="2")
    await worker.ready()
    superuser = await asyncpg.connect(database.superuser_url)
    for number in range(100):
        await decisions.send(definitions, await decisions.profile(tenant_a, f"p{number}"))
        if number % 10 == 0:
            await superuser.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'leo-worker'"
                " and datname = current_database()"
            )
    await superuser.close()

    await until(lambda: _all_settled(proof))

    sent = await proof.fetchval("select count(*) from delivery_current where delivery_status = 'sent'")
    assert len(smtp.arrived) == len(set(smtp.arrived))
    assert sent == len(smtp.arrived)
    assert worker.process.poll() is None


async def test_a_role_that_could_see_every_tenant_is_refused(
    workers: Workers, database: DatabaseUrls, smtp: ScriptedSmtp
) -> None:
    worker = workers.start(smtp_url=smtp.url, database_url=database.superuser_url)

    assert worker.process.wait(60) == 1
    assert "is a superuser" in worker.log_path.read_text()


@pytest.mark.parametrize("members", [1, 1203])
async def test_snapshot_ids_reach_their_profiles(
    workers: Workers,
    decisions: Decisions,
    smtp: ScriptedSmtp,
    app: asyncpg.Connection,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
    members: int,
) -> None:
    async with decisions.tenant(tenant_a):
        await app.execute(
            "insert into cdp_profiles (tenant_id, profile_id) select $1, 'p' || n from generate_series(1, $2) n",
            tenant_a,
            members,
        )
        await decisions.freeze(tenant_a, "s1", "vip", "v1", [f"p{n + 1}" for n in range(members)])
    workers.start(smtp_url=smtp.url)

    async def appended() -> bool:
        count = await proof.fetchval(
            "select count(*) from cdp_profiles where segment_snapshots = '[\"s1\"]'::jsonb"
        )
        return bool(count == members)

    await until(appended)


async def _stands(log: Log, decided: Decided, status: str) -> bool:
    return await log.status(decided) == status


async def _happened(smtp: ScriptedSmtp) -> bool:
    return smtp.data_arrived.is_set()


async def _all_sent(proof: asyncpg.Connection, count: int) -> bool:
    sent = await proof.fetchval("select count(*) from delivery_log where delivery_status = 'sent'")
    return bool(sent == count)


async def _all_settled(proof: asyncpg.Connection) -> bool:
    pending = await proof.fetchval("select count(*) from agent_task where status = 'pending'")
    return bool(pending == 0)
