"""Every kind of rule through the real server: what fires, what survives, what is refused."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import asyncpg
import orjson
import pytest
from leo.activation.v1 import alert_service_pb2 as wire
from leo.activation.v1 import catalog_service_pb2 as catalog
from leo_client import LeoApiError

from server.alerts.firing_store import FiringStore
from server.alerts.jobs import AlertJobs
from server.alerts.rule_messages import to_rule
from server.alerts.store import AlertStore
from server.config import ServerSettings
from server.embedded.database_setup import DatabaseUrls
from server.platform.postgres import Database
from server.validation import Violations
from tests.alerts.conftest import NANOS, SCOPES, START_US, Caller, rule, ticks
from tests.alerts.naive import MICRO, Naive, NaiveFiring, NaiveHours, NaiveRule, NaiveTick
from tests.alerts.test_ownership import serving
from tests.alerts.wiring import message_of
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor
from tests.workers.conftest import until

NEW_YORK = NaiveHours("America/New_York", "09:30", "16:00", (1, 2, 3, 4, 5), (date(2024, 3, 13),))
SAIGON = NaiveHours("Asia/Ho_Chi_Minh", "22:00", "04:00")
CALENDAR = b'{"calendar": {"time_zone": "America/New_York", "open": "09:30", "close": "16:00",' + (
    b' "days": [1, 2, 3, 4, 5], "holidays": ["2024-03-13"]}}'
)
_BEGIN = int(datetime(2024, 3, 8, 13, tzinfo=UTC).timestamp())
_DAY = 86_400
_LATER = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp()) * MICRO
_RULES = [
    NaiveRule("", "AAPL", ">", 108, rearms=True, clear=104, cooldown=3_600),
    NaiveRule("", "AAPL", ">", 104, hold=1_800, hours="market"),
    NaiveRule("", "AAPL", "<", 96, rearms=True, hours=SAIGON),
    NaiveRule("", "AAPL", "crosses up", 101, rearms=True),
    NaiveRule("", "AAPL", "crosses down", 99, rearms=True, clear=103, expires=_LATER),
    NaiveRule("", "AAPL", "crosses down", 95),
    NaiveRule("", "AAPL", "between", 110, 112, rearms=True, hold=600),
    NaiveRule("", "AAPL", "leaves", 94, 106, rearms=True, cooldown=_DAY),
    NaiveRule("", "AAPL", "close up", ppm=50_000, rearms=True, clear=20_000),
    NaiveRule("", "AAPL", "close down", ppm=30_000, rearms=True, hold=600),
    NaiveRule("", "AAPL", "within up", ppm=60_000, seconds=7_200, rearms=True),
    NaiveRule("", "AAPL", "within down", ppm=40_000, seconds=3_600, hours="market"),
    NaiveRule("", "AAPL", "new up", days=2, rearms=True),
    NaiveRule("", "AAPL", "new down", days=1, rearms=True, hold=600),
    NaiveRule("", "AAPL", "volume", volume=400, rearms=True),
]


def _walk(count: int) -> list[NaiveTick]:
    """Prices of eight days that go up and down, at irregular times, in whole cents of a nano."""
    dice, price, moment, found = random.Random(11), 100, _BEGIN, []
    for _ in range(count):
        price = max(88, min(116, price + dice.choice([-3, -2, -1, -1, 0, 1, 1, 2, 3])))
        moment += dice.choice([60, 600, 900, 1_800, 3_600])
        found.append(NaiveTick("AAPL", price, moment * MICRO, dice.choice([0, 10, 40])))
    return found


def _batch(part: Sequence[NaiveTick], start: int) -> wire.TickBatch:
    return wire.TickBatch(
        symbols=["AAPL"],
        symbol_indices=[0] * len(part),
        price_nanos=[tick.price for tick in part],
        observed_at_us=[tick.time for tick in part],
        volume_micros=[tick.volume for tick in part],
        feed="f",
        sequences=range(start + 1, start + len(part) + 1),
    )


def _found(result: wire.TickBatchResult, start: int) -> list[NaiveFiring]:
    return [
        NaiveFiring(
            f.rule_id,
            f.generation,
            start + f.tick_index,
            f.price_nanos,
            f.fired_at.ToMicroseconds(),
            f.reference_price_nanos,
            f.after_restart,
        )
        for f in result.firings
    ]


async def _put_instrument(caller: Caller, metadata: bytes = b"") -> None:
    instrument = catalog.Instrument(symbol="AAPL", type=catalog.INSTRUMENT_TYPE_STOCK, metadata=metadata)
    await caller.client.catalog.PutInstruments(catalog.PutInstrumentsRequest(instruments=[instrument]))


async def test_every_kind_fires_as_all_ticks_say_and_goes_on_after_restarts(
    settings: ServerSettings, tenant_a: Tenant, token_for: TokenFor, proof: asyncpg.Connection
) -> None:
    token, moves = token_for(tenant_a, SCOPES), _walk(360)
    naive, found, expected, size = Naive({"AAPL": NEW_YORK}), [], [], 12
    for start in range(0, len(moves), size * 10):
        async with serving(settings, token) as caller:
            if start == 0:
                await _put_instrument(caller, CALENDAR)
                names = await caller.arm(*(message_of(rule, "ann") for rule in _RULES))
                for name, naive_rule in zip(names, _RULES, strict=True):
                    naive.put(replace(naive_rule, name=name))
            else:
                naive.restart()
            for at in range(start, start + size * 10, size):
                part = moves[at : at + size]
                found += _found(await caller.tick(_batch(part, at)), at)
                expected += [f for place, tick in enumerate(part) for f in naive.tick(tick, at + place)]
    assert found == expected
    kinds = dict(zip(names, (naive_rule.kind for naive_rule in _RULES), strict=True))
    assert {kinds[firing.name] for firing in found} == set(kinds.values())
    assert max(firing.generation for firing in found) > 4
    stored = await proof.fetch(
        "select inputs ->> 'rule_id' as name, (inputs ->> 'generation')::int as generation,"
        " coalesce((inputs ->> 'reference_price_nanos')::bigint, 0) as reference,"
        " (inputs ->> 'after_restart')::boolean as after_restart from agent_task where agent_name = 'alerts'"
    )
    assert {tuple(row.values()) for row in stored} == {
        (firing.name, firing.generation, firing.reference, firing.after_restart) for firing in found
    }
    row = await proof.fetchrow("select change_percent, history from market_snapshot")
    last, ago = moves[-1], [move for move in moves if move.time <= moves[-1].time - (_DAY + 900) * MICRO][-1]
    recent = [move.price for move in moves if ago.time <= move.time <= moves[-1].time - (_DAY - 900) * MICRO]
    assert float(row["change_percent"]) in {round((last.price - price) * 100 / price, 6) for price in recent}
    assert orjson.loads(row["history"])["windows"].keys() == {"7200"} | (
        {"3600"} if not any(kinds[f.name] == "within down" for f in found) else set()
    )


async def test_a_rule_that_re_arms_tells_where_it_is(ann: Caller) -> None:
    (name,) = await ann.arm(
        message_of(NaiveRule("", "AAPL", ">", 150, hold=5, rearms=True, clear=140, cooldown=60), "ann")
    )

    async def phase_after(price: int, second: int) -> wire.AlertRule:
        batch = ticks(1, start=second)
        batch.price_nanos[:] = [price]
        await ann.tick(batch)
        (one,) = await ann.rules()
        assert one.status == wire.ALERT_RULE_STATUS_ACTIVE
        return one

    assert (await phase_after(145, 0)).phase == wire.ALERT_PHASE_ARMED
    holding = await phase_after(151, 1)
    assert (holding.phase, holding.holding_since.ToMicroseconds()) == (
        wire.ALERT_PHASE_HOLDING,
        START_US + MICRO,
    )
    fired = await phase_after(151, 6)
    assert (fired.phase, fired.generation, fired.last_fired_price_nanos) == (wire.ALERT_PHASE_FIRED, 2, 151)
    assert fired.cooldown_until.ToMicroseconds() == START_US + 66 * MICRO
    assert (await phase_after(141, 7)).phase == wire.ALERT_PHASE_FIRED
    assert (await phase_after(140, 8)).phase == wire.ALERT_PHASE_COOLING
    assert (await phase_after(152, 65)).phase == wire.ALERT_PHASE_COOLING
    assert (await phase_after(152, 66)).phase == wire.ALERT_PHASE_HOLDING
    assert (await phase_after(150, 67)).phase == wire.ALERT_PHASE_ARMED
    assert name == (await ann.rules())[0].rule_id


async def test_an_expired_rule_never_fires_and_is_listed_as_expired(
    ann: Caller, database: DatabaseUrls, proof: asyncpg.Connection
) -> None:
    ahead = datetime.now(UTC) + timedelta(hours=1)
    first, second = rule(">", 150), rule(">", 160)
    for one in (first, second):
        one.expires_at.FromDatetime(ahead)
    names = await ann.arm(first, second)
    late = ticks(1, start=0)
    late.price_nanos[:], late.observed_at_us[:] = [155 * NANOS], [int((ahead.timestamp() + 1) * MICRO)]
    assert (await ann.tick(late)).fired_count == 0, "by the time of the tick it is over"
    await proof.execute("update alert_rules set expires_at = now() - interval '1 second'")
    listed = await ann.rules(status=wire.ALERT_RULE_STATUS_EXPIRED)
    assert {one.rule_id for one in listed} == set(names), "before any job has looked"
    await _expire(database)
    assert await proof.fetchval("select count(*) from alert_rules where status = 'EXPIRED'") == 2
    first.expires_at.FromDatetime(ahead + timedelta(hours=1))
    (again,) = await ann.put(first)
    assert (again.put.armed, again.put.generation) == (True, 2)
    late.observed_at_us[:] = [int((ahead.timestamp() + 2) * MICRO)]
    assert [firing.rule_id for firing in (await ann.tick(late)).firings] == names[:1]
    second.expires_at.FromDatetime(datetime(2020, 1, 1, tzinfo=UTC))
    (refused,) = await ann.put(second)
    assert refused.error.field == "rules[0].expires_at"


class _NoDecider:
    async def decide_batch(self, tenant_id: object, incoming: object) -> list[object]:
        raise AssertionError("expiry decides nothing")


async def _expire(database: DatabaseUrls) -> None:
    pool = await Database.connect(
        database.worker_url, minimum_connections=1, maximum_connections=1, application_name="test"
    )
    jobs = AlertJobs(
        database=pool,
        store=AlertStore(),
        firings=FiringStore(),
        decider=_NoDecider(),
        lease_seconds=60,
        worker="test",
    )
    await jobs.expire_rules()
    await pool.close()


@pytest.mark.parametrize(
    ("faulty", "path"),
    [
        (NaiveRule("", "AAPL", ">", -5), "logic.price_nanos"),
        (NaiveRule("", "AAPL", ">", 5, ppm=1), "logic.change_ppm"),
        (NaiveRule("", "AAPL", ">", 5, clear=4), "logic.clear_price_nanos"),
        (NaiveRule("", "AAPL", ">", 5, clear=6, rearms=True), "logic.clear_price_nanos"),
        (NaiveRule("", "AAPL", "<", 5, clear=4, rearms=True), "logic.clear_price_nanos"),
        (NaiveRule("", "AAPL", ">", 5, hold=-1), "logic.hold_seconds"),
        (NaiveRule("", "AAPL", ">", 5, cooldown=5), "cooldown_seconds"),
        (NaiveRule("", "AAPL", ">", 5, cooldown=-5, rearms=True), "cooldown_seconds"),
        (NaiveRule("", "AAPL", "crosses", 5), "logic.direction"),
        (NaiveRule("", "AAPL", "> up", 5), "logic.direction"),
        (NaiveRule("", "AAPL", "between", 9, 5), "logic.high_price_nanos"),
        (NaiveRule("", "AAPL", "between", 0, 5), "logic.low_price_nanos"),
        (NaiveRule("", "AAPL", "leaves", 1, 5, clear=3, rearms=True), "logic.clear_price_nanos"),
        (NaiveRule("", "AAPL", "close", ppm=5), "logic.direction"),
        (NaiveRule("", "AAPL", "close down", ppm=1_000_000), "logic.change_ppm"),
        (NaiveRule("", "AAPL", "close up", ppm=5, clear=6, rearms=True), "logic.clear_change_ppm"),
        (NaiveRule("", "AAPL", "within up", ppm=5), "logic.window_seconds"),
        (NaiveRule("", "AAPL", "within up", ppm=5, seconds=86_401), "logic.window_seconds"),
        (NaiveRule("", "AAPL", "new up", days=367), "logic.days"),
        (NaiveRule("", "AAPL", "new down"), "logic.days"),
        (NaiveRule("", "AAPL", "volume"), "logic.volume_micros"),
        (NaiveRule("", "AAPL", "volume", volume=5, hold=1), "logic.hold_seconds"),
        (
            NaiveRule("", "AAPL", ">", 5, hours=replace(SAIGON, zone="Saigon/Sea")),
            "logic.active_hours.time_zone",
        ),
        (NaiveRule("", "AAPL", ">", 5, hours=replace(SAIGON, start="24:00")), "logic.active_hours.start"),
        (NaiveRule("", "AAPL", ">", 5, hours=replace(SAIGON, end="")), "logic.active_hours.end"),
        (NaiveRule("", "AAPL", ">", 5, hours=replace(SAIGON, days=(1, 1))), "logic.active_hours.days[1]"),
        (NaiveRule("", " ", ">", 5), "symbol"),
    ],
)
def test_faulty_logic_is_refused_with_its_path(faulty: NaiveRule, path: str) -> None:
    violations = Violations("rules[3]")
    to_rule(message_of(faulty, "ann")).check(violations, datetime(2026, 1, 1, tzinfo=UTC))
    assert [violation.field for violation in violations.found] == (
        [] if path is None else [f"rules[3].{path}"]
    )


async def test_faults_of_every_kind_of_rule_are_told_by_the_server(ann: Caller) -> None:
    no_window = message_of(NaiveRule("", "AAPL", "within up", ppm=5), "ann")
    unknown = message_of(NaiveRule("", "NONE", "new up", days=3), "ann")
    strange = message_of(NaiveRule("", "AAPL", ">", 5), "ann")
    strange.repeat = 7  # type: ignore[assignment]
    both = message_of(NaiveRule("", "AAPL", ">", 5, hours=SAIGON), "ann")
    both.logic.active_hours.market = True
    results = await ann.put(unknown, strange, both, no_window)
    assert [result.error.field for result in results] == [
        "rules[0].symbol",
        "rules[1].repeat",
        "rules[2].logic.active_hours.market",
        "rules[3].logic.window_seconds",
    ]
    with pytest.raises(LeoApiError) as caught:
        await _put_instrument(
            ann, b'{"calendar": {"time_zone": "Mars/Base", "open": "9", "close": "16:00", "x": 1}}'
        )
    assert [violation.field for violation in caught.value.violations] == [
        f"instruments[0].metadata.calendar.{field}" for field in ("x", "time_zone", "open")
    ]


async def test_what_is_put_is_listed(ann: Caller) -> None:
    wanted = [message_of(replace(rule, symbol="AAPL"), "ann") for rule in _RULES]
    names = await ann.arm(*wanted)
    listed = {one.rule_id: one for one in await ann.rules()}
    for name, message in zip(names, wanted, strict=True):
        assert listed[name].logic == message.logic
        assert (listed[name].repeat, listed[name].cooldown_seconds) == (
            message.repeat,
            message.cooldown_seconds,
        )
        assert listed[name].expires_at == message.expires_at


async def test_terms_are_replaced_and_the_id_stays(ann: Caller) -> None:
    once = NaiveRule("", "AAPL", "crosses up", 150)
    (name,) = await ann.arm(message_of(once, "ann"))
    (again,) = await ann.put(message_of(replace(once, rearms=True, cooldown=5), "ann"))
    assert (again.put.rule_id, again.put.armed, again.put.generation) == (name, False, 1)
    batch = ticks(1, 1, 1, 1, 1, 1, 1, 1)
    batch.price_nanos[:] = [149, 151, 149, 151, 149, 149, 151, 149]
    assert [(f.tick_index, f.generation) for f in (await ann.tick(batch)).firings] == [(1, 1), (6, 2)]
    (one,) = await ann.rules()
    assert (one.repeat, one.cooldown_seconds, one.generation) == (wire.ALERT_REPEAT_REARM, 5, 3)


async def test_a_volume_below_zero_is_a_bad_tick(ann: Caller) -> None:
    result = await ann.tick(ticks(5, 6, volume_micros=[-1, 1]))
    assert [(bad.index, bad.fault) for bad in result.bad_ticks] == [(0, wire.TICK_FAULT_VOLUME)]
    with pytest.raises(LeoApiError) as caught:
        await ann.tick(ticks(5, 6, volume_micros=[1]))
    assert caught.value.violations[0].field == "batch.volume_micros"


async def test_an_instrument_that_is_taken_off_takes_no_ticks_any_more(ann: Caller) -> None:
    await ann.tick(ticks(5))
    off = catalog.Instrument(
        symbol="AAPL", type=catalog.INSTRUMENT_TYPE_STOCK, status=catalog.INSTRUMENT_STATUS_INACTIVE
    )
    await ann.client.catalog.PutInstruments(catalog.PutInstrumentsRequest(instruments=[off]))

    async def refused() -> bool:
        result = await ann.tick(ticks(6, start=1))
        return [bad.fault for bad in result.bad_ticks] == [wire.TICK_FAULT_UNKNOWN_SYMBOL]

    await until(refused)
