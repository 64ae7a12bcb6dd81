"""Rules and ticks through the real server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import asyncpg
import grpc
import pytest
from leo.activation.v1 import alert_service_pb2 as wire
from leo.activation.v1 import decision_service_pb2 as decisions
from leo.activation.v1 import error_reason_pb2
from leo_client import LeoApiError

from tests.alerts.conftest import NANOS, START_US, Caller, rule, ticks
from tests.decisions.shop import add_campaign, add_marketing_event, add_profile
from tests.fixtures.tenants import Tenant
from tests.workers.conftest import until


async def test_each_kind_fires_once_at_the_tick_that_it_waits_for(ann: Caller) -> None:
    above, below, up, down = await ann.arm(rule(">", 150), rule("<", 100), rule("up", 120), rule("down", 120))
    result = await ann.tick(ticks(120, 150, 120, 119, 121, 150.000000001, 100, 99, 200))
    assert [(firing.rule_id, firing.tick_index) for firing in result.firings] == [
        (up, 1),
        (down, 3),
        (above, 5),
        (below, 7),
    ]
    firing = result.firings[2]
    assert (firing.price_nanos, firing.previous_price_nanos) == (150_000_000_001, 121 * NANOS)
    assert firing.fired_at.ToMicroseconds() == START_US + 5_000_000
    assert (result.accepted_count, result.fired_count) == (9, 4)
    assert {r.status for r in await ann.rules()} == {wire.ALERT_RULE_STATUS_TRIGGERED}


async def test_prices_are_exact_to_the_last_digit(ann: Caller) -> None:
    batch = ticks(1, 1, 1)
    threshold = 9_007_199_254_740_993  # no float holds it
    await ann.arm(rule(">", 1))
    odd = rule(">", 1)
    odd.logic.price_nanos = threshold
    (exact,) = await ann.arm(odd)
    batch.price_nanos[:] = [threshold - 1, threshold, threshold + 1]
    result = await ann.tick(batch)
    assert [f.tick_index for f in result.firings if f.rule_id == exact] == [2]


async def test_a_rule_put_twice_is_one_and_put_again_after_it_fired_is_armed_again(ann: Caller) -> None:
    first, second = await ann.put(rule(">", 150), rule(">", 150, note="sell"))
    assert first.put.rule_id == second.put.rule_id
    (again,) = await ann.put(rule(">", 150, note="sell"))
    assert (again.put.armed, again.put.generation) == (False, 1)
    assert [r.note for r in await ann.rules()] == ["sell"]
    assert (await ann.tick(ticks(151))).fired_count == 1
    assert (await ann.tick(ticks(152, start=1))).fired_count == 0
    (armed,) = await ann.put(rule(">", 150))
    assert (armed.put.armed, armed.put.generation) == (True, 2)
    (firing,) = (await ann.tick(ticks(153, start=2))).firings
    assert firing.generation == 2
    assert firing.source_event_id == f"alert:{firing.rule_id}:2"


async def test_a_deleted_rule_does_not_fire_and_deleting_is_idempotent(ann: Caller) -> None:
    (rule_id,) = await ann.arm(rule(">", 150))
    for _ in range(2):
        request = wire.DeleteAlertRuleRequest(rule_id=rule_id)
        answer = await ann.client.alerts.DeleteAlertRule(request)
        assert answer.rule.status == wire.ALERT_RULE_STATUS_DISABLED
    assert (await ann.tick(ticks(151))).fired_count == 0
    with pytest.raises(LeoApiError) as caught:
        await ann.client.alerts.DeleteAlertRule(wire.DeleteAlertRuleRequest(rule_id="0" * 64))
    assert caught.value.reason == "RESOURCE_NOT_FOUND"


async def test_bad_ticks_are_told_by_index_and_the_others_go_on(ann: Caller) -> None:
    (rule_id,) = await ann.arm(rule(">", 150))
    batch = wire.TickBatch(
        symbols=["AAPL", "NONE"],
        symbol_indices=[0, 0, 1, 9, 0, 0, 0, 0],
        price_nanos=[100 * NANOS, 0, 5, 5, -5, 100 * NANOS, 100 * NANOS, 151 * NANOS],
        observed_at_us=[START_US, START_US, START_US, START_US, START_US, START_US - 1, 2**62, START_US],
    )
    result = await ann.tick(batch)
    assert {bad.index: bad.fault for bad in result.bad_ticks} == {
        1: wire.TICK_FAULT_PRICE,
        2: wire.TICK_FAULT_UNKNOWN_SYMBOL,
        3: wire.TICK_FAULT_SYMBOL_INDEX,
        4: wire.TICK_FAULT_PRICE,
        5: wire.TICK_FAULT_TIME_BACKWARDS,
        6: wire.TICK_FAULT_TIME_RANGE,
    }
    assert result.accepted_count == 2
    assert [(f.rule_id, f.tick_index) for f in result.firings] == [(rule_id, 7)]


async def test_faulty_rules_are_refused_with_their_path_and_the_others_stay(ann: Caller) -> None:
    bad_price, no_direction = rule(">", 0), rule("up", 5)
    no_direction.logic.ClearField("direction")
    no_source = rule(">", 5)
    no_source.ClearField("source")
    results = await ann.put(
        rule(">", 150), bad_price, no_direction, no_source, rule(">", 1, symbol="NONE"), wire.AlertRuleInput()
    )
    assert results[0].put.armed
    assert [result.error.field for result in results[1:]] == [
        "rules[1].logic.price_nanos",
        "rules[2].logic.direction",
        "rules[3].source",
        "rules[4].symbol",
        "rules[5].profile_id",
    ]
    assert {result.error.reason for result in results[1:]} == {error_reason_pb2.INVALID_FIELD}
    assert len(await ann.rules()) == 1


async def test_tenants_do_not_meet(ann: Caller, bob: Caller, proof: asyncpg.Connection) -> None:
    (rule_id,) = await ann.arm(rule(">", 150))
    (refused,) = await bob.put(rule(">", 150))
    assert refused.error.field == "rules[0].symbol"
    result = await bob.tick(ticks(151))
    assert [bad.fault for bad in result.bad_ticks] == [wire.TICK_FAULT_UNKNOWN_SYMBOL]
    assert await bob.rules() == []
    with pytest.raises(LeoApiError) as caught:
        await bob.client.alerts.DeleteAlertRule(wire.DeleteAlertRuleRequest(rule_id=rule_id))
    assert caught.value.code is grpc.StatusCode.NOT_FOUND
    assert await proof.fetchval("select count(*) from alert_rules where status = 'ACTIVE'") == 1


async def test_equal_symbols_of_two_tenants_have_prices_of_their_own(
    ann: Caller, bob: Caller, tenant_b: Tenant, proof: asyncpg.Connection
) -> None:
    await proof.execute(
        "insert into instruments (tenant_id, symbol, instrument_name, type) values ($1, 'AAPL', 'other', 'STOCK')",
        tenant_b,
    )
    await ann.arm(rule("up", 150))
    await bob.arm(rule("up", 150))
    await ann.tick(ticks(100))
    assert (await bob.tick(ticks(200))).fired_count == 0
    assert (await ann.tick(ticks(200, start=1))).fired_count == 1
    assert [r.status for r in await bob.rules()] == [wire.ALERT_RULE_STATUS_ACTIVE]


async def test_a_global_tick_fires_rules_of_all_tenants_and_tells_each_caller_its_own(
    ann: Caller, bob: Caller, feed: Caller
) -> None:
    await ann.arm(rule(">", 300, symbol="MSFT"))
    (own,) = await bob.arm(rule(">", 310, symbol="MSFT"))
    batch = ticks(299, 320, symbol="MSFT", global_instruments=True)
    with pytest.raises(LeoApiError) as caught:
        await ann.tick(batch)
    assert caught.value.code is grpc.StatusCode.PERMISSION_DENIED
    assert caught.value.metadata["required_scope"] == "ticks.write"
    result = await feed.tick(batch)
    assert result.fired_count == 2
    assert [firing.rule_id for firing in result.firings] == [own]
    assert [r.status for r in await ann.rules()] == [wire.ALERT_RULE_STATUS_TRIGGERED]


async def test_ticks_of_a_feed_that_come_again_change_nothing(ann: Caller, proof: asyncpg.Connection) -> None:
    await ann.arm(rule("down", 150))
    batch = ticks(149, 151, feed="f", sequences=[1, 2])
    batch.observed_at_us[:] = [START_US, START_US]
    assert (await ann.tick(batch)).acknowledged_sequence == 2
    again = await ann.tick(batch)
    assert (again.duplicate_count, again.accepted_count, again.fired_count) == (2, 0, 0)
    row = await proof.fetchrow(
        "select price_nanos, previous_price_nanos, feed, sequence, observed_at, epoch from market_snapshot"
    )
    *state, observed_at, epoch = row.values()
    assert state == [151 * NANOS, 149 * NANOS, "f", 2]
    assert (observed_at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) == START_US
    assert epoch > 0


@pytest.mark.parametrize(
    ("batch", "field"),
    [
        (wire.TickBatch(), "batch.symbols"),
        (ticks(1, observed_at_us=[1]), "batch.observed_at_us"),
        (ticks(1, price_nanos=[1]), "batch.price_nanos"),
        (ticks(1, symbols=["AAPL"]), "batch.symbols"),
        (ticks(1, sequences=[1]), "batch.feed"),
        (ticks(1, feed="f"), "batch.sequences"),
        (ticks(1, 2, feed="f", sequences=[2, 2]), "batch.sequences[1]"),
    ],
)
async def test_a_faulty_batch_is_refused_as_a_whole(ann: Caller, batch: wire.TickBatch, field: str) -> None:
    with pytest.raises(LeoApiError) as caught:
        await ann.tick(batch)
    assert field in [violation.field for violation in caught.value.violations]


async def test_a_firing_becomes_a_decision_that_sends(
    ann: Caller, app: asyncpg.Connection, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await add_campaign(app, tenant_a, "alerts")
    event_id = await add_marketing_event(
        app, tenant_a, "alerts", "price-alert", trigger_event_type="alert.fired", cooldown_seconds=0
    )
    await add_profile(app, tenant_a, "ann")
    await add_profile(app, tenant_a, "ben", consents=())
    await ann.arm(rule(">", 150, note="sell half"), rule(">", 150, profile_id="ben"))
    firings = (await ann.tick(ticks(149.5, 151.25))).firings
    assert len(firings) == 2

    async def ended() -> bool:
        return bool(
            await proof.fetchval(
                "select count(*) = 2 from agent_task where queue = 'alerts' and status = 'completed'"
            )
        )

    await until(ended)
    for firing in firings:
        request = decisions.GetDecisionRequest(source_event_id=firing.source_event_id)
        answer = await ann.client.decisions.GetDecision(request)
        assert answer.event_type == "alert.fired"
        if firing.profile_id == "ann":
            assert answer.decision.marketing_event_id == event_id
        else:
            assert answer.decision.reason == decisions.DECISION_REASON_NO_CONSENT
    queued = await proof.fetch("select profile_id from delivery_log where delivery_status = 'queued'")
    assert [row["profile_id"] for row in queued] == ["ann"]
    attributes = await proof.fetchval(
        "select attributes::text from behavioral_events where profile_id = 'ann'"
    )
    assert '"note": "sell half"' in attributes
    assert '"price": 151.25' in attributes


async def test_a_stream_is_answered_message_by_message(ann: Caller) -> None:
    (rule_id,) = await ann.arm(rule("up", 500))

    async def messages():  # type: ignore[no-untyped-def]
        for number in range(200):
            batch = ticks(number * 10 + 1, start=number, feed="f", sequences=[number + 1])
            yield wire.StreamTicksRequest(batch=batch)

    answers = [answer.result async for answer in ann.client.alerts.StreamTicks(messages())]
    assert [answer.acknowledged_sequence for answer in answers] == list(range(1, 201))
    fired = [(place, f.rule_id) for place, answer in enumerate(answers) for f in answer.firings]
    assert fired == [(50, rule_id)]


async def test_rules_are_listed_page_by_page_with_filters(ann: Caller) -> None:
    await ann.arm(
        *(rule(">", 100 + n, profile_id=f"p{n % 2}") for n in range(7)), rule("<", 5, symbol="GOOG")
    )
    first = await ann.client.alerts.ListAlertRules(
        wire.ListAlertRulesRequest(page={"page_size": 5}, symbol="AAPL")
    )
    second = await ann.client.alerts.ListAlertRules(
        wire.ListAlertRulesRequest(
            page={"page_size": 5, "page_token": first.page.next_page_token}, symbol="AAPL"
        )
    )
    assert (len(first.rules), len(second.rules), second.page.next_page_token) == (5, 2, "")
    assert len(await ann.rules(profile_id="p1")) == 3
    assert len(await ann.rules(status=wire.ALERT_RULE_STATUS_TRIGGERED)) == 0
