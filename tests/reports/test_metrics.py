"""The numbers: counters and log agree, whatever happens to Redis, and nobody sees another tenant's."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import asyncpg
import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from leo.activation.v1 import report_service_pb2 as wire
from leo.activation.v1 import types_pb2

from server.dispatch.claims import Status
from server.dispatch.receipt_recorder import ReceiptRecorder
from server.dispatch.receipts import Receipt, ReceiptStore
from server.platform.clock import utc_now
from server.reports.jobs import COUNT_EVERY
from server.reports.telemetry import DRIFT
from tests.dispatch.conftest import Fleet, email_channel
from tests.dispatch.decided import Decided, Decisions, Definitions
from tests.dispatch.scripted_smtp import ScriptedSmtp
from tests.fixtures.tenants import Tenant
from tests.reports.conftest import Counting, GetMetrics, yesterday

CACHE, DATABASE = wire.METRICS_SOURCE_CACHE, wire.METRICS_SOURCE_DATABASE
DAY, CAMPAIGN = wire.METRICS_DIMENSION_DAY, wire.METRICS_DIMENSION_CAMPAIGN
EVENT, CHANNEL = wire.METRICS_DIMENSION_MARKETING_EVENT, wire.METRICS_DIMENSION_CHANNEL


def numbers(answer: wire.GetActivationMetricsResponse) -> dict[str, int]:
    """The counts of the only group."""
    [only] = answer.metrics
    return {field.name: value for field, value in only.ListFields() if isinstance(value, int)}


async def mixed(
    decisions: Decisions, fleet: Fleet, smtp: ScriptedSmtp, tenant: Tenant, proof: asyncpg.Connection
) -> Definitions:
    """A run of a worker: three are sent, of which one is read and one comes back; one fails, one has no consent."""
    definitions = await decisions.define(tenant)
    names = [f"{definitions.campaign_id}-{name}" for name in ("an", "binh", "chi", "dung", "em")]
    sent = [await decisions.send(definitions, await decisions.profile(tenant, name)) for name in names]
    await decisions.withdraw(tenant, names[4])
    smtp.on_recipient = lambda address: "550 nobody" if address.startswith(names[3]) else None
    await fleet.runner({"email": email_channel(smtp.url)}).drain()
    recorder = ReceiptRecorder(database=fleet.database, store=ReceiptStore())
    reports = [(sent[0], Status.DELIVERED), (sent[0], Status.READ), (sent[1], Status.BOUNCED)]
    receipts = [await receipt(proof, decided, status) for decided, status in reports]
    await asyncio.gather(*(recorder.record(tenant, "sendgrid", [each]) for each in (*receipts, *receipts)))
    return definitions


async def receipt(proof: asyncpg.Connection, decided: Decided, status: Status) -> Receipt:
    """What the provider says about a message."""
    message_id = await proof.fetchval(
        "select provider_message_id from delivery_log where tenant_id = $1 and delivery_key = $2"
        " and delivery_status = 'sent'",
        decided.tenant_id,
        decided.delivery_key,
    )
    return Receipt("sendgrid", "email", (message_id,), status)


MIXED = {"queued": 5, "sent": 3, "failed": 1, "suppressed": 1, "delivered": 1, "read": 1, "bounced": 1}


async def test_counters_agree_with_the_log_also_when_redis_loses_everything(
    decisions: Decisions,
    fleet: Fleet,
    smtp: ScriptedSmtp,
    counting: Counting,
    metrics: GetMetrics,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
) -> None:
    await mixed(decisions, fleet, smtp, tenant_a, proof)
    before = await metrics(tenant_a)
    assert (before.source, numbers(before)) == (DATABASE, MIXED)
    await counting.begin()
    first = await metrics(tenant_a)
    assert (first.source, numbers(first)) == (CACHE, MIXED)

    await mixed(decisions, fleet, smtp, tenant_a, proof)
    # As several workers do at the same moment.
    for _ in range(2):
        counting.now += COUNT_EVERY
        await asyncio.gather(*(counting.jobs().count() for _ in range(3)))
    twice = {name: number * 2 for name, number in MIXED.items()}
    second = await metrics(tenant_a)
    assert (second.source, numbers(second)) == (CACHE, twice)
    assert second.as_of.ToDatetime() > first.as_of.ToDatetime()

    await counting.redis.command("FLUSHDB")
    emptied = await metrics(tenant_a)
    assert (emptied.source, numbers(emptied)) == (DATABASE, twice)
    await mixed(decisions, fleet, smtp, tenant_a, proof)
    await counting.count(3)
    await counting.reconcile()
    thrice = {name: number * 3 for name, number in MIXED.items()}
    third = await metrics(tenant_a)
    assert (third.source, numbers(third)) == (CACHE, thrice)
    today = utc_now().date()
    assert await counting.held(tenant_a, today) == await counting.logged(tenant_a, today)


async def test_drift_is_repaired_once_and_told(
    decisions: Decisions, counting: Counting, tenant_a: Tenant
) -> None:
    definitions = await decisions.define(tenant_a)
    await decisions.send(definitions, await decisions.profile(tenant_a, "lan"))
    await counting.begin()
    today = utc_now().date()
    key = f"leo:metrics:{tenant_a}:{today}"
    [field] = [name for name in await counting.redis.command("HKEYS", key) if name.startswith(b"[")]
    await counting.redis.commands(
        [("HINCRBY", key, field, 5), ("HINCRBY", key, '["gone","m","email","sent"]', 2)]
    )
    drift = DRIFT._value.get()

    await counting.reconcile(workers=3)

    held = await counting.held(tenant_a, today)
    assert held == await counting.logged(tenant_a, today)
    assert held
    assert list(held.values()) == [1]
    assert DRIFT._value.get() - drift == 7


async def test_rows_that_become_visible_late_are_counted(
    decisions: Decisions,
    counting: Counting,
    metrics: GetMetrics,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
) -> None:
    """A row has its number before others can see it."""
    definitions = await decisions.define(tenant_a)
    await decisions.profile(tenant_a, "lan")
    decided = await decisions.send(definitions, "lan")
    await counting.begin()
    for patience, source in ((1, "the next count"), (2, "a repair")):
        open_transaction = proof.transaction()
        await open_transaction.start()
        await proof.execute(
            "insert into delivery_log (tenant_id, delivery_key, attempt, task_id, marketing_event_id,"
            " profile_id, snapshot_id, channel, delivery_status) select tenant_id, delivery_key, $2,"
            " task_id, marketing_event_id, profile_id, snapshot_id, channel, 'sent' from delivery_log"
            " where task_id = $1 and delivery_status = 'queued'",
            decided.task_id,
            patience,
        )
        await decisions.send(definitions, "lan")
        await counting.count(patience)
        await open_transaction.commit()
        await counting.count()
        if source == "a repair":
            assert numbers(await metrics(tenant_a)) == {"queued": 3, "sent": 1}
            await counting.reconcile()
        assert numbers(await metrics(tenant_a)) == {"queued": 1 + patience, "sent": patience}


async def test_counters_that_fell_behind_are_not_answered_from(
    decisions: Decisions, counting: Counting, metrics: GetMetrics, tenant_a: Tenant
) -> None:
    definitions = await decisions.define(tenant_a)
    await counting.begin()
    state = await counting.counters.state(tenant_a)
    assert state is not None
    old = counting.now.replace(year=counting.now.year - 1)
    stopped = type(state)(state.epoch, state.counted, old, state.seen, old)
    assert await counting.counters.advance(tenant_a, state, stopped, {})
    await decisions.send(definitions, await decisions.profile(tenant_a, "lan"))

    answer = await metrics(tenant_a)

    assert (answer.source, numbers(answer)) == (DATABASE, {"queued": 1})


async def test_groups_filters_pages_and_tenants(
    decisions: Decisions,
    counting: Counting,
    metrics: GetMetrics,
    tenant_a: Tenant,
    tenant_b: Tenant,
) -> None:
    """Counters and log give the same answers, to the tenant that they belong to."""
    mail, push = [await decisions.define(tenant_a) for _ in range(2)]
    await decisions.profile(tenant_a, "lan", consented=("email", "push"))
    for definitions, channel, times in ((mail, "email", 2), (push, "push", 3)):
        for _ in range(times):
            await decisions.send(definitions, "lan", channels=[channel])
    await decisions.fail(await decisions.send(mail, "lan"))

    async def answers(tenant: Tenant, **fields: Any) -> list[tuple[str, str, str, int, int]]:
        found: list[tuple[str, str, str, int, int]] = []
        page = types_pb2.PageRequest(page_size=1)
        while True:
            answer = await metrics(tenant, page=page, **fields)
            found += [
                (each.campaign_id, each.marketing_event_id, each.channel, each.queued, each.failed)
                for each in answer.metrics
            ]
            page.page_token = answer.page.next_page_token
            if not page.page_token:
                return found

    asked: list[dict[str, Any]] = [
        {},
        {"group_by": [CHANNEL]},
        {"group_by": [DAY, CAMPAIGN, EVENT, CHANNEL], "since": yesterday(90)},
        {"channel": "push"},
        {"campaign_id": mail.campaign_id},
        {"marketing_event_id": push.marketing_event_id, "group_by": [CAMPAIGN]},
        {"since": yesterday(3), "until": yesterday(2)},
    ]
    from_log = [await answers(tenant_a, **fields) for fields in asked]
    await counting.begin()
    # Ten of the missing days at a time.
    for _ in range(10):
        await counting.jobs().reconcile()
    from_counters = [await answers(tenant_a, **fields) for fields in asked]
    whole = await metrics(tenant_a, since=yesterday(90))

    assert whole.source == CACHE
    assert from_counters == from_log
    assert from_log[0] == [("", "", "", 6, 1)]
    assert from_log[1] == [("", "", "email", 3, 1), ("", "", "push", 3, 0)]
    assert from_log[2] == sorted(
        [
            (mail.campaign_id, mail.marketing_event_id, "email", 3, 1),
            (push.campaign_id, push.marketing_event_id, "push", 3, 0),
        ]
    )
    assert from_log[3:5] == [[("", "", "", 3, 0)], [("", "", "", 3, 1)]]
    assert from_log[5] == [(push.campaign_id, "", "", 3, 0)]
    assert from_log[6] == []
    for fields in asked:
        assert await answers(tenant_b, **fields) == []


BAD: Final[list[tuple[dict[str, Any], list[str]]]] = [
    ({"since": ""}, ["since"]),
    ({"since": "2026-02-30"}, ["since"]),
    ({"since": "0001-01-01"}, ["since"]),
    ({"since": "2020-01-01"}, ["since"]),
    ({"since": "2026-01-01", "until": "2026-04-03"}, ["until"]),
    ({"since": "2026-01-02", "until": "2026-01-01"}, ["until"]),
    ({"group_by": [DAY, DAY]}, ["group_by[1]"]),
    ({"group_by": [0], "channel": "pigeon"}, ["channel", "group_by[0]"]),
    ({"marketing_event_id": "thanks"}, ["marketing_event_id"]),
    ({"page": types_pb2.PageRequest(page_token="AAAA")}, ["page.page_token"]),
]


async def test_bad_requests_name_the_field(metrics: GetMetrics, tenant_a: Tenant) -> None:
    for fields, faults in BAD:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await metrics(tenant_a, **fields)
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert sorted(_fields_of(refused.value)) == faults


def _fields_of(error: grpc.aio.AioRpcError) -> list[str]:
    status = rpc_status.from_call(error)
    assert status is not None
    for detail in status.details:
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            return [violation.field for violation in bad.field_violations]
    return []
