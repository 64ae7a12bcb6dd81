"""Deliveries that people queue again, hold back, call off and watch, on the real server with real workers' runners."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from leo.activation.v1 import dispatch_service_pb2 as wire
from leo.activation.v1.dispatch_service_pb2_grpc import DispatchServiceStub

from server.dispatch.model import DeliveryFilter
from server.dispatch.store import DispatchStore, Listed
from server.embedded.database_setup import DatabaseUrls
from server.platform.queries import Queries
from tests.dispatch.conftest import Fleet, Log, email_channel
from tests.dispatch.decided import Decided, Decisions, Definitions
from tests.dispatch.scripted_smtp import ScriptedSmtp
from tests.fixtures.server import bearer
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor

Call = Callable[..., Any]


@pytest.fixture
def call(channel: grpc.aio.Channel, token_for: TokenFor, tenant_a: Tenant) -> Call:
    """`await call("PauseDispatch", plan_task_id=…)` calls for tenant A; a stream comes back as it is."""
    stub: Any = DispatchServiceStub(channel)
    metadata = bearer(token_for(tenant_a, ("dispatch.read", "dispatch.write")))

    def begin(method: str, **fields: Any) -> Any:
        request = getattr(wire, f"{method}Request")(**fields)
        return getattr(stub, method)(request, metadata=metadata)

    return begin


@pytest.fixture
async def definitions(decisions: Decisions, tenant_a: Tenant) -> Definitions:
    """A campaign with one event; and Lan, who agreed to e-mail."""
    await decisions.profile(tenant_a, "lan")
    return await decisions.define(tenant_a)


async def why(refused: Any) -> tuple[str, str]:
    """Status and obstacle of a refusal."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await refused
    return error.value.code().name, (error.value.details() or "").rpartition(" ")[2]


async def test_a_failed_delivery_is_listed_and_queued_again_once(
    call: Call, definitions: Definitions, decisions: Decisions, fleet: Fleet, smtp: ScriptedSmtp, log: Log
) -> None:
    decided = await decisions.send(definitions, "lan")
    smtp.on_recipient = lambda _: "550 5.1.1 unknown"
    runner = fleet.runner({"email": email_channel(smtp.url)})
    await runner.drain()
    failed = (await call("ListDeliveries", status=wire.DELIVERY_STATUS_FAILED)).deliveries
    assert [(one.delivery_key, one.series) for one in failed] == [(decided.delivery_key, 1)]
    request = {"delivery_key": decided.delivery_key, "series": 1}

    answers = await asyncio.gather(*(call("RequeueDelivery", **request) for _ in range(6)))

    assert [answer.duplicate for answer in answers].count(False) == 1
    assert {(answer.delivery.status, answer.delivery.series) for answer in answers} == {
        (wire.DELIVERY_STATUS_QUEUED, 2)
    }
    assert not (await call("ListDeliveries", status=wire.DELIVERY_STATUS_FAILED)).deliveries
    smtp.on_recipient = lambda _: None
    await runner.drain()
    assert await log.facts(decided) == [
        ("queued", 0, None),
        ("sending", 1, None),
        ("failed", 1, "SMTP_550"),
        ("queued", 1, "REQUEUED"),
        ("sending", 2, None),
        ("sent", 2, None),
    ]
    assert len((await call("ListDeliveries")).deliveries) == 1
    again = await call("RequeueDelivery", **request)
    assert (again.duplicate, again.delivery.status) == (True, wire.DELIVERY_STATUS_SENT)


@pytest.mark.parametrize("status", ["queued", "sent", "unknown"])
async def test_what_did_not_fail_is_not_queued_again(
    status: str, call: Call, definitions: Definitions, decisions: Decisions
) -> None:
    decided = await decisions.send(definitions, "lan")
    if status != "queued":
        await decisions.fail(decided, status=status)
    request = {"delivery_key": decided.delivery_key, "series": 1}
    obstacles = {"queued": "STILL_TRAVELLING", "sent": "NOT_FAILED", "unknown": "MAY_HAVE_BEEN_SENT"}

    assert await why(call("RequeueDelivery", **request)) == ("FAILED_PRECONDITION", obstacles[status])
    if status == "unknown":
        forced = call("RequeueDelivery", resend_unknown=True, **request)
        assert await why(forced) == ("FAILED_PRECONDITION", "RESEND_UNSAFE")


