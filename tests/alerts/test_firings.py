"""What a firing carries, what becomes of it, and who has seen it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from leo.activation.v1 import alert_service_pb2 as wire
from leo.activation.v1 import catalog_service_pb2 as catalog
from leo_client import LeoApiError

from tests.alerts.committed import add_rules, fire, rule_ids
from tests.alerts.conftest import START_US, Caller, rule, ticks
from tests.decisions.shop import add_campaign, add_marketing_event, add_profile
from tests.fixtures.erasing import erase
from tests.fixtures.server import ClientFor
from tests.fixtures.tenants import Tenant
from tests.workers.conftest import until

FIRED_AT = datetime.fromtimestamp(START_US / 1_000_000, UTC)
_NEWS = """
    insert into news_feed (tenant_id, content_sha256, title, published_at, related_symbols, sentiment_score)
    values ($1, $2, $2, $3, $4, 0.25)
"""


async def add_news(
    proof: asyncpg.Connection, owner: Tenant | None, title: str, *, hours_before: float, symbol: str = "AAPL"
) -> None:
    """Insert an item; a global one without an owner."""
    tenant_id = None if owner is None else UUID(int=owner.int)
    await proof.execute(_NEWS, tenant_id, title, FIRED_AT - timedelta(hours=hours_before), ["XYZ", symbol])


async def firings(caller: Caller, **fields: object) -> list[wire.RecordedFiring]:
    """One page of ListAlertFirings."""
    request = wire.ListAlertFiringsRequest(**fields)  # type: ignore[arg-type]
    return list((await caller.client.alerts.ListAlertFirings(request)).firings)


async def test_a_firing_carries_the_newest_news_that_its_tenant_may_see(
    ann: Caller, app: asyncpg.Connection, proof: asyncpg.Connection, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    await add_profile(app, tenant_a, "ann")
    await add_news(proof, tenant_a, "third", hours_before=30)
    await add_news(proof, None, "second", hours_before=2)
    await add_news(proof, tenant_a, "first", hours_before=0)
    await add_news(proof, tenant_a, "fourth", hours_before=31)
    await add_news(proof, tenant_b, "of another tenant", hours_before=1)
    await add_news(proof, tenant_a, "of another symbol", hours_before=1, symbol="GOOG")
    await add_news(proof, tenant_a, "of tomorrow", hours_before=-1)
    await ann.arm(rule(">", 150, note="sell"))
    await ann.tick(ticks(151))

    async def decided() -> bool:
        return (await firings(ann))[0].status != wire.ALERT_FIRING_STATUS_PENDING

    await until(decided)
    (firing,) = await firings(ann)
    facts = json.loads(firing.attributes)
    assert [item["title"] for item in facts["news"]] == ["first", "second", "third"]
    assert facts["news"][0]["published_at"] == f"{FIRED_AT:%Y-%m-%dT%H:%M:%SZ}"
    assert (facts["threshold"], facts["price"], facts["previous_price"], facts["note"]) == (
        150,
        151,
        None,
        "sell",
    )
    linked = await proof.fetchval("select related_news_id from agent_task where queue = 'alerts'")
    assert linked == facts["news"][0]["news_id"]
    # The event that was decided is the very same, so that a server and a worker decide the same body.
    event = await proof.fetchval("select attributes from behavioral_events where profile_id = 'ann'")
    assert json.loads(event) == facts


async def test_a_template_may_tell_the_news(
    ann: Caller,
    client_for: ClientFor,
    app: asyncpg.Connection,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
) -> None:
    """The variables of a message are those of the decision: `event.news` is there, empty where there is none."""
    await add_profile(app, tenant_a, "ann")
    await add_campaign(app, tenant_a, "alerts")
    condition = {"attribute": "event.symbol", "operator": "==", "value": "AAPL"}
    await add_marketing_event(
        app, tenant_a, "alerts", "price", trigger_event_type="alert.fired", condition=condition
    )
    await add_news(proof, tenant_a, "Results", hours_before=1)
    await ann.arm(rule(">", 150), rule(">", 20, symbol="GOOG"))
    await ann.tick(ticks(151))
    await ann.tick(ticks(21, symbol="GOOG"))

    async def both_decided() -> bool:
        return not await firings(ann, status=wire.ALERT_FIRING_STATUS_PENDING)

    await until(both_decided)
    goog, aapl = await firings(ann)
    assert aapl.status == wire.ALERT_FIRING_STATUS_SEND
    assert (goog.status, goog.reason) == (wire.ALERT_FIRING_STATUS_SUPPRESSED, "CONDITION_MISS")
    assert json.loads(goog.attributes)["news"] == []
    body = "{{ event.symbol }}:{% for item in event.news %} {{ item.title }}{% endfor %}"
    preview = client_for(tenant_a, ["catalog.read"]).catalog.PreviewMessageTemplate
    for firing, said in ((aapl, "AAPL: Results"), (goog, "GOOG:")):
        request = catalog.PreviewMessageTemplateRequest(
            draft=catalog.DraftMessageTemplate(body_template=body),
            variables=b'{"event": %b}' % firing.attributes,
        )
        assert (await preview(request)).body == said


async def test_caps_and_quiet_hours_hold_the_message_and_never_the_evaluation(
    ann: Caller, app: asyncpg.Connection, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    now = datetime.now(UTC)
    await add_profile(app, tenant_a, "ann", time_zone="UTC")
    await add_campaign(
        app,
        tenant_a,
        "alerts",
        frequency_caps=[{"channel": "email", "window_seconds": 86_400, "maximum": 1}],
        quiet_hours={
            "start": f"{now - timedelta(hours=2):%H:%M}",
            "end": f"{now + timedelta(hours=4):%H:%M}",
        },
    )
    await add_marketing_event(app, tenant_a, "alerts", "price", trigger_event_type="alert.fired")
    await ann.arm(rule("up", 150), rule("up", 160), rule("up", 170))
    for start, price in enumerate((149, 151, 161, 171)):
        await ann.tick(ticks(price, start=start))
    assert {r.status for r in await ann.rules()} == {wire.ALERT_RULE_STATUS_TRIGGERED}

    async def all_decided() -> bool:
        return not await firings(ann, status=wire.ALERT_FIRING_STATUS_PENDING)

    await until(all_decided)
    told = [(wire.AlertFiringStatus.Name(f.status)[20:], f.reason) for f in await firings(ann)]
    assert sorted(told) == [("SEND", "SELECTED"), ("SUPPRESSED", "CAPPED"), ("SUPPRESSED", "CAPPED")]
    due = await proof.fetchval("select due_at from agent_task where outcome = 'send'")
    assert due > now + timedelta(hours=3)


async def test_firings_are_listed_by_what_became_of_them(
    ann: Caller, bob: Caller, app: asyncpg.Connection, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    mine, others = rule_ids(5), rule_ids(2, first=100)
    await add_rules(proof, tenant_a, mine)
    await add_rules(proof, tenant_a, others, profile_id="ben", symbol="GOOG")
    for rule_id in [*mine, *others]:
        await fire(app, tenant_a, [rule_id])
    assert [f.firing.rule_id for f in await firings(ann)] == [*others[::-1], *mine[::-1]]
    assert {f.status for f in await firings(ann)} == {wire.ALERT_FIRING_STATUS_PENDING}
    assert len(await firings(ann, profile_id="ben")) == len(await firings(ann, symbol="GOOG")) == 2
    assert [f.firing.rule_id for f in await firings(ann, rule_id=mine[2])] == [mine[2]]
    assert await firings(ann, status=wire.ALERT_FIRING_STATUS_SEND) == []
    assert await firings(bob) == []
    found: list[str] = []
    request = wire.ListAlertFiringsRequest(page={"page_size": 3})
    while True:
        answer = await ann.client.alerts.ListAlertFirings(request)
        found += [f.firing.rule_id for f in answer.firings]
        if not answer.page.next_page_token:
            break
        request.page.page_token = answer.page.next_page_token
    assert found == [*others[::-1], *mine[::-1]]


async def test_a_filter_that_little_fits_reads_on_page_by_page(
    ann: Caller, app: asyncpg.Connection, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    rare, many = rule_ids(1), rule_ids(1_500, first=100)
    await add_rules(proof, tenant_a, rare, symbol="GOOG")
    await add_rules(proof, tenant_a, many)
    await fire(app, tenant_a, rare)
    await fire(app, tenant_a, many)
    request = wire.ListAlertFiringsRequest(symbol="GOOG")
    first = await ann.client.alerts.ListAlertFirings(request)
    assert (len(first.firings), bool(first.page.next_page_token)) == (0, True)
    request.page.page_token = first.page.next_page_token
    second = await ann.client.alerts.ListAlertFirings(request)
    assert [f.firing.rule_id for f in second.firings] == rare
    assert second.page.next_page_token == ""


async def test_the_first_acknowledgement_stands(
    ann: Caller, bob: Caller, app: asyncpg.Connection, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    seen, unseen = rule_ids(2)
    await add_rules(proof, tenant_a, [seen, unseen])
    await fire(app, tenant_a, [seen, unseen])
    request = wire.AcknowledgeAlertRequest(rule_id=seen, generation=1, note="on it")
    first = (await ann.client.alerts.AcknowledgeAlert(request)).firing.acknowledgement
    assert (bool(first.acknowledged_by), first.note) == (True, "on it")
    request.note = "me too"
    again = (await ann.client.alerts.AcknowledgeAlert(request)).firing.acknowledgement
    assert again == first
    (open_one,) = await firings(ann, unacknowledged_only=True)
    assert open_one.firing.rule_id == unseen
    for caller, wrong in ((bob, request), (ann, wire.AcknowledgeAlertRequest(rule_id=seen, generation=2))):
        with pytest.raises(LeoApiError) as refused:
            await caller.client.alerts.AcknowledgeAlert(wrong)
        assert refused.value.code is grpc.StatusCode.NOT_FOUND
    # Seen is not stopped: its decision is still asked for.
    assert (
        await proof.fetchval("select count(*) from agent_task where queue = 'alerts' and status = 'pending'")
        == 2
    )


async def test_an_acknowledgement_may_silence_its_rule(
    ann: Caller, app: asyncpg.Connection, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    (rule_id,) = rule_ids(1)
    await add_rules(proof, tenant_a, [rule_id])
    await fire(app, tenant_a, [rule_id])
    until_then = Timestamp()
    until_then.FromDatetime(datetime.now(UTC) + timedelta(hours=1))
    request = wire.AcknowledgeAlertRequest(rule_id=rule_id, generation=1, silence_until=until_then)
    answer = await ann.client.alerts.AcknowledgeAlert(request)
    assert (answer.silence.rule_id, answer.silence.active) == (rule_id, True)
    await ann.client.alerts.AcknowledgeAlert(request)
    assert await proof.fetchval("select count(*) from agent_task where queue = 'silences'") == 1
    request.silence_until.FromDatetime(datetime.now(UTC) - timedelta(hours=1))
    with pytest.raises(LeoApiError) as refused:
        await ann.client.alerts.AcknowledgeAlert(request)
    assert [violation.field for violation in refused.value.violations] == ["silence_until"]


async def test_an_erased_owner_leaves_ids_and_times(
    ann: Caller, app: asyncpg.Connection, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    (rule_id,) = rule_ids(1)
    await add_profile(app, tenant_a, "ann")
    await add_rules(proof, tenant_a, [rule_id])
    await fire(app, tenant_a, [rule_id])
    async with app.transaction():
        await app.execute("select set_config('app.current_tenant_id', $1, true)", str(tenant_a))
        await erase(app, "ann")
    (firing,) = await firings(ann)
    assert (firing.firing.rule_id, firing.firing.symbol, firing.attributes) == (
        rule_id,
        "",
        b'{"erased": true}',
    )
    assert firing.status == wire.ALERT_FIRING_STATUS_CANCELLED
