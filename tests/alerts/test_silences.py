"""Silences: what they cover, when they end, and that what fires under them is recorded and not decided."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import asyncpg
import grpc
import pytest
from leo.activation.v1 import alert_service_pb2 as wire
from leo_client import LeoApiError

from server.alerts.firing_store import FiringStore
from server.alerts.jobs import AlertJobs
from server.alerts.store import AlertStore
from server.decisions.assembly import running_decisions
from server.embedded.database_setup import DatabaseUrls
from server.platform.postgres import Database
from server.platform.redis import RedisPool
from server.workers.wake_ups import SweepOnly
from tests.alerts.committed import add_rules, fire, rule_ids
from tests.alerts.conftest import Caller, rule, ticks
from tests.decisions.shop import add_profile
from tests.fixtures.erasing import erase
from tests.fixtures.tenants import Tenant

HOUR = timedelta(hours=1)


async def silence(
    caller: Caller, *, lasting: timedelta = HOUR, reason: str = "", **target: str
) -> wire.AlertSilence:
    """Begin a silence."""
    request = wire.SilenceAlertsRequest(reason=reason, **target)  # type: ignore[arg-type]
    request.ends_at.FromDatetime(datetime.now(UTC) + lasting)
    return (await caller.client.alerts.SilenceAlerts(request)).silence


async def end(caller: Caller, silence_id: str) -> wire.AlertSilence:
    """End a silence."""
    return (await caller.client.alerts.EndSilence(wire.EndSilenceRequest(silence_id=silence_id))).silence


async def silences(caller: Caller, *, include_ended: bool = False) -> list[str]:
    """Ids of ListSilences."""
    request = wire.ListSilencesRequest(include_ended=include_ended)
    return [each.silence_id for each in (await caller.client.alerts.ListSilences(request)).silences]


async def test_what_fires_in_silence_is_recorded_told_and_not_decided(
    ann: Caller, proof: asyncpg.Connection
) -> None:
    begun = await silence(ann, symbol="AAPL", reason="holidays")
    assert (begun.symbol, begun.reason, begun.active, bool(begun.requested_by)) == (
        "AAPL",
        "holidays",
        True,
        True,
    )
    # The rule is put after the silence began.
    await ann.arm(rule(">", 150), rule(">", 20, symbol="GOOG"))
    (told,) = (await ann.tick(ticks(151))).firings
    assert told.silence_id == begun.silence_id
    assert (await ann.tick(ticks(21, symbol="GOOG"))).firings[0].silence_id == ""
    request = wire.ListAlertFiringsRequest(status=wire.ALERT_FIRING_STATUS_SILENCED)
    (listed,) = (await ann.client.alerts.ListAlertFirings(request)).firings
    assert (listed.firing.symbol, listed.reason, listed.silence_id) == ("AAPL", "SILENCED", begun.silence_id)
    task = await proof.fetchrow("select * from agent_task where reason_code = 'SILENCED'")
    assert (task["status"], task["due_at"], task["outcome"]) == ("completed", None, None)
    assert {r.status for r in await ann.rules()} == {wire.ALERT_RULE_STATUS_TRIGGERED}
    decided = await proof.fetch("select source_event_id from agent_task where decided_at is not null")
    assert listed.firing.source_event_id not in {row["source_event_id"] for row in decided}


async def test_a_silence_covers_its_target_and_nothing_else(
    ann: Caller, app: asyncpg.Connection, proof: asyncpg.Connection, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    for number, field in enumerate(("rule_id", "symbol", "profile_id")):
        one, other, foreign = rule_ids(3, first=1 + 10 * number)
        await add_rules(proof, tenant_a, [one])
        await add_rules(proof, tenant_a, [other], profile_id="ben", symbol="GOOG")
        await add_rules(proof, tenant_b, [foreign])
        target = {"rule_id": one, "symbol": "AAPL", "profile_id": "ann"}[field]
        begun = await silence(ann, **{field: target})
        assert getattr(begun, field) == target
        assert [row["silence_id"] for row in await fire(app, tenant_a, [one, other])] == [
            begun.silence_id,
            None,
        ]
        assert [row["silence_id"] for row in await fire(app, tenant_b, [foreign])] == [None]
        await end(ann, begun.silence_id)


async def test_of_silences_that_overlap_each_holds_by_itself(
    ann: Caller, app: asyncpg.Connection, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    ids = rule_ids(3)
    await add_rules(proof, tenant_a, ids)
    long = await silence(ann, symbol="AAPL", lasting=2 * HOUR)
    short = await silence(ann, profile_id="ann")
    (first,) = await fire(app, tenant_a, ids[:1])
    assert first["silence_id"] == long.silence_id, "the one that lasts longest is named"
    ended = await end(ann, long.silence_id)
    assert (ended.active, bool(ended.ended_by), ended.HasField("ended_at")) == (False, True, True)
    (second,) = await fire(app, tenant_a, ids[1:2])
    assert second["silence_id"] == short.silence_id
    await end(ann, short.silence_id)
    (third,) = await fire(app, tenant_a, ids[2:])
    assert third["silence_id"] is None
    assert await silences(ann) == []
    assert await silences(ann, include_ended=True) == [short.silence_id, long.silence_id]


async def test_silencing_and_ending_are_idempotent(
    ann: Caller, bob: Caller, proof: asyncpg.Connection
) -> None:
    request = wire.SilenceAlertsRequest(profile_id="ann", reason="once")
    request.ends_at.FromDatetime(datetime.now(UTC) + HOUR)
    call = ann.client.alerts.SilenceAlerts
    first, again = (await call(request)).silence, (await call(request)).silence
    assert first == again
    ended = await end(ann, first.silence_id)
    assert await end(ann, first.silence_id) == ended
    assert (await call(request)).silence == ended, "a request that comes again does not begin anew"
    assert await proof.fetchval("select count(*) from agent_task where queue = 'silences'") == 1
    assert await silences(bob, include_ended=True) == []
    with pytest.raises(LeoApiError) as refused:
        await end(bob, first.silence_id)
    assert refused.value.code is grpc.StatusCode.NOT_FOUND


async def test_a_faulty_silence_is_refused_with_its_path(ann: Caller) -> None:
    for request, lasting, field in (
        (wire.SilenceAlertsRequest(), HOUR, "target"),
        (wire.SilenceAlertsRequest(rule_id="no hash"), HOUR, "rule_id"),
        (wire.SilenceAlertsRequest(symbol=""), HOUR, "symbol"),
        (wire.SilenceAlertsRequest(symbol="AAPL"), None, "ends_at"),
        (wire.SilenceAlertsRequest(symbol="AAPL"), -HOUR, "ends_at"),
        (wire.SilenceAlertsRequest(symbol="AAPL"), timedelta(days=367), "ends_at"),
        (wire.SilenceAlertsRequest(symbol="AAPL", reason="x" * 501), HOUR, "reason"),
    ):
        if lasting is not None:
            request.ends_at.FromDatetime(datetime.now(UTC) + lasting)
        with pytest.raises(LeoApiError) as refused:
            await ann.client.alerts.SilenceAlerts(request)
        assert [violation.field for violation in refused.value.violations] == [field]


async def test_a_silence_of_an_unknown_rule_is_refused(
    bob: Caller, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    (foreign,) = rule_ids(1)
    await add_rules(proof, tenant_a, [foreign])
    with pytest.raises(LeoApiError) as refused:
        await silence(bob, rule_id=foreign)
    assert refused.value.code is grpc.StatusCode.NOT_FOUND


async def test_the_transaction_of_the_firing_judges_and_workers_file_what_is_over(
    ann: Caller,
    app: asyncpg.Connection,
    proof: asyncpg.Connection,
    database: DatabaseUrls,
    redis_url: str,
    tenant_a: Tenant,
) -> None:
    """What is silenced when it is committed stays so; what was committed before a silence is decided under it."""
    ids = rule_ids(3)
    await add_profile(app, tenant_a, "ann")
    await add_rules(proof, tenant_a, ids)
    before, under, after = ids
    await fire(app, tenant_a, [before])
    kept, over = await silence(ann, symbol="AAPL"), await silence(ann, profile_id="ann", lasting=2 * HOUR)
    await fire(app, tenant_a, [under])
    await end(ann, kept.silence_id)
    await proof.execute(
        "update agent_task set due_at = now() - interval '1 second' where task_id = $1", over.silence_id
    )
    await fire(app, tenant_a, [after])
    await _work(database, redis_url)
    request = wire.ListAlertFiringsRequest()
    found = {f.firing.rule_id: f.reason for f in (await ann.client.alerts.ListAlertFirings(request)).firings}
    assert found == {before: "NO_CANDIDATE", under: "SILENCED", after: "NO_CANDIDATE"}
    assert await proof.fetch("select 1 from agent_task where queue = 'silences' and status = 'pending'") == []
    (filed,) = await proof.fetch(
        "select task_id from agent_task where status = 'completed' and queue = 'silences'"
    )
    assert filed["task_id"] == over.silence_id


async def test_an_erased_profile_is_not_silenced_any_more(
    ann: Caller, app: asyncpg.Connection, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    (rule_id,) = rule_ids(1)
    await add_profile(app, tenant_a, "ann")
    await add_rules(proof, tenant_a, [rule_id])
    about = [
        await silence(ann, profile_id="ann", reason="ill"),
        await silence(ann, rule_id=rule_id, reason="ill"),
    ]
    kept = await silence(ann, symbol="AAPL")
    async with app.transaction():
        await app.execute("select set_config('app.current_tenant_id', $1, true)", str(tenant_a))
        await erase(app, "ann")
    assert await silences(ann) == [kept.silence_id]
    assert len(await silences(ann, include_ended=True)) == 1 + len(about)
    said = await proof.fetch(
        "select reasoning_summary from agent_task where profile_id = 'ann' and agent_name <> 'eraser'"
    )
    assert {row["reasoning_summary"] for row in said} == {"(erased)"}


async def _work(database: DatabaseUrls, redis_url: str) -> None:
    """What a worker does about alerts."""
    pool = await Database.connect(
        database.worker_url, minimum_connections=1, maximum_connections=4, application_name="test"
    )
    redis = await RedisPool.connect(redis_url, client_name="test")
    async with running_decisions(database=pool, redis=redis, wake_up=SweepOnly()) as decisions:
        jobs = AlertJobs(
            database=pool,
            store=AlertStore(),
            firings=FiringStore(),
            decider=decisions,
            lease_seconds=60,
            worker="test",
        )
        await jobs.end_silences()
        await jobs.decide_firings()
    await redis.close()
    await pool.close()