async def test_what_may_have_been_sent_is_sent_again_only_where_that_is_asked_for_and_safe(
    call: Call, decisions: Decisions, tenant_a: Tenant
) -> None:
    definitions = await decisions.define(tenant_a, channels=("push",))
    await decisions.profile(tenant_a, "lan", consented=("push",))
    decided = await decisions.send(definitions, "lan", channels=("push",))
    await decisions.fail(decided, status="unknown", channel="push")
    request = {"delivery_key": decided.delivery_key, "series": 1}
    assert (await why(call("RequeueDelivery", **request)))[1] == "MAY_HAVE_BEEN_SENT"

    again = await call("RequeueDelivery", resend_unknown=True, **request)

    assert (again.delivery.status, again.delivery.series) == (wire.DELIVERY_STATUS_QUEUED, 2)


async def test_what_another_channel_took_is_not_queued_again(
    call: Call, decisions: Decisions, fleet: Fleet, smtp: ScriptedSmtp, tenant_a: Tenant
) -> None:
    channels = ("push", "email")
    definitions = await decisions.define(tenant_a, channels=channels)
    await decisions.profile(tenant_a, "lan", consented=channels)
    decided = await decisions.send(definitions, "lan", channels=channels)
    await fleet.runner({"email": email_channel(smtp.url)}, queue="push").drain()
    assert smtp.arrived == ["lan@example.com"]

    refused = call("RequeueDelivery", delivery_key=decided.delivery_key, series=1)

    assert await why(refused) == ("FAILED_PRECONDITION", "SENT_ELSEWHERE")


async def test_without_consent_nothing_is_queued_again(
    call: Call, definitions: Definitions, decisions: Decisions, log: Log, tenant_a: Tenant
) -> None:
    decided = await decisions.send(definitions, "lan")
    await decisions.fail(decided)
    await decisions.withdraw(tenant_a, "lan")

    refused = call("RequeueDelivery", delivery_key=decided.delivery_key, series=1)

    assert (await why(refused))[0] == "FAILED_PRECONDITION"
    assert (await log.status(decided), await log.task_status(decided)) == ("failed", "failed")


async def test_a_message_past_its_time_is_not_sent(
    decisions: Decisions, fleet: Fleet, smtp: ScriptedSmtp, log: Log, tenant_a: Tenant
) -> None:
    await decisions.profile(tenant_a, "lan")
    short = await decisions.define(tenant_a, valid_for_seconds=3600)
    decisions.clock = datetime.now(UTC) - timedelta(hours=2)
    late = await decisions.send(short, "lan")
    decisions.clock = datetime.now(UTC) - timedelta(minutes=2)
    in_time = await decisions.send(short, "lan")

    await fleet.runner({"email": email_channel(smtp.url)}).drain()

    assert await log.facts(late) == [("queued", 0, None), ("expired", 0, "VALIDITY_ENDED")]
    assert (await log.task_status(late), await log.status(in_time)) == ("cancelled", "sent")


async def planned(call: Call, definitions: Definitions, **fields: Any) -> str:
    """A dispatch to Lan."""
    request = {"source_request_id": "r1", "marketing_event_id": definitions.marketing_event_id}
    answer = await call("Dispatch", profile_id="lan", **{**request, **fields})
    return str(answer.plan.plan_task_id)


async def test_a_dispatch_is_over_when_its_time_is(
    call: Call,
    definitions: Definitions,
    decisions: Decisions,
    fleet: Fleet,
    smtp: ScriptedSmtp,
    log: Log,
) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=1)
    until = Timestamp()
    until.FromDatetime(moment)
    plan = await planned(call, definitions, valid_until=until)
    decided = await decisions.send(definitions, "lan", plan_task_id=plan, due_at=moment)
    runner = fleet.runner({"email": email_channel(smtp.url)})
    while await log.task_status(decided) == "pending":
        await runner.drain()

    assert (await log.facts(decided))[-1] == ("expired", 0, "VALIDITY_ENDED")
    assert smtp.arrived == []
    assert (await call("WatchDispatch", plan_task_id=plan).read()).plan.valid_until == until
    past = call(
        "Dispatch",
        source_request_id="r2",
        marketing_event_id=definitions.marketing_event_id,
        profile_id="lan",
        valid_until=until,
    )
    assert (await why(past))[0] == "INVALID_ARGUMENT"


