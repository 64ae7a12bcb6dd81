"""Webhooks over real HTTP: what is taken, what is refused, and what stands in the log afterwards."""

from __future__ import annotations

import asyncio
import json
import random
from datetime import UTC, datetime

import asyncpg
import orjson
import pytest
from prometheus_client import REGISTRY

from server.dispatch.claims import Status
from server.dispatch.receipt_jobs import MOST_LOOKS, ReceiptJobs
from server.dispatch.receipt_recorder import ReceiptRecorder
from server.dispatch.receipts import Receipt, ReceiptStore
from server.embedded.database_setup import DatabaseUrls
from server.http.webhooks.listener import webhooks
from server.platform.clock import utc_now
from server.platform.postgres import Database
from server.workers.routes import CeleryQueue, TaskName, celery_queue_of, wake_up_of
from tests.decisions.waiting import locked, waiting_for_locks
from tests.fixtures.logs import LogReader
from tests.fixtures.tenants import Tenant
from tests.http.webhooks.conftest import KEYS, Shop, Site
from tests.http.webhooks.wires import (
    NOW,
    PSID,
    TELLING,
    WIRES,
    Facebook,
    Sendgrid,
    Sent,
    Telegram,
    Whatsapp,
    Wire,
    Zalo,
)
from tests.platform.proxy import CuttingProxy

TAKEN = (200, "")
RECEIPTS = "select count(*) from delivery_log where delivery_status in ('delivered', 'read', 'bounced')"


def figure(provider: str, state: str) -> float:
    return REGISTRY.get_sample_value("leo_receipts_total", {"provider": provider, "state": state}) or 0.0


@pytest.fixture(params=TELLING, ids=lambda kind: kind.__name__)
def wire(request: pytest.FixtureRequest) -> Wire:
    made: Wire = request.param()
    return made


