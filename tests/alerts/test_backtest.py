"""BacktestAlert: the same firings as live ticks give, for every kind of rule, and nothing changed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import asyncpg
import pytest
from leo.activation.v1 import alert_service_pb2 as wire
from leo_client import LeoApiError

from server.embedded.database_setup import DatabaseUrls
from tests.alerts.conftest import NANOS, START_US, Caller, add_instruments, ticks
from tests.decisions.test_backtest import contents
from tests.fixtures.tenants import Tenant

REARM = wire.ALERT_REPEAT_REARM
UP, DOWN = wire.ALERT_DIRECTION_UP, wire.ALERT_DIRECTION_DOWN
MINUTE_US = 60_000_000


def logic(operator: str, **numbers: Any) -> wire.AlertLogic:
    """`logic("ABOVE", price_nanos=…)`."""
    return wire.AlertLogic(operator=wire.AlertOperator.Value(f"ALERT_OPERATOR_{operator}"), **numbers)


HOURS = wire.ActiveHours(time_zone="Asia/Ho_Chi_Minh", start="09:00", end="15:00", days=[1, 2, 3])
RULES = {
    "above": (logic("ABOVE", price_nanos=105 * NANOS), {}),
    "above again": (
        logic("ABOVE", price_nanos=105 * NANOS, clear_price_nanos=102 * NANOS),
        {"repeat": REARM},
    ),
    "below, cooling": (logic("BELOW", price_nanos=97 * NANOS), {"repeat": REARM, "cooldown_seconds": 7_200}),
    "crosses up": (logic("CROSSES", price_nanos=100 * NANOS, direction=UP), {"repeat": REARM}),
    "crosses down, held": (
        logic("CROSSES", price_nanos=100 * NANOS, direction=DOWN, hold_seconds=600),
        {"repeat": REARM},
    ),
    "between": (
        logic("BETWEEN", low_price_nanos=99 * NANOS, high_price_nanos=101 * NANOS),
        {"repeat": REARM},
    ),
    "leaves": (
        logic("LEAVES_BAND", low_price_nanos=96 * NANOS, high_price_nanos=104 * NANOS),
        {"repeat": REARM},
    ),
    "change": (logic("CHANGE_FROM_CLOSE", change_ppm=30_000, direction=UP), {"repeat": REARM}),
    "moves": (
        logic(
            "MOVES_WITHIN", change_ppm=20_000, window_seconds=1_800, direction=DOWN, clear_change_ppm=5_000
        ),
        {"repeat": REARM},
    ),
    "high": (logic("NEW_HIGH", days=2), {"repeat": REARM}),
    "low": (logic("NEW_LOW", days=1), {"repeat": REARM}),
    "volume": (logic("VOLUME_ABOVE", volume_micros=3_000_000_000), {"repeat": REARM}),
    "in its hours": (logic("ABOVE", price_nanos=101 * NANOS, active_hours=HOURS), {"repeat": REARM}),
}


def path() -> list[wire.TickBatch]:
    """Days of a price that wanders between 90 and 110, with volumes, in messages of several days and of one tick."""
    chance, price, moment = random.Random(0), 100 * NANOS, START_US
    batches = []
    for size in (1, 300, 17, 400, 300, 2):
        batch = wire.TickBatch(symbols=["GOOG", "AAPL"], feed="path")
        for _ in range(size):
            price = min(110 * NANOS, max(90 * NANOS, price + chance.randrange(-NANOS, NANOS + 1)))
            moment += chance.choice((1, 5, 10, 20)) * MINUTE_US
            for place in (1, 0) if chance.random() < 0.2 else (1,):
                batch.symbol_indices.append(place)
                batch.price_nanos.append(price)
                batch.observed_at_us.append(moment)
                batch.volume_micros.append(chance.randrange(50_000_000))
        first = (batches[-1].sequences[-1] if batches else 0) + 1
        batch.sequences.extend(range(first, first + len(batch.symbol_indices)))
        batches.append(batch)
    return batches


def messages(
    draft: wire.AlertDraft, batches: Sequence[wire.TickBatch]
) -> Iterator[wire.BacktestAlertRequest]:
    """What the caller streams."""
    yield wire.BacktestAlertRequest(draft=draft)
    for batch in batches:
        yield wire.BacktestAlertRequest(batch=batch)


async def backtest(
    caller: Caller, draft: wire.AlertDraft, *batches: wire.TickBatch
) -> wire.BacktestAlertResponse:
    """The answer."""
    answer: wire.BacktestAlertResponse = await caller.client.alerts.BacktestAlert(messages(draft, batches))
    return answer


def told(firings: Sequence[wire.AlertFiring] | Sequence[wire.DraftFiring]) -> list[tuple[int, int, int, int]]:
    """Time and prices of firings, live or not."""
    return [
        (
            firing.fired_at.ToMicroseconds(),
            firing.price_nanos,
            firing.previous_price_nanos,
            firing.reference_price_nanos,
        )
        for firing in firings
    ]


async def test_every_kind_of_rule_fires_as_it_would_live_and_nothing_changes(
    ann: Caller, database: DatabaseUrls
) -> None:
    batches = path()
    superuser = await asyncpg.connect(database.superuser_url)
    before = await contents(superuser)
    answers = {}
    for name, (wanted, terms) in RULES.items():
        draft = wire.AlertDraft(symbol="AAPL", logic=wanted, sample_size=10_000, **terms)
        answers[name] = await backtest(ann, draft, *batches)
    assert await contents(superuser) == before
    await superuser.close()
    inputs = [
        wire.AlertRuleInput(
            profile_id="ann", symbol="AAPL", logic=wanted, source=wire.ALERT_SOURCE_USER_MANUAL, **terms
        )
        for wanted, terms in RULES.values()
    ]
    names = dict(zip(await ann.arm(*inputs), RULES, strict=True))
    live: dict[str, list[wire.AlertFiring]] = {name: [] for name in RULES}
    for batch in batches:
        for firing in (await ann.tick(batch)).firings:
            live[names[firing.rule_id]].append(firing)
    for name, answer in answers.items():
        assert told(answer.firings) == told(live[name]), name
        assert answer.fired_count == len(live[name]) > 0, name
    own = sum(place for batch in batches for place in batch.symbol_indices)
    assert {answer.accepted_count for answer in answers.values()} == {own}
    assert {answer.other_count for answer in answers.values()} == {
        sum(len(batch.symbol_indices) for batch in batches) - own
    }
    assert answers["volume"].firings[0].day_volume_micros > 3_000_000_000
    assert answers["high"].first_at.ToMicroseconds() == batches[0].observed_at_us[0]
    assert answers["high"].last_at.ToMicroseconds() == batches[-1].observed_at_us[-1]


async def test_the_list_is_bounded_and_the_count_is_not(ann: Caller) -> None:
    draft = wire.AlertDraft(
        symbol="AAPL",
        logic=logic("CROSSES", price_nanos=100 * NANOS, direction=UP),
        repeat=REARM,
        sample_size=3,
    )
    batches = [ticks(99, 101, start=2 * number) for number in range(37)]
    answer = await backtest(ann, draft, *batches)
    assert (answer.fired_count, len(answer.firings)) == (37, 3)
    assert [firing.fired_at.seconds - START_US // 10**6 for firing in answer.firings] == [1, 3, 5]
    draft.repeat, draft.sample_size = wire.ALERT_REPEAT_ONCE, 0
    answer = await backtest(ann, draft, *batches)
    assert (answer.fired_count, len(answer.firings)) == (1, 0)
    draft.repeat, draft.sample_size = REARM, 10
    draft.expires_at.FromMicroseconds(START_US + 4_000_000)
    assert (await backtest(ann, draft, *batches)).fired_count == 2


async def test_bad_ticks_are_told_by_their_place_in_the_stream(ann: Caller) -> None:
    draft = wire.AlertDraft(symbol="AAPL", logic=logic("ABOVE", price_nanos=5 * NANOS))
    first, second = ticks(1, -2, 0), ticks(3, 6, start=-1, feed="f", sequences=[1, 2])
    second.symbol_indices[0] = 7
    answer = await backtest(ann, draft, first, second, ticks(6, start=5, feed="f", sequences=[2]))
    faults = [(bad.index, wire.TickFault.Name(bad.fault)) for bad in answer.bad_ticks]
    assert faults == [(1, "TICK_FAULT_PRICE"), (2, "TICK_FAULT_PRICE"), (3, "TICK_FAULT_SYMBOL_INDEX")]
    counts = (answer.accepted_count, answer.bad_count, answer.duplicate_count, answer.fired_count)
    assert counts == (2, 3, 1, 1)
    answer = await backtest(ann, draft)
    assert (answer.accepted_count, answer.HasField("first_at"), answer.HasField("last_at")) == (
        0,
        False,
        False,
    )


async def test_faults_are_refused_with_their_paths(
    ann: Caller, bob: Caller, tenant_b: Tenant, database: DatabaseUrls
) -> None:
    await add_instruments(database, ["SECRET"], tenant_b)
    good = wire.AlertDraft(symbol="AAPL", logic=logic("ABOVE", price_nanos=NANOS))
    faulty = wire.AlertDraft(symbol="AAPL", logic=logic("BETWEEN", price_nanos=1), sample_size=-1)
    faulty.cooldown_seconds = 5
    strange = wire.AlertDraft(symbol="SECRET", logic=good.logic)
    cases = [
        (
            messages(faulty, []),
            {"draft.logic.price_nanos", "draft.logic.low_price_nanos", "draft.sample_size"},
        ),
        (messages(faulty, []), {"draft.logic.high_price_nanos", "draft.cooldown_seconds"}),
        (messages(strange, []), {"draft.symbol"}),
        (iter([wire.BacktestAlertRequest(batch=ticks(1))]), {"draft.symbol", "draft.logic.operator"}),
        (iter(()), {"draft.symbol", "draft.logic.operator"}),
        (messages(good, [ticks(1), wire.TickBatch(symbols=["AAPL"])]), {"batch.symbol_indices"}),
        (iter([wire.BacktestAlertRequest(draft=good)] * 2), {"batch.symbols"}),
    ]
    for requests, paths in cases:
        with pytest.raises(LeoApiError) as refused:
            await ann.client.alerts.BacktestAlert(requests)
        assert paths <= {violation.field for violation in refused.value.violations}, refused.value
    assert (await backtest(bob, strange, ticks(2, symbol="SECRET"))).fired_count == 1