async def test_a_paused_dispatch_sends_nothing_until_it_goes_on(
    call: Call, definitions: Definitions, decisions: Decisions, fleet: Fleet, smtp: ScriptedSmtp, log: Log
) -> None:
    plan = await planned(call, definitions)
    decided = await decisions.send(definitions, "lan", plan_task_id=plan)
    later = await decisions.send(
        definitions, "lan", plan_task_id=plan, due_at=datetime.now(UTC) + timedelta(hours=8)
    )
    assert (await call("PauseDispatch", plan_task_id=plan)).plan.status == wire.DISPATCH_STATUS_PAUSED
    runner = fleet.runner({"email": email_channel(smtp.url)})
    await runner.drain()
    assert (await log.facts(decided))[-1] == ("deferred", 0, "DISPATCH_PAUSED")

    resumed = await call("ResumeDispatch", plan_task_id=plan)
    await runner.drain()

    assert resumed.plan.status == wire.DISPATCH_STATUS_PENDING
    assert (await log.status(decided), await log.status(later)) == ("sent", "queued")


async def test_a_cancelled_dispatch_sends_nothing_more(
    call: Call, definitions: Definitions, decisions: Decisions, fleet: Fleet, smtp: ScriptedSmtp, log: Log
) -> None:
    plan = await planned(call, definitions)
    later = await decisions.send(
        definitions, "lan", plan_task_id=plan, due_at=datetime.now(UTC) + timedelta(hours=8)
    )
    for _ in range(2):
        cancelled = await call("CancelDispatch", plan_task_id=plan)
        assert cancelled.plan.status == wire.DISPATCH_STATUS_CANCELLED
    await fleet.runner({"email": email_channel(smtp.url)}).drain()

    assert await log.facts(later) == [("queued", 0, None), ("cancelled", 0, "DISPATCH_CANCELLED")]
    assert smtp.arrived == []
    assert (await why(call("ResumeDispatch", plan_task_id=plan)))[0] == "FAILED_PRECONDITION"


async def test_a_watch_tells_each_change_and_ends(
    call: Call,
    definitions: Definitions,
    decisions: Decisions,
    fleet: Fleet,
    smtp: ScriptedSmtp,
    proof: asyncpg.Connection,
) -> None:
    plan = await planned(call, definitions)
    await decisions.send(definitions, "lan", plan_task_id=plan)
    watch = call("WatchDispatch", plan_task_id=plan)
    first = await watch.read()
    assert [(one.status, one.count) for one in first.deliveries] == [(wire.DELIVERY_STATUS_QUEUED, 1)]
    assert (first.open_count, first.plan.decided_count, first.ended) == (1, 1, False)
    watch.cancel()

    watch = call("WatchDispatch", plan_task_id=plan)
    assert await watch.read() == first
    await fleet.runner({"email": email_channel(smtp.url)}).drain()
    await proof.execute("update agent_task set status = 'completed' where task_id = $1", plan)
    last = first
    while not last.ended:
        last = await watch.read()
    assert await watch.read() is grpc.aio.EOF

    assert [(one.status, one.count) for one in last.deliveries] == [(wire.DELIVERY_STATUS_SENT, 1)]
    assert (last.open_count, last.ended) == (0, True)


@pytest.mark.parametrize(
    ("table", "stop", "reason"),
    [("campaign", "paused", "CAMPAIGN_PAUSED"), ("tenant", "suspended", "TENANT_SUSPENDED")],
)
async def test_what_is_held_back_is_due_at_once_when_it_may_go_on(
    table: str,
    stop: str,
    reason: str,
    definitions: Definitions,
    decisions: Decisions,
    fleet: Fleet,
    smtp: ScriptedSmtp,
    log: Log,
    database: DatabaseUrls,
    app: asyncpg.Connection,
    tenant_a: Tenant,
) -> None:
    async def become(status: str) -> None:
        statement = f"update {table} set status = $2 where tenant_id = $1"
        if table == "campaign":
            async with decisions.tenant(tenant_a):
                await app.execute(statement, tenant_a, status)
            return
        connection = await asyncpg.connect(database.admin_url)
        await connection.execute(statement, tenant_a, status)
        await connection.close()

    decided: Decided = await decisions.send(definitions, "lan")
    await become(stop)
    runner = fleet.runner({"email": email_channel(smtp.url)})
    await runner.drain()
    assert (await log.facts(decided))[-1] == ("deferred", 0, reason)

    await become("active")
    await runner.drain()

    assert await log.status(decided) == "sent"


