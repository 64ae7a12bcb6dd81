"""DispatchService on the real server: plans, deliveries, and what another tenant sees of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import asyncpg
import grpc
import pytest
from leo.activation.v1 import dispatch_service_pb2 as wire
from leo.activation.v1.dispatch_service_pb2_grpc import DispatchServiceStub

from tests.dispatch.conftest import Fleet, email_channel
from tests.dispatch.decided import Decisions
from tests.dispatch.scripted_smtp import ScriptedSmtp
from tests.fixtures.server import bearer
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor

if TYPE_CHECKING:
    from leo.activation.v1.dispatch_service_pb2_grpc import DispatchServiceAsyncStub

SCOPES = ("dispatch.read", "dispatch.write")
NOWHERE = "0" * 64


class Dispatches:
    """The stub with a tenant's token."""

    def __init__(self, stub: DispatchServiceAsyncStub, metadata: tuple[tuple[str, str], ...]) -> None:
        self._stub = stub
        self._metadata = metadata

    async def plan(self, **fields: Any) -> wire.DispatchPlan:
        """Dispatch."""
        request = wire.DispatchRequest(**{"source_request_id": "r1", **fields})
        return (await self._stub.Dispatch(request, metadata=self._metadata)).plan

    async def get(self, **by: str) -> wire.GetDeliveryResponse:
        """GetDelivery."""
        return await self._stub.GetDelivery(wire.GetDeliveryRequest(**by), metadata=self._metadata)

    async def page(self, *, size: int = 0, token: str = "", **filters: Any) -> wire.ListDeliveriesResponse:
        """ListDeliveries."""
        request = wire.ListDeliveriesRequest(**filters)
        request.page.page_size, request.page.page_token = size, token
        return await self._stub.ListDeliveries(request, metadata=self._metadata)

    async def keys(self, **filters: Any) -> list[str]:
        """The deliveries of one page."""
        return [delivery.delivery_key for delivery in (await self.page(**filters)).deliveries]


DispatchesOf = Callable[[Tenant], Dispatches]


@pytest.fixture
def dispatches_of(channel: grpc.aio.Channel, token_for: TokenFor) -> DispatchesOf:
    """`dispatches_of(tenant_a)` calls for the tenant."""
    stub: Any = DispatchServiceStub(channel)
    return lambda tenant: Dispatches(stub, bearer(token_for(tenant, SCOPES)))


@pytest.fixture
def dispatches(dispatches_of: DispatchesOf, tenant_a: Tenant) -> Dispatches:
    """Calls for tenant A."""
    return dispatches_of(tenant_a)


async def test_one_profile_gets_a_frozen_audience_of_one(
    dispatches: Dispatches, decisions: Decisions, tenant_a: Tenant, proof: asyncpg.Connection
) -> None:
    definitions = await decisions.define(tenant_a)
    await decisions.profile(tenant_a, "lan")

    plan = await dispatches.plan(
        marketing_event_id=definitions.marketing_event_id, profile_id="lan", reason="asked"
    )

    assert plan.status == wire.DISPATCH_STATUS_PENDING
    assert (plan.member_count, plan.decided_count, plan.duplicate) == (1, 0, False)
    members = await proof.fetch(
        "select profile_id from segment_snapshot_member where snapshot_id = $1", plan.snapshot_id
    )
    assert [row["profile_id"] for row in members] == ["lan"]
    task = await proof.fetchrow("select * from agent_task where task_id = $1", plan.plan_task_id)
    assert task is not None
    assert (task["task_type"], task["queue"], task["status"]) == ("plan", "dispatch", "pending")
    assert task["reasoning_summary"] == "asked"


async def test_the_same_request_gets_the_same_plan_and_another_body_is_refused(
    dispatches: Dispatches, decisions: Decisions, tenant_a: Tenant, proof: asyncpg.Connection
) -> None:
    definitions = await decisions.define(tenant_a)
    for profile_id in ("lan", "minh"):
        await decisions.profile(tenant_a, profile_id)
    body = {"marketing_event_id": definitions.marketing_event_id, "profile_id": "lan"}

    plans = await asyncio.gather(*(dispatches.plan(**body) for _ in range(8)))

    assert len({plan.plan_task_id for plan in plans}) == 1
    assert [plan.duplicate for plan in plans].count(False) == 1
    assert await proof.fetchval("select count(*) from agent_task where task_type = 'plan'") == 1
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await dispatches.plan(**{**body, "profile_id": "minh"})
    assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS


async def test_an_event_of_the_same_name_is_no_plan(
    dispatches: Dispatches, decisions: Decisions, tenant_a: Tenant, app: asyncpg.Connection
) -> None:
    """A caller's own event may bear the id that a plan would get."""
    from server.platform.ids import key_id

    definitions = await decisions.define(tenant_a)
    await decisions.profile(tenant_a, "lan")
    async with decisions.tenant(tenant_a):
        await app.execute(
            "insert into agent_task (tenant_id, task_id, agent_name, task_type, status)"
            " values ($1, $2, 'rule_engine', 'execute', 'completed')",
            tenant_a,
            key_id("task", tenant_a, "dispatch:r1"),
        )
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await dispatches.plan(marketing_event_id=definitions.marketing_event_id, profile_id="lan")
    assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS


