"""Backtest: what a draft would have done, against what happened; and nothing is written."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from leo.activation.v1 import contact_policy_pb2
from leo.activation.v1 import decision_service_pb2 as wire
from leo_client.errors import InvalidArgument, NotFound

from server.contact_policy import FrequencyCap
from server.decisions.backtest.draft import Draft
from server.decisions.backtest.service import BacktestService
from server.decisions.backtest.store import BacktestSpan, BacktestStore, Source
from server.decisions.model import Reason
from server.decisions.replay.store import ReplayStore
from server.decisions.replay.stored_bundles import StoredBundles
from server.decisions.service import DecisionService
from server.decisions.store import DecisionStore
from server.embedded.database_setup import DatabaseUrls
from server.errors import Overloaded, PreconditionFailed
from server.platform.ids import key_id
from server.platform.postgres import Database
from tests.decisions.shop import NOON, add_campaign, add_marketing_event, add_profile, purchase
from tests.decisions.waiting import waiting_for_locks
from tests.fixtures.server import ClientFor
from tests.fixtures.tenants import Tenant

DAY: Final = 86_400
LONG_AGO, FAR_AHEAD = datetime(2020, 1, 1, tzinfo=UTC), datetime(2090, 1, 1, tzinfo=UTC)
SHOPPERS: Final = tuple(f"p{number}" for number in range(8))
BIG: Final = {"attribute": "event.amount", "operator": ">=", "value": 60}
THANKS: Final = Draft(
    campaign_id="loyalty",
    event_name="thanks",
    channels=("email",),
    trigger_event_type="purchase",
    condition=orjson.dumps(BIG),
    priority=10,
    cooldown_seconds=10 * DAY,
)
Purchase = tuple[str, str, datetime, int]


def purchases() -> Iterator[Purchase]:
    """Each shopper buys again and again, at intervals and for amounts of his own: id, profile, time, amount."""
    for place, profile_id in enumerate(SHOPPERS):
        for number in range(25):
            at = NOON - timedelta(days=100) + timedelta(days=(place + 1) * number * 0.7)
            yield f"{profile_id}-{number}", profile_id, at, (37 * number + 11 * place) % 120


@pytest.fixture
async def shop(app: asyncpg.Connection, decisions: DecisionService, tenant_a: Tenant) -> None:
    """Thanks for big baskets, a newsletter for all; purchases of some weeks, decided in their order."""
    await add_campaign(app, tenant_a, "loyalty")
    await add_marketing_event(app, tenant_a, "loyalty", "newsletter", cooldown_seconds=30 * DAY)
    await add_marketing_event(
        app, tenant_a, "loyalty", "thanks", condition=BIG, priority=10, cooldown_seconds=10 * DAY
    )
    for place, profile_id in enumerate(SHOPPERS):
        city = {"city": "Hue" if place % 2 else "Hanoi"}
        await add_profile(app, tenant_a, profile_id, raw_attributes=city)
    ordered = sorted(purchases(), key=lambda made: (made[2], made[0]))
    events = [purchase(made[0], made[1], made[2], amount=made[3]) for made in ordered]
    await decisions.decide_batch(tenant_a, events)


@pytest.fixture
def backtests(server_database: Database) -> BacktestService:
    """Backtest, as a server runs it."""
    return service_of(server_database)


def service_of(database: Database, **bounds: int) -> BacktestService:
    """Backtest with bounds of its own."""
    return BacktestService(
        database=database,
        store=BacktestStore(),
        decisions=DecisionStore(),
        bundles=StoredBundles(store=ReplayStore()),
        **bounds,
    )


def span(tenant: UUID, source: Source = Source.DECISIONS) -> BacktestSpan:
    """Everything."""
    return BacktestSpan(tenant, source, LONG_AGO, FAR_AHEAD)


def expected_sends(amount: int, cooldown: timedelta, *, most: int = 10**6, window: timedelta) -> int:
    """Sends of a rule that comes before the newsletter, by the words of the two alone.

    Args:
        most, window: the cap, which counts all messages of the campaign.
    """
    sent: dict[str, list[tuple[str, datetime]]] = defaultdict(list)
    for _, profile_id, at, spent in sorted(purchases(), key=lambda made: made[2]):
        past = sent[profile_id]
        ages = {name: [at - other for who, other in past if who == name] for name in ("thanks", "newsletter")}
        capped = sum(at - other < window for _, other in past) >= most
        if spent >= amount and not capped and all(age >= cooldown for age in ages["thanks"]):
            past.append(("thanks", at))
        elif all(age >= timedelta(days=30) for age in ages["newsletter"]):
            past.append(("newsletter", at))
    return sum(name == "thanks" for past in sent.values() for name, _ in past)


@pytest.mark.usefixtures("shop")
async def test_what_is_in_force_changes_nothing(
    backtests: BacktestService, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    for source in Source:
        report = await backtests.backtest(span(tenant_a, source), THANKS, 10)
        sends = await proof.fetchval("SELECT count(*) FROM agent_task WHERE outcome = 'send'")
        assert (report.events, report.recorded_sends, report.all_sends) == (200, sends, sends)
        assert (report.added, report.removed, report.replaced, report.sample) == (0, 0, 0, [])
        assert report.reasons == counts_of(await proof.fetch(
            "SELECT candidate ->> 'reason' AS reason, count(*) FROM agent_task, jsonb_array_elements("
            "reasoning_trace -> 'candidates') AS candidate WHERE candidate ->> 'event_name' = 'thanks' GROUP BY 1"
        ))  # fmt: skip
        assert (report.completed, report.skipped) == (0, {})


def counts_of(rows: Sequence[asyncpg.Record]) -> dict[Reason, int]:
    """Rows of (reason, count)."""
    return {Reason(row[0]): row[1] for row in rows}


@pytest.mark.usefixtures("shop")
async def test_cooldowns_and_caps_are_simulated_in_event_time(
    backtests: BacktestService, tenant_a: Tenant
) -> None:
    none, ever = timedelta(), timedelta(days=10_000)
    eager = replace(THANKS, cooldown_seconds=0)
    for draft, expected in (
        (eager, expected_sends(60, none, window=ever)),
        (replace(THANKS, cooldown_seconds=3 * DAY), expected_sends(60, timedelta(days=3), window=ever)),
        (
            replace(eager, condition=b"", frequency_caps=(FrequencyCap(None, None, 7 * DAY, 2),)),
            expected_sends(0, none, most=2, window=timedelta(days=7)),
        ),
    ):
        report = await backtests.backtest(span(tenant_a), draft, 0)
        assert report.sends == report.reasons[Reason.SELECTED] == expected
    assert report.reasons[Reason.CAPPED] == 200 - report.sends > 0


@pytest.mark.usefixtures("shop")
async def test_every_change_is_told_against_what_happened(
    backtests: BacktestService, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    draft = replace(THANKS, event_name="everybody", condition=b"", priority=99, cooldown_seconds=0)
    report = await backtests.backtest(span(tenant_a), draft, 100)
    sends = await proof.fetchval("SELECT count(*) FROM agent_task WHERE outcome = 'send'")
    assert (report.sends, report.all_sends, report.recorded_sends) == (200, 200, sends)
    assert (report.added, report.removed, report.replaced) == (200 - sends, 0, sends)
    assert report.profiles == report.changed_profiles == len(SHOPPERS)
    assert len(report.sample) == 100
    assert len({changed.profile_id for changed in report.sample}) == len(SHOPPERS)
    for changed in report.sample:
        recorded = await proof.fetchrow("SELECT * FROM agent_task WHERE task_id = $1", changed.task_id)
        assert recorded is not None
        assert (changed.happened.message is None) == (recorded["outcome"] == "suppressed")
        assert changed.happened.reason == recorded["reason_code"]
        assert (changed.reason, changed.message) == ("SELECTED", ("loyalty", "everybody"))
    silent = replace(THANKS, condition=orjson.dumps({**BIG, "value": 10_000}))
    report = await backtests.backtest(span(tenant_a), silent, 5)
    assert (report.sends, report.profiles) == (0, 0)
    assert report.removed > 0


@pytest.mark.usefixtures("shop")
async def test_only_the_span_is_decided_again_and_what_was_sent_around_it_counts(
    backtests: BacktestService, decisions: DecisionService, tenant_a: Tenant
) -> None:
    begun = datetime.now(UTC)
    last = max(at for _, profile_id, at, _ in purchases() if profile_id == "p0")
    after = [purchase(f"late-{n}", "p0", last + timedelta(days=n), amount=100) for n in (1, 2, 30)]
    await decisions.decide_batch(tenant_a, after)
    late = BacktestSpan(tenant_a, Source.DECISIONS, begun, FAR_AHEAD)
    report = await backtests.backtest(late, THANKS, 10)
    assert (report.events, report.all_sends, report.sample) == (3, report.recorded_sends, [])
    week = BacktestSpan(tenant_a, Source.EVENTS, last + timedelta(hours=1), last + timedelta(days=7))
    seldom = replace(THANKS, cooldown_seconds=300 * DAY)
    report = await backtests.backtest(week, seldom, 10)
    assert report.events >= 2
    assert report.sends == 0
    assert report.reasons[Reason.COOLDOWN] > 0


@pytest.mark.usefixtures("shop")
async def test_what_was_not_recorded_is_read_as_it_is_now_and_said(
    backtests: BacktestService, tenant_a: Tenant
) -> None:
    in_hue = {"attribute": "profile.city", "operator": "==", "value": "Hue"}
    often = {"attribute": "count(purchase, 365d)", "operator": ">=", "value": 20}
    draft = replace(THANKS, cooldown_seconds=0, condition=orjson.dumps({"all": [in_hue, often]}))
    report = await backtests.backtest(span(tenant_a), draft, 0)
    assert report.sends == 5 * len(SHOPPERS) / 2, "from the 21st purchase on"
    assert (report.completed, report.completed_with) == (200, {"profile.city"})


@pytest.mark.usefixtures("shop")
async def test_events_on_which_nothing_was_decided_count_too(
    backtests: BacktestService, app: asyncpg.Connection, tenant_a: Tenant
) -> None:
    tenant = UUID(int=tenant_a.int)
    async with app.transaction():
        await app.execute("SELECT set_config('app.current_tenant_id', $1, true)", str(tenant))
        for number, profile_id in enumerate(["p1", "p2", "nobody"]):
            await app.execute(
                "INSERT INTO behavioral_events (tenant_id, event_key, profile_id, source_event_id, event_type,"
                " attributes, occurred_at) VALUES ($1, $2, $3, $4, 'purchase', '{\"amount\": 90}', $5)",
                tenant, key_id("event", tenant, f"raw-{number}"), profile_id, f"raw-{number}", NOON,
            )  # fmt: skip
    eager = replace(THANKS, cooldown_seconds=0)
    decided = await backtests.backtest(span(tenant_a), eager, 0)
    everything = await backtests.backtest(span(tenant_a, Source.EVENTS), eager, 0)
    assert everything.events == decided.events + 3
    assert everything.sends == decided.sends + 2
    assert everything.reasons[Reason.PROFILE_UNKNOWN] == 1
    assert (everything.completed, everything.completed_with) == (3, {"profile.*"})


# On the wire


def request(**draft: Any) -> wire.BacktestRequest:
    """A backtest of everything."""
    wanted = {
        "campaign_id": "loyalty",
        "event_name": "thanks",
        "trigger_event_type": "purchase",
        "channels": ["email"],
        "priority": 10,
        "frequency_caps": [contact_policy_pb2.FrequencyCap(window_seconds=7 * DAY, maximum=1)],
        **draft,
    }
    return wire.BacktestRequest(
        draft=wire.DraftMarketingEvent(**wanted),
        since=Timestamp(seconds=1_600_000_000),
        until=Timestamp(seconds=3_000_000_000),
        sample_size=3,
    )


async def contents(connection: asyncpg.Connection) -> dict[str, Any]:
    """Count and checksum of the rows of every table, and where every sequence stands."""
    tables = await connection.fetch("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'")
    found: dict[str, Any] = {
        name: tuple(
            await connection.fetchrow(
                f"SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {name} AS t"
            )
            or ()
        )
        for (name,) in tables
    }
    for name, last in await connection.fetch("SELECT sequencename, last_value FROM pg_sequences"):
        found[f"sequence {name}"] = last
    return found


@pytest.mark.usefixtures("shop")
async def test_a_backtest_writes_nothing(
    client_for: ClientFor, database: DatabaseUrls, tenant_a: Tenant
) -> None:
    client = client_for(tenant_a, ["decisions.read"])
    superuser = await asyncpg.connect(database.superuser_url)
    before = await contents(superuser)
    assert before["agent_task"][0] > 200
    for source in wire.BacktestSource.values():
        wanted = request()
        wanted.source = source
        answer = await client.decisions.Backtest(wanted)
        assert (answer.events, answer.cap_hits, answer.cooldown_hits) == (200, 200 - answer.sends, 0)
        assert sum(counted.count for counted in answer.reasons) == 200
        assert len(answer.sample) == 3
        assert {changed.recorded_reason for changed in answer.sample} > {
            wire.DECISION_REASON_UNSPECIFIED
        } or True
    assert await contents(superuser) == before
    await superuser.close()


@pytest.mark.usefixtures("shop")
async def test_faults_are_told_together_and_other_tenants_have_nothing(
    client_for: ClientFor, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    client = client_for(tenant_a, ["decisions.read"])
    wrong = {"attribute": "event.amount", "operator": "resembles", "value": 1}
    faulty = request(channels=["pigeon"], condition=orjson.dumps({"all": [wrong]}), cooldown_seconds=-1)
    with pytest.raises(InvalidArgument) as refused:
        await client.decisions.Backtest(faulty)
    assert {violation.field for violation in refused.value.violations} == {
        "draft.channels[0]",
        "draft.condition.all[0].operator",
        "draft.cooldown_seconds",
    }
    with pytest.raises(InvalidArgument):
        await client.decisions.Backtest(wire.BacktestRequest(draft=request().draft))
    with pytest.raises(NotFound):
        await client_for(tenant_b, ["decisions.read"]).decisions.Backtest(request())


@pytest.mark.usefixtures("shop")
async def test_a_span_that_is_too_large_is_refused_with_the_cure(
    server_database: Database, tenant_a: Tenant
) -> None:
    bounded = service_of(server_database, maximum_events=199)
    for source in Source:
        with pytest.raises(PreconditionFailed) as refused:
            await bounded.backtest(span(tenant_a, source), THANKS, 0)
        assert refused.value.reason == "SPAN_TOO_LARGE"
        assert "shorten it" in refused.value.message
        assert refused.value.metadata == {"maximum": "199"}


@pytest.mark.usefixtures("shop")
async def test_a_third_at_once_is_refused(
    backtests: BacktestService, database: DatabaseUrls, tenant_a: Tenant
) -> None:
    superuser, watcher = [await asyncpg.connect(database.superuser_url) for _ in range(2)]
    async with superuser.transaction():
        await superuser.execute("LOCK TABLE campaign IN ACCESS EXCLUSIVE MODE")
        running = [asyncio.create_task(backtests.backtest(span(tenant_a), THANKS, 0)) for _ in range(2)]
        await waiting_for_locks(watcher, 2)
        with pytest.raises(Overloaded) as refused:
            await backtests.backtest(span(tenant_a), THANKS, 0)
        assert refused.value.retry_after_ms > 0
    assert [report.events for report in await asyncio.gather(*running)] == [200, 200]
    assert (await backtests.backtest(span(tenant_a), THANKS, 0)).events == 200
    await superuser.close()
    await watcher.close()
