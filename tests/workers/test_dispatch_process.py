"""A dispatch from the call to the mailbox: server, workers, Decide, SMTP."""

from __future__ import annotations

import threading
from typing import Any

import asyncpg
import grpc
import pytest
from leo.activation.v1 import dispatch_service_pb2 as wire
from leo.activation.v1.dispatch_service_pb2_grpc import DispatchServiceStub

from server.platform.ids import audience_sha256, key_id
from tests.dispatch.decided import Decisions
from tests.dispatch.scripted_smtp import ScriptedSmtp
from tests.fixtures.server import bearer
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor
from tests.workers.conftest import Workers, until

MEMBERS = 1100
SCOPES = ("dispatch.read", "dispatch.write")


async def test_every_member_is_decided_and_those_who_agreed_get_one_mail(
    workers: Workers,
    decisions: Decisions,
    smtp: ScriptedSmtp,
    channel: grpc.aio.Channel,
    token_for: TokenFor,
    app: asyncpg.Connection,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
) -> None:
    """Eleven parts; the first worker is killed in the middle, the second one goes on."""
    definitions = await decisions.define(tenant_a, body="Dear {{ profile.first_name }}")
    snapshot_id = await _audience(decisions, app, tenant_a)
    stub: Any = DispatchServiceStub(channel)
    metadata = bearer(token_for(tenant_a, SCOPES))
    request = wire.DispatchRequest(
        source_request_id="spring",
        marketing_event_id=definitions.marketing_event_id,
        snapshot_id=snapshot_id,
    )
    plan = (await stub.Dispatch(request, metadata=metadata)).plan
    assert plan.member_count == MEMBERS

    async def begun() -> bool:
        return bool(await proof.fetchval("select exists (select from agent_task where outcome is not null)"))

    first = workers.start(smtp_url=smtp.url, dispatch_part_members="100")
    await until(begun)
    first.kill()
    await proof.execute("update agent_task set lease_until = now() where status = 'pending'")
    workers.start(smtp_url=smtp.url, dispatch_part_members="100")

    async def done() -> bool:
        pending = await proof.fetchval("select count(*) from agent_task where status = 'pending'")
        return bool(pending == 0)

    await until(done)
    plan = (await stub.Dispatch(request, metadata=metadata)).plan
    assert plan.status == wire.DISPATCH_STATUS_COMPLETED
    assert (plan.decided_count, plan.send_count) == (MEMBERS, MEMBERS * 4 // 5)
    assert plan.duplicate
    rows = await proof.fetch("select delivery_status, count(*) from delivery_current group by 1")
    statuses = {row["delivery_status"]: row["count"] for row in rows}
    assert sum(statuses.values()) == MEMBERS * 4 // 5
    assert set(statuses) <= {"sent", "unknown"}
    assert len(smtp.arrived) == len(set(smtp.arrived))


async def test_several_workers_share_one_dispatch(
    workers: Workers,
    decisions: Decisions,
    smtp: ScriptedSmtp,
    channel: grpc.aio.Channel,
    token_for: TokenFor,
    app: asyncpg.Connection,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
) -> None:
    """Two processes, each with parts of its own; every member is decided once, and the last part ends the whole."""
    definitions = await decisions.define(tenant_a, body="Dear {{ profile.first_name }}")
    snapshot_id = await _audience(decisions, app, tenant_a)
    pair = [workers.start(smtp_url=smtp.url, dispatch_part_members="10") for _ in range(2)]
    for worker in pair:
        await worker.ready()
    stub: Any = DispatchServiceStub(channel)
    metadata = bearer(token_for(tenant_a, SCOPES))
    request = wire.DispatchRequest(
        source_request_id="spring",
        marketing_event_id=definitions.marketing_event_id,
        snapshot_id=snapshot_id,
    )
    plan = (await stub.Dispatch(request, metadata=metadata)).plan
    watched = [
        progress
        async for progress in stub.WatchDispatch(
            wire.WatchDispatchRequest(plan_task_id=plan.plan_task_id), metadata=metadata, timeout=120
        )
    ]

    assert watched[-1].ended
    assert (watched[-1].plan.status, watched[-1].plan.decided_count) == (
        wire.DISPATCH_STATUS_COMPLETED,
        MEMBERS,
    )
    decided = [progress.plan.decided_count for progress in watched]
    assert decided == sorted(decided)
    owners = await proof.fetch(
        "select split_part(lease_owner, ':', 2)::int as pid, count(*) from agent_task"
        " where parent_task_id = $1 and task_type = 'plan' and status = 'completed' group by 1",
        plan.plan_task_id,
    )
    assert {row["pid"] for row in owners} == {worker.pid for worker in pair}
    assert sum(row["count"] for row in owners) == MEMBERS // 10
    assert len(smtp.arrived) == len(set(smtp.arrived)) == MEMBERS * 4 // 5


async def test_a_dispatch_that_meets_trouble_goes_on_soon_after_it(
    workers: Workers,
    decisions: Decisions,
    smtp: ScriptedSmtp,
    channel: grpc.aio.Channel,
    token_for: TokenFor,
    app: asyncpg.Connection,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
) -> None:
    """Nothing can be decided while a definition does not compile; the lease of the plan lasts for an hour."""
    definitions = await decisions.define(tenant_a, body="Dear {{ profile.first_name }}")
    await proof.execute(
        "insert into marketing_event (tenant_id, marketing_event_id, campaign_id, event_name, event_type,"
        " event_channel, channels, template_name, status, condition)"
        " select tenant_id, 'broken', campaign_id, 'broken', event_type, event_channel, channels, template_name,"
        ' status, \'{"attribute": "nonsense", "operator": "==", "value": 1}\' from marketing_event'
    )
    request = wire.DispatchRequest(
        source_request_id="spring",
        marketing_event_id=definitions.marketing_event_id,
        snapshot_id=await _audience(decisions, app, tenant_a, 10),
    )
    await DispatchServiceStub(channel).Dispatch(request, metadata=bearer(token_for(tenant_a, SCOPES)))
    workers.start(smtp_url=smtp.url, lease_seconds="3600")

    async def tried_again() -> bool:
        return bool(await proof.fetchval("select max(attempts) > 1 from agent_task where queue = 'dispatch'"))

    await until(tried_again)
    await proof.execute("update marketing_event set status = 'cancelled' where marketing_event_id = 'broken'")

    async def all_sent() -> bool:
        return len(smtp.arrived) == 8

    await until(all_sent)


@pytest.mark.parametrize("paused", ["dispatch", "campaign"])
async def test_a_pause_holds_within_a_second_and_a_resume_goes_on(
    paused: str,
    workers: Workers,
    decisions: Decisions,
    smtp: ScriptedSmtp,
    channel: grpc.aio.Channel,
    token_for: TokenFor,
    app: asyncpg.Connection,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
) -> None:
    """Paused in the middle of sending; when it goes on, whoever is to get a mail gets one."""
    definitions = await decisions.define(tenant_a, body="Dear {{ profile.first_name }}")
    snapshot_id = await _audience(decisions, app, tenant_a, 300)
    stub: Any = DispatchServiceStub(channel)
    metadata = bearer(token_for(tenant_a, SCOPES))
    request = wire.DispatchRequest(
        source_request_id="spring",
        marketing_event_id=definitions.marketing_event_id,
        snapshot_id=snapshot_id,
    )
    plan = (await stub.Dispatch(request, metadata=metadata)).plan.plan_task_id
    reached, go_on = threading.Event(), threading.Event()

    def wait_in_the_middle(_: str) -> None:
        if len(smtp.arrived) >= 20:
            reached.set()
            go_on.wait(20)

    smtp.on_recipient = wait_in_the_middle
    workers.start(smtp_url=smtp.url, smtp_connections="1", dispatch_part_members="100")

    async def sending() -> bool:
        return reached.is_set()

    async def change(method: str, status: str) -> None:
        if paused == "dispatch":
            changed = getattr(wire, f"{method}DispatchRequest")(plan_task_id=plan)
            await getattr(stub, f"{method}Dispatch")(changed, metadata=metadata)
            return
        async with decisions.tenant(tenant_a):
            await app.execute("update campaign set status = $1", status)

    await until(sending)
    await change("Pause", "paused")
    go_on.set()
    paused_at = await proof.fetchval("select clock_timestamp()")

    async def held_for_three_seconds() -> bool:
        return bool(
            await proof.fetchval("select clock_timestamp() > $1::timestamptz + interval '3 s'", paused_at)
        )

    await until(held_for_three_seconds)
    resumed_at = await proof.fetchval("select clock_timestamp()")
    assert len(smtp.arrived) < 240
    await change("Resume", "active")

    async def done() -> bool:
        return bool(await proof.fetchval("select count(*) = 0 from agent_task where status = 'pending'"))

    await until(done)
    begun = await proof.fetchval(
        "select count(*) from delivery_log where delivery_status = 'sending'"
        " and created_at > $1::timestamptz + interval '1 s' and created_at < $2",
        paused_at,
        resumed_at,
    )
    assert begun == 0
    sends = await proof.fetchval("select count(*) from agent_task where outcome = 'send'")
    assert len(smtp.arrived) == len(set(smtp.arrived)) == sends
    assert await proof.fetchval("select count(*) from agent_task where outcome is not null") == 300


async def _audience(
    decisions: Decisions, app: asyncpg.Connection, tenant: Tenant, count: int = MEMBERS
) -> str:
    """Members of whom four in five agreed to e-mail, frozen."""
    members = [f"p{number:05}" for number in range(count)]
    snapshot_id = key_id("snapshot", tenant, "vip", "v1", audience_sha256(members))
    async with decisions.tenant(tenant):
        await app.execute(
            "insert into cdp_profiles (tenant_id, profile_id, primary_email, raw_attributes)"
            " select $1, member, member || '@example.com', '{\"first_name\": \"Lan\"}' from unnest($2::text[]) member",
            tenant,
            members,
        )
        await app.execute(
            "insert into consent_management (tenant_id, profile_id, channel, status, legal_basis, source, granted_at)"
            " select $1, member, 'email', 'granted', 'consent', 'test', now()"
            " from unnest($2::text[]) with ordinality as m (member, n) where n % 5 <> 0",
            tenant,
            members,
        )
        await decisions.freeze(tenant, snapshot_id, "vip", "v1", members)
    return snapshot_id