async def test_a_receipt_is_recorded_once_and_only_when_it_is_signed(
    site: Site, shop: Shop, proof: asyncpg.Connection, wire: Wire, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    """Valid, replayed, unsigned, forged, with another tenant's secret, and to another tenant's path."""
    other = type(wire)()
    await shop.account(tenant_a, wire)
    await shop.account(tenant_b, other)
    mine = await shop.sent(tenant_a, wire.channel, "message-1")
    theirs = await shop.sent(tenant_b, wire.channel, "message-2")
    sent = wire.sent(wire.delivered("message-1"))
    forged = other.sent(wire.delivered("message-1"))

    assert await site.post(tenant_a, wire.name, Sent(sent.body, {})) == (401, "SIGNATURE_MISSING")
    assert await site.post(tenant_a, wire.name, forged) == (401, "SIGNATURE_INVALID")
    changed = Sent(sent.body.replace(b"message-1", b"message-2"), sent.headers)
    assert await site.post(tenant_a, wire.name, changed) == (401, "SIGNATURE_INVALID")
    assert await proof.fetchval(RECEIPTS) == 0

    answers = await asyncio.gather(*(site.post(tenant_a, wire.name, sent) for _ in range(8)))
    assert set(answers) == {TAKEN}
    assert await site.post(tenant_a, wire.name, sent) == TAKEN
    assert await shop.receipts(mine) == [("delivered", None)]
    stands = await shop.stands(mine)
    assert (stands["delivery_status"], stands["attempt"], stands["provider_message_id"]) == (
        "delivered",
        1,
        "message-1",
    )
    assert stands["sent_at"] is not None

    # B's provider names A's message: B has none of that id.
    assert await site.post(tenant_b, wire.name, other.sent(other.delivered("message-1"))) == TAKEN
    assert await shop.receipts(mine) == [("delivered", None)]
    assert await shop.receipts(theirs) == []
    assert len(await shop.aside(tenant_b)) == 1
    assert await shop.aside(tenant_a) == []


@pytest.mark.parametrize("kind", [kind for kind in TELLING if kind.reads], ids=lambda kind: kind.__name__)
async def test_read_before_delivered(site: Site, shop: Shop, kind: type[Wire], tenant_a: Tenant) -> None:
    wire = kind()
    await shop.account(tenant_a, wire)
    decided = await shop.sent(tenant_a, wire.channel, "message-1")
    assert await site.post(tenant_a, wire.name, wire.sent(wire.read("message-1"))) == TAKEN
    assert await site.post(tenant_a, wire.name, wire.sent(wire.delivered("message-1"))) == TAKEN
    assert await shop.receipts(decided) == [("read", None), ("delivered", None)]
    assert (await shop.stands(decided))["delivery_status"] == "read", "a status never goes backwards"


@pytest.mark.parametrize("kind", WIRES, ids=lambda kind: kind.__name__)
async def test_garbage_is_refused(
    site: Site, shop: Shop, kind: type[Wire], tenant_a: Tenant, tenant_b: Tenant, logged: LogReader
) -> None:
    wire = kind()
    assert await site.post(tenant_a, wire.name, wire.sent({})) == (401, "WEBHOOK_NOT_CONFIGURED")
    await shop.account(tenant_b, wire)
    for body in (b"", b"\x00\xff", b'{"entry": [', b"[" * 100_000, b'"text"'):
        status, reason = await site.post(tenant_b, wire.name, Sent(body, wire.signed(body)))
        # Zalo's timestamp stands in the body: without one nothing can be right.
        refused = {(400, "BODY_NOT_JSON"), (400, "BODY_NOT_OF_THIS_PROVIDER"), (401, "SIGNATURE_INVALID")}
        assert (status, reason) in refused, body[:20]
        assert await site.post(tenant_b, wire.name, Sent(body, {})) == (401, "SIGNATURE_MISSING")
    huge = b"[" + b" " * 1_100_000 + b"]"
    assert await site.post(tenant_b, wire.name, Sent(huge, wire.signed(huge))) == (413, "BODY_TOO_LARGE")
    secrets = [value for name, value in wire.values.items() if "secret" in name or "token" in name]
    assert not any(secret in logged.text() for secret in secrets)


async def test_nobody_is_there(site: Site, tenant_a: Tenant) -> None:
    assert await site.post(tenant_a, "nobody", Sent(b"[]", {})) == (404, "NO_SUCH_WEBHOOK")
    async with site.session.post(f"http://{site.address}/webhooks/sendgrid/no-tenant") as answer:
        assert answer.status == 404


async def test_telegram_is_acknowledged(site: Site, shop: Shop, tenant_a: Tenant) -> None:
    wire = Telegram()
    await shop.account(tenant_a, wire)
    assert await site.post(tenant_a, wire.name, wire.sent()) == TAKEN
    wrong = Sent(b"{}", {"X-Telegram-Bot-Api-Secret-Token": "gue\u00dft"})
    assert await site.post(tenant_a, wire.name, wrong) == (401, "SIGNATURE_INVALID")


@pytest.mark.parametrize("wire", [Whatsapp(), Facebook()], ids=lambda wire: wire.name)
async def test_meta_asks_whether_somebody_is_there(
    site: Site, shop: Shop, wire: Wire, tenant_a: Tenant
) -> None:
    await shop.account(tenant_a, wire)
    query = {"hub.mode": "subscribe", "hub.challenge": "1158201444"}
    right = {**query, "hub.verify_token": wire.values["verify_token"]}
    assert await site.get(tenant_a, wire.name, right) == (200, "1158201444")
    for wrong in (query, {**query, "hub.verify_token": "guess"}):
        assert (await site.get(tenant_a, wire.name, wrong))[0] == 401
    assert (await site.get(tenant_a, wire.name, {**right, "hub.challenge": ""}))[0] == 400


async def test_bounces_say_why(site: Site, shop: Shop, tenant_a: Tenant) -> None:
    sendgrid, whatsapp = Sendgrid(), Whatsapp()
    await shop.account(tenant_a, sendgrid)
    await shop.account(tenant_a, whatsapp)
    mails = [await shop.sent(tenant_a, "email", f"mail-{number}.dfd.64b469") for number in range(3)]
    message = await shop.sent(tenant_a, "whatsapp", "wamid.1")
    sent = sendgrid.sent(
        sendgrid.event(
            "bounce", "mail-0.dfd.64b469", type="bounce", status="5.1.1", reason="lan@example.com"
        ),
        sendgrid.event("bounce", "mail-1.dfd.64b469", type="blocked", status="4.7.1"),
        sendgrid.event("dropped", "mail-2.dfd.64b469", reason="Bounced Address"),
        sendgrid.event("processed", "mail-0.dfd.64b469"),
    )
    assert await site.post(tenant_a, "sendgrid", sent) == TAKEN
    error = {"code": 131026, "title": "Message undeliverable"}
    failed = whatsapp.sent(whatsapp.status("failed", "wamid.1", errors=[error]))
    assert await site.post(tenant_a, "whatsapp_cloud", failed) == TAKEN

    reasons = [await shop.receipts(each) for each in (*mails, message)]
    assert reasons == [
        [("bounced", "SENDGRID_BOUNCED")],
        [("bounced", "SENDGRID_BLOCKED")],
        [("bounced", "SENDGRID_DROPPED")],
        [("bounced", "META_131026")],
    ]
    stands = await shop.stands(mails[0])
    told = orjson.loads(stands["provider_response"])
    assert told["status"] == "5.1.1"
    assert datetime.fromisoformat(told["at"]) == datetime.fromtimestamp(NOW, UTC)


async def test_a_large_batch_in_one_request(
    site: Site, shop: Shop, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    wire = Sendgrid()
    await shop.account(tenant_a, wire)
    decided = await shop.sent(tenant_a, "email", "message-1")
    events = [wire.delivered(f"other-{number}") for number in range(1_500)]
    sent = wire.sent(*events, wire.delivered("message-1"))
    assert await site.post(tenant_a, wire.name, sent) == TAKEN
    assert await shop.receipts(decided) == [("delivered", None)]
    assert len(await shop.aside(tenant_a)) == 1_500


@pytest.mark.parametrize("wire", [Sendgrid(), Whatsapp(), Zalo()], ids=lambda wire: wire.name)
async def test_our_reference_finds_what_has_no_id(
    site: Site, shop: Shop, wire: Wire, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    """The provider's answer was lost, so the delivery is unknown: its receipt tells."""
    await shop.account(tenant_a, wire)
    decided = await shop.sent(tenant_a, wire.channel, None)
    theirs = await shop.sent(tenant_b, wire.channel, None)
    for reference in (decided.delivery_key, theirs.delivery_key):
        sent = wire.sent(wire.delivered("late-id", reference))
        assert await site.post(tenant_a, wire.name, sent) == TAKEN
    stands = await shop.stands(decided)
    assert (stands["delivery_status"], stands["attempt"]) == ("delivered", 1)
    assert stands["provider_message_id"].startswith("late-id")
    assert await shop.receipts(theirs) == []


async def test_a_receipt_is_told_of_every_delivery_of_a_message(
    site: Site, shop: Shop, tenant_a: Tenant
) -> None:
    """Alerts of a night are one message, and have one id."""
    wire = Whatsapp()
    await shop.account(tenant_a, wire)
    together = [await shop.sent(tenant_a, wire.channel, "message-1") for _ in range(3)]
    other = await shop.sent(tenant_a, wire.channel, "message-2")
    for _ in range(2):
        assert await site.post(tenant_a, wire.name, wire.sent(wire.delivered("message-1"))) == TAKEN
    assert [await shop.receipts(one) for one in together] == [[("delivered", None)]] * 3
    assert await shop.receipts(other) == []


async def test_a_receipt_after_the_fallback_is_a_double(site: Site, shop: Shop, tenant_a: Tenant) -> None:
    wire = Whatsapp()
    await shop.account(tenant_a, wire)
    decided = await shop.sent(tenant_a, "whatsapp", "wamid.1")
    await shop.fall_back(decided, "email")
    assert await site.post(tenant_a, wire.name, wire.sent(wire.delivered("wamid.1"))) == TAKEN
    assert await shop.receipts(decided) == [("delivered", "LATE_RECEIPT")]


async def test_a_bounce_ends_the_wait_for_a_receipt(
    site: Site, shop: Shop, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    wire = Whatsapp()
    await shop.account(tenant_a, wire)
    bounced = await shop.sent(tenant_a, "whatsapp", "wamid.1")
    delivered = await shop.sent(tenant_a, "whatsapp", "wamid.2")
    await proof.execute("update agent_task set due_at = now() + interval '1 hour'")
    sent = wire.sent(wire.status("failed", "wamid.1"), wire.delivered("wamid.2"))
    assert await site.post(tenant_a, wire.name, sent) == TAKEN
    rows = await proof.fetch("select task_id, due_at <= now() as due from agent_task")
    assert {row["task_id"]: row["due"] for row in rows} == {bounced.task_id: True, delivered.task_id: False}
    assert await shop.receipts(bounced) == [("bounced", "META_UNKNOWN")]


async def test_messenger_reads_until_a_time(
    site: Site, shop: Shop, proof: asyncpg.Connection, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    wire = Facebook()
    await shop.account(tenant_a, wire)
    first = await shop.sent(tenant_a, "facebook", "m_1", destination=PSID)
    second = await shop.sent(tenant_a, "facebook", "m_2", destination=PSID)
    until = await proof.fetchval("select (extract(epoch from clock_timestamp()) * 1000)::bigint + 1")
    later = await shop.sent(tenant_a, "facebook", "m_3", destination=PSID)
    others = [
        await shop.sent(tenant_a, "facebook", "m_4", destination="1"),
        await shop.sent(tenant_b, "facebook", "m_5", destination=PSID),
    ]
    delivered = wire.sent(wire.event(delivery={"watermark": until}))
    read = wire.sent(wire.event(read={"watermark": until}))
    for sent in (delivered, read, read):
        assert await site.post(tenant_a, wire.name, sent) == TAKEN
    for decided in (first, second):
        assert await shop.receipts(decided) == [("delivered", None), ("read", None)]
    for decided in (later, *others):
        assert await shop.receipts(decided) == []
    assert await shop.aside(tenant_a) == []


async def test_unknown_ids_are_kept_and_matched_again(
    site: Site, shop: Shop, worker_database: Database, tenant_a: Tenant
) -> None:
    wire = Sendgrid()
    await shop.account(tenant_a, wire)
    before = {state: figure("sendgrid", state) for state in ("kept_aside", "matched_later", "unmatched")}
    sent = wire.sent(wire.delivered("early"), wire.delivered("stranger"))
    for _ in range(2):
        assert await site.post(tenant_a, wire.name, sent) == TAKEN
    kept = await shop.aside(tenant_a)
    assert [(row["task_type"], row["status"]) for row in kept] == [("evaluate", "pending")] * 2
    assert not any("lan@example.com" in row["inputs"] for row in kept)
    assert wake_up_of("receipts") == (TaskName.MATCH_RECEIPTS, ())
    assert celery_queue_of("receipts") is CeleryQueue.MAINTENANCE

    jobs = ReceiptJobs(database=worker_database, store=ReceiptStore(), clock=utc_now, worker="host:1")
    await jobs.match_again()
    assert all(row["attempts"] == 0 for row in await shop.aside(tenant_a)), "not due yet"
    decided = await shop.sent(tenant_a, "email", "early")
    for _ in range(MOST_LOOKS + 1):
        await shop.make_due()
        await jobs.match_again()
    assert await shop.receipts(decided) == [("delivered", None)]
    ends = [(row["attempts"], row["status"], json.loads(row["result"])) for row in await shop.aside(tenant_a)]
    assert sorted(ends, key=lambda end: end[0]) == [
        (1, "completed", {"matched": True}),
        (MOST_LOOKS, "completed", {"matched": False}),
    ]
    assert {row["inputs"] for row in await shop.aside(tenant_a)} == {"{}"}, "an id may hold a number"
    after = {state: figure("sendgrid", state) - number for state, number in before.items()}
    assert after == {"kept_aside": 2, "matched_later": 1, "unmatched": 1}


async def test_the_answer_follows_the_commit(
    site: Site, shop: Shop, database: DatabaseUrls, watcher: asyncpg.Connection, tenant_a: Tenant
) -> None:
    wire = Whatsapp()
    await shop.account(tenant_a, wire)
    decided = await shop.sent(tenant_a, "whatsapp", "wamid.1")
    async with locked(database.owner_url, "delivery_log"):
        answer = asyncio.create_task(site.post(tenant_a, wire.name, wire.sent(wire.delivered("wamid.1"))))
        await waiting_for_locks(watcher, 1)
        assert not answer.done()
    assert await answer == TAKEN
    assert await shop.receipts(decided) == [("delivered", None)]


async def test_lost_connections_are_told_and_the_repetition_is_one_row(
    site: Site, shop: Shop, database: DatabaseUrls, tenant_a: Tenant
) -> None:
    """The statement may have arrived, its answer did not: the provider sends it again, to another server."""
    wire = Whatsapp()
    await shop.account(tenant_a, wire)
    decided = await shop.sent(tenant_a, "whatsapp", "wamid.1")
    sent = wire.sent(wire.delivered("wamid.1"))
    async with CuttingProxy(database.app_url) as proxy:
        pool = await Database.connect(
            proxy.url, minimum_connections=1, maximum_connections=2, application_name="test-server"
        )
        async with webhooks(
            "127.0.0.1:0", database=pool, keys=KEYS, share_port=False, drain_seconds=1
        ) as address:
            cut = Site(address, site.session)
            assert await cut.post(tenant_a, wire.name, wire.sent(wire.status("sent", "wamid.1"))) == TAKEN
            proxy.lose_answers()
            status, reason = await cut.post(tenant_a, wire.name, sent)
            assert (status, reason.isupper()) == (503, True)
        await pool.close()
    assert await site.post(tenant_a, wire.name, sent) == TAKEN
    assert await shop.receipts(decided) == [("delivered", None)]


async def test_two_servers_get_the_same_at_once(
    shop: Shop, app_database: Database, worker_database: Database, tenant_a: Tenant
) -> None:
    """In opposite orders: each receipt is one row, and nobody waits for the other in a circle."""
    decided = [await shop.sent(tenant_a, "whatsapp", f"wamid.{number}") for number in range(20)]
    receipts = [
        Receipt("whatsapp_cloud", "whatsapp", (f"wamid.{number}",), status)
        for number in range(20)
        for status in (Status.DELIVERED, Status.READ)
    ]
    recorders = [
        ReceiptRecorder(database=each, store=ReceiptStore()) for each in (app_database, worker_database)
    ]
    orders = [random.Random(seed).sample(receipts, len(receipts)) for seed in range(20)]
    await asyncio.gather(
        *(
            recorders[number % 2].record(tenant_a, "whatsapp_cloud", order[: number + 10])
            for number, order in enumerate(orders)
        )
    )
    await recorders[0].record(tenant_a, "whatsapp_cloud", receipts)
    for each in decided:
        assert sorted(status for status, _ in await shop.receipts(each)) == ["delivered", "read"]