async def become(app: asyncpg.Connection, decisions: Decisions, decided: Decided, status: str) -> None:
    """A further fact about the first attempt; after one that ends it, nothing is left to do."""
    async with decisions.tenant(decided.tenant_id):
        await app.execute(
            "insert into delivery_log (tenant_id, delivery_key, task_id, marketing_event_id, campaign_id,"
            " profile_id, snapshot_id, channel, delivery_status) select tenant_id, delivery_key, task_id,"
            " marketing_event_id, campaign_id, profile_id, snapshot_id, channel, $2 from delivery_log"
            " where delivery_key = $1 and delivery_status = 'queued'",
            decided.delivery_key,
            status,
        )
        if status != "deferred":
            await app.execute(
                "update agent_task set status = 'completed' where task_id = $1", decided.task_id
            )


async def test_deliveries_are_listed_by_where_they_stand(
    call: Call, definitions: Definitions, decisions: Decisions, app: asyncpg.Connection
) -> None:
    async def listed() -> dict[str, int]:
        statuses = ("QUEUED", "DEFERRED", "SENT", "DELIVERED")
        pages = [
            await call("ListDeliveries", status=getattr(wire, f"DELIVERY_STATUS_{status}"))
            for status in statuses
        ]
        return {status: len(page.deliveries) for status, page in zip(statuses, pages, strict=True)}

    decided = await decisions.send(definitions, "lan")
    assert await listed() == {"QUEUED": 1, "DEFERRED": 0, "SENT": 0, "DELIVERED": 0}
    await become(app, decisions, decided, "deferred")
    assert await listed() == {"QUEUED": 0, "DEFERRED": 1, "SENT": 0, "DELIVERED": 0}
    await become(app, decisions, decided, "sent")
    assert await listed() == {"QUEUED": 0, "DEFERRED": 0, "SENT": 1, "DELIVERED": 0}
    await become(app, decisions, decided, "delivered")
    assert await listed() == {"QUEUED": 0, "DEFERRED": 0, "SENT": 0, "DELIVERED": 1}


async def test_a_page_of_a_status_looks_at_so_many_rows_and_goes_on_after_them(
    app: asyncpg.Connection, definitions: Definitions, decisions: Decisions, tenant_a: Tenant
) -> None:
    decided = await decisions.send(definitions, "lan")
    for status in ("sent", "delivered"):
        await become(app, decisions, decided, status)
    store, wanted = DispatchStore(rows_of_status=1), DeliveryFilter(status="sent")

    async with decisions.tenant(tenant_a):
        first = await store.list_deliveries(app, tenant_a, wanted, after=0, limit=10)
        assert first.reached is not None
        second = await store.list_deliveries(app, tenant_a, wanted, after=first.reached, limit=10)

    assert (first.deliveries, second) == ([], Listed([]))


async def test_lists_read_their_indexes(
    app: asyncpg.Connection, definitions: Definitions, decisions: Decisions, tenant_a: Tenant
) -> None:
    await decisions.fail(await decisions.send(definitions, "lan"))
    queries = Queries.load("dispatch")
    wanted = {
        "list_deliveries_at_status": (None, None, "failed", 100),
        "list_deliveries_under_way": (None, None, "deferred"),
        "list_deliveries_of_definition": (definitions.campaign_id, None, None),
    }
    indexes = {
        "list_deliveries_at_status": "delivery_log_status",
        "list_deliveries_under_way": "agent_task_open",
        "list_deliveries_of_definition": "delivery_log_definition",
    }
    for name, filters in wanted.items():
        async with decisions.tenant(tenant_a):
            await app.execute(
                "set local enable_seqscan = off; set local plan_cache_mode = force_generic_plan"
            )
            rows = await app.fetch(f"explain {queries[name]}", tenant_a, 0, 10, *filters)
        assert indexes[name] in "\n".join(row[0] for row in rows), name