async def test_what_does_not_exist_is_refused_and_leaves_nothing(
    dispatches: Dispatches, decisions: Decisions, tenant_a: Tenant, proof: asyncpg.Connection
) -> None:
    definitions = await decisions.define(tenant_a)
    await decisions.profile(tenant_a, "lan")
    known = definitions.marketing_event_id
    codes = []
    for fields in (
        {"marketing_event_id": known, "profile_id": "nobody"},
        {"marketing_event_id": known, "snapshot_id": NOWHERE},
        {"marketing_event_id": NOWHERE, "profile_id": "lan"},
        {"marketing_event_id": known},
        {"marketing_event_id": known, "profile_id": "lan", "source_request_id": ""},
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await dispatches.plan(**fields)
        codes.append(refused.value.code().name)

    assert codes == [
        "NOT_FOUND",
        "NOT_FOUND",
        "FAILED_PRECONDITION",
        "INVALID_ARGUMENT",
        "INVALID_ARGUMENT",
    ]
    assert await proof.fetchval("select count(*) from agent_task") == 0
    assert await proof.fetchval("select count(*) from segment_snapshot") == 0


async def test_a_delivery_tells_everything(
    dispatches: Dispatches, decisions: Decisions, fleet: Fleet, smtp: ScriptedSmtp, tenant_a: Tenant
) -> None:
    definitions = await decisions.define(tenant_a)
    decided = await decisions.send(definitions, await decisions.profile(tenant_a, "lan"))
    await fleet.runner({"email": email_channel(smtp.url)}).drain()

    by_key = await dispatches.get(delivery_key=decided.delivery_key)
    by_task = await dispatches.get(task_id=decided.task_id)

    assert by_key == by_task
    delivery = by_key.delivery
    assert delivery.status == wire.DELIVERY_STATUS_SENT
    assert (delivery.attempt, delivery.profile_id, delivery.channel) == (1, "lan", "email")
    assert not delivery.HasField("due_at")
    assert [record.status for record in by_key.records] == [
        wire.DELIVERY_STATUS_QUEUED,
        wire.DELIVERY_STATUS_SENDING,
        wire.DELIVERY_STATUS_SENT,
    ]
    assert by_key.records[1].destination == "lan@example.com"
    assert by_key.records[1].body == "Dear Lan, you spent 120."
    assert b'"code": 250' in by_key.records[2].provider_response
    assert delivery.provider_message_id == by_key.records[2].provider_message_id != ""


async def test_lists_are_filtered_and_paged(
    dispatches: Dispatches, decisions: Decisions, fleet: Fleet, smtp: ScriptedSmtp, tenant_a: Tenant
) -> None:
    first, second = await decisions.define(tenant_a), await decisions.define(tenant_a)
    await decisions.profile(tenant_a, "gone", email=None)
    await decisions.profile(tenant_a, "lan")
    plan = "a" * 64
    sent = [await decisions.send(first, "lan") for _ in range(5)]
    failed = await decisions.send(second, "gone", plan_task_id=plan)
    await fleet.runner({"email": email_channel(smtp.url)}).drain()

    seen, token = [], ""
    while True:
        page = await dispatches.page(size=2, token=token)
        seen += [delivery.delivery_key for delivery in page.deliveries]
        token = page.page.next_page_token
        if not token:
            break
    assert seen == [one.delivery_key for one in (*sent, failed)]
    for filters in (
        {"campaign_id": second.campaign_id},
        {"marketing_event_id": second.marketing_event_id},
        {"profile_id": "gone"},
        {"plan_task_id": plan},
        {"profile_id": "gone", "plan_task_id": plan},
        {"status": wire.DELIVERY_STATUS_FAILED},
    ):
        assert await dispatches.keys(**filters) == [failed.delivery_key], filters
    assert await dispatches.keys(profile_id="lan", plan_task_id=plan) == []


async def test_a_tenant_sees_nothing_of_another(
    dispatches_of: DispatchesOf,
    decisions: Decisions,
    tenant_a: Tenant,
    tenant_b: Tenant,
    proof: asyncpg.Connection,
) -> None:
    decided = {}
    definitions = {}
    for tenant in (tenant_a, tenant_b):
        definitions[tenant] = await decisions.define(tenant)
        await decisions.profile(tenant, "lan")
        decided[tenant] = await decisions.send(definitions[tenant], "lan")
    await decisions.profile(tenant_b, "only-b")
    assert await proof.fetchval("select count(*) from delivery_log") == 2
    a, b = dispatches_of(tenant_a), dispatches_of(tenant_b)

    assert await a.keys() == [decided[tenant_a].delivery_key]
    assert await a.keys(profile_id="lan") == [decided[tenant_a].delivery_key]
    assert await a.keys(campaign_id=definitions[tenant_b].campaign_id) == []
    plan = await b.plan(marketing_event_id=definitions[tenant_b].marketing_event_id, profile_id="lan")
    own = definitions[tenant_a].marketing_event_id
    for call in (
        a.get(delivery_key=decided[tenant_b].delivery_key),
        a.get(task_id=decided[tenant_b].task_id),
        a.plan(marketing_event_id=own, profile_id="only-b"),
        a.plan(marketing_event_id=own, snapshot_id=plan.snapshot_id),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await a.plan(marketing_event_id=plan.marketing_event_id, profile_id="lan")
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_made_up_page_token_is_refused(
    dispatches: Dispatches, decisions: Decisions, tenant_a: Tenant
) -> None:
    definitions = await decisions.define(tenant_a)
    await decisions.profile(tenant_a, "lan")
    for _ in range(2):
        await decisions.send(definitions, "lan")
    token = (await dispatches.page(size=1)).page.next_page_token

    for wrong in (token[:-4], "x", token + "x"):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await dispatches.page(size=1, token=wrong)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.aio.AioRpcError):
        await dispatches.page(size=1, token=token, profile_id="lan")
