"""Evaluating segments: who is in, what is written, which events follow, and what labels have to do with it."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg

from server.platform.clock import utc_now
from server.platform.ids import content_id, key_id
from server.segments.evaluation import SegmentEvaluation
from server.segments.model import Changed, Judged
from tests.fixtures.erasing import erase
from tests.fixtures.tenants import Tenant
from tests.snapshots.rows import acting_for, add_campaign, add_profiles, insert, stored

RICH = {"attribute": "profile.total_spent", "operator": ">=", "value": 100}
VIETNAMESE = {"attribute": "profile.language", "operator": "==", "value": "vi"}
KEEN = {"attribute": "count(view, 30d)", "operator": ">=", "value": 2}
OF_AN_EVENT = {"attribute": "event.amount", "operator": ">", "value": 1}


async def define(app: asyncpg.Connection, tenant: Tenant, status: str = "active", **segments: Any) -> None:
    """A campaign for each segment."""
    for name, condition in segments.items():
        version = content_id("segment", UUID(int=tenant.int), condition)
        audience = {"name": name, "condition": condition, "version": version}
        await add_campaign(app, tenant, name, audience, status=status)


async def view(
    app: asyncpg.Connection, tenant: Tenant, profile_id: str, number: int, days_ago: float
) -> None:
    """An event of the profile."""
    occurred_at = utc_now() - timedelta(days=days_ago)
    await app.execute("select ensure_month($1)", occurred_at.date())
    async with acting_for(app, tenant):
        await insert(
            app,
            tenant,
            "behavioral_events",
            event_key=key_id("event", UUID(int=tenant.int), f"{profile_id}-{number}"),
            profile_id=profile_id,
            source_event_id=f"{profile_id}-{number}",
            event_type="view",
            occurred_at=occurred_at,
        )


async def evaluate(evaluation: SegmentEvaluation, tenant: Tenant, limit: int = 3) -> list[Judged]:
    """One round, in small batches."""
    after, found = "", []
    while True:
        judged = await evaluation.evaluate_next(UUID(int=tenant.int), after=after, limit=limit)
        assert judged is not None
        if judged.last_profile_id is None:
            return found
        found.append(judged)
        after = judged.last_profile_id


async def segments_of(proof: asyncpg.Connection, tenant: Tenant) -> dict[str, list[str]]:
    """Segments by profile."""
    rows = await stored(proof, "cdp_profiles", tenant)
    return {row["profile_id"]: json.loads(row["segments"]) for row in rows}


async def moves(proof: asyncpg.Connection, tenant: Tenant) -> list[tuple[str, str, str]]:
    """Who entered and left what, as events tell."""
    rows = await stored(proof, "behavioral_events", tenant)
    return sorted(
        (row["event_type"].removeprefix("segment."), row["profile_id"], row["entity_id"])
        for row in rows
        if row["event_type"].startswith("segment.")
    )


async def test_a_round_writes_what_changed_and_tells_it_as_events(
    evaluation: SegmentEvaluation,
    app: asyncpg.Connection,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
    tenant_b: Tenant,
) -> None:
    await define(app, tenant_a, rich=RICH, vietnamese=VIETNAMESE, keen=KEEN, odd=OF_AN_EVENT)
    await define(app, tenant_a, "draft", everybody={"all": []})
    await add_profiles(app, tenant_a, "a", "b", segments=["vip"], raw_attributes={"total_spent": 500})
    await add_profiles(app, tenant_a, "c", "d", "e", language="vi")
    await add_profiles(app, tenant_b, "a", language="vi", raw_attributes={"total_spent": 500})
    async with acting_for(app, tenant_a):
        await erase(app, "e")
    for number, days_ago in enumerate((1, 29.99, 31)):
        await view(app, tenant_a, "c", number, days_ago)
    first = await evaluate(evaluation, tenant_a)
    assert [judged.changed for judged in first] == [3, 1]
    assert await segments_of(proof, tenant_a) == {
        "a": ["vip", "rich"],
        "b": ["vip", "rich"],
        "c": ["keen", "vietnamese"],
        "d": ["vietnamese"],
        "e": [],
    }
    assert await moves(proof, tenant_a) == [
        ("entered", "a", "rich"),
        ("entered", "b", "rich"),
        ("entered", "c", "keen"),
        ("entered", "c", "vietnamese"),
        ("entered", "d", "vietnamese"),
    ]
    again = await evaluate(evaluation, tenant_a)
    assert not any((judged.changed, judged.entered, judged.left) != (0, 0, 0) for judged in again)
    assert await segments_of(proof, tenant_b) == {"a": []}
    assert not await stored(proof, "behavioral_events", tenant_b)
    tasks = await stored(proof, "agent_task", tenant_a)
    assert not [task for task in tasks if task["queue"] == "segments"]


async def test_what_is_no_longer_defined_or_true_is_left(
    evaluation: SegmentEvaluation, app: asyncpg.Connection, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await define(app, tenant_a, rich=RICH, vietnamese=VIETNAMESE)
    await add_profiles(app, tenant_a, "a", language="vi", raw_attributes={"total_spent": 500}, segments=["x"])
    await evaluate(evaluation, tenant_a)
    async with acting_for(app, tenant_a):
        await app.execute("update campaign set status = 'paused' where campaign_id = 'vietnamese'")
        await app.execute("update campaign set status = 'completed' where campaign_id = 'rich'")
    await evaluate(evaluation, tenant_a)
    assert await segments_of(proof, tenant_a) == {"a": ["x", "vietnamese"]}
    async with acting_for(app, tenant_a):
        await app.execute("update cdp_profiles set language = 'en'")
    await evaluate(evaluation, tenant_a)
    [row] = await stored(proof, "cdp_profiles", tenant_a)
    assert json.loads(row["segments"]) == ["x"]
    assert row["segment_labels"] is None
    assert {("left", "a", "rich"), ("left", "a", "vietnamese")} <= {*await moves(proof, tenant_a)}


async def test_labels_and_evaluated_segments_do_not_touch_each_other(
    evaluation: SegmentEvaluation, app: asyncpg.Connection, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    """Also where a source uses the name of a defined segment for a label."""
    await define(app, tenant_a, rich=RICH)
    await add_profiles(app, tenant_a, "a", segments=["vip", "rich"], raw_attributes={"total_spent": 500})

    async def write(statement: str) -> list[str]:
        async with acting_for(app, tenant_a):
            await app.execute(statement)
        return (await segments_of(proof, tenant_a))["a"]

    await evaluate(evaluation, tenant_a)
    assert (await segments_of(proof, tenant_a))["a"] == ["vip", "rich"]
    assert await write("update cdp_profiles set segments = '[\"new\"]'") == ["new", "rich"]
    assert await write('update cdp_profiles set segments = \'["rich", "new"]\'') == ["rich", "new"]
    assert await write("update cdp_profiles set raw_attributes = '{}'") == ["rich", "new"]
    await evaluate(evaluation, tenant_a)
    assert (await segments_of(proof, tenant_a))["a"] == ["rich", "new"]
    [row] = await stored(proof, "cdp_profiles", tenant_a)
    assert (json.loads(row["evaluated_segments"]), row["segment_labels"]) == ([], None)


async def test_a_refresh_asks_only_the_segments_that_read_what_changed(
    evaluation: SegmentEvaluation, app: asyncpg.Connection, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await define(app, tenant_a, rich=RICH, vietnamese=VIETNAMESE, keen=KEEN)
    await add_profiles(app, tenant_a, "a", "b", language="vi", raw_attributes={"total_spent": 500})
    for number in range(2):
        await view(app, tenant_a, "a", number, 1)
    tenant_id = UUID(int=tenant_a.int)
    assert await evaluation.refresh(tenant_id, ["a"], Changed(attributes=["raw_attributes.city"])) is None
    assert await evaluation.refresh(tenant_id, ["a"], Changed(event_types=["purchase"])) is None
    told = await evaluation.refresh(tenant_id, ["a"], Changed(event_types=["view"]))
    assert told is not None
    assert (told.changed, told.entered) == (1, 1)
    assert await segments_of(proof, tenant_a) == {"a": ["keen"], "b": []}
    await evaluation.refresh(tenant_id, ["a", "b"], Changed(attributes=["raw_attributes.total_spent"]))
    assert await segments_of(proof, tenant_a) == {"a": ["keen", "rich"], "b": ["rich"]}
    await evaluate(evaluation, tenant_a)
    assert await segments_of(proof, tenant_a) == {
        "a": ["keen", "rich", "vietnamese"],
        "b": ["rich", "vietnamese"],
    }


async def test_a_row_that_changes_meanwhile_is_left_to_the_next_time(
    evaluation: SegmentEvaluation, app: asyncpg.Connection, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    """The round has read the row before its change, and writes after it."""
    await define(app, tenant_a, rich=RICH)
    await add_profiles(app, tenant_a, "a", "b", raw_attributes={"total_spent": 500})
    transaction = app.transaction()
    await transaction.start()
    await app.execute("select set_config('app.current_tenant_id', $1, true)", str(tenant_a))
    await app.execute("update cdp_profiles set raw_attributes = '{}' where profile_id = 'a'")
    rounds = asyncio.create_task(evaluate(evaluation, tenant_a, limit=10))
    while not await app.fetchval("select exists (select from pg_locks where not granted)"):
        assert not rounds.done()
    await transaction.commit()
    assert [judged.changed for judged in await rounds] == [1]
    assert await segments_of(proof, tenant_a) == {"a": [], "b": ["rich"]}


async def test_one_process_at_a_time_goes_through_a_tenant(
    evaluation: SegmentEvaluation, app: asyncpg.Connection, tenant_a: Tenant
) -> None:
    transaction = app.transaction()
    await transaction.start()
    await app.fetchval(
        "select pg_try_advisory_xact_lock(hashtextextended('leo.segments:' || $1::uuid, 0))",
        UUID(int=tenant_a.int),
    )
    assert await evaluation.evaluate_next(UUID(int=tenant_a.int), after="") is None
    await transaction.rollback()
    assert await evaluation.evaluate_next(UUID(int=tenant_a.int), after="") is not None
