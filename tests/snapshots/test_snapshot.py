"""Freezing audiences: who is in, under which id, recorded how, and that it stays."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any
from uuid import UUID

import asyncpg
import grpc
import pytest
from leo.activation.v1.snapshot_service_pb2 import ConditionAudience

from server.conditions import parse
from server.platform.ids import audience_sha256, content_id, key_id
from server.snapshots.model import FreezeRequest, Label
from server.snapshots.service import SnapshotService
from tests.fixtures.erasing import erase
from tests.fixtures.tenants import Tenant
from tests.snapshots.conftest import Snapshots
from tests.snapshots.rows import acting_for, add_campaign, add_profiles, stored

BIG_SPENDER = {"attribute": "profile.total_spent", "operator": ">=", "value": 100}
HANOI = {"attribute": "profile.city", "operator": "==", "value": "Hanoi"}


def audience(name: str, condition: Any, tenant: UUID) -> dict[str, Any]:
    """As the catalogue stores it."""
    canonical = parse(condition).canonical()
    version = content_id("segment", UUID(int=tenant.int), canonical)
    return {"name": name, "condition": canonical, "version": version}


async def test_a_label_freezes_those_who_bear_it(
    snapshots: Snapshots, app: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await add_profiles(app, tenant_a, "b", "a", "é", "Z", segments=["vip", "new"])
    await add_profiles(app, tenant_a, "c", segments=["vip2"])
    answer = await snapshots.freeze(label="vip")
    assert answer.created
    assert not answer.empty
    snapshot = answer.snapshot
    assert await snapshots.members(snapshot.snapshot_id) == ["Z", "a", "b", "é"]
    assert snapshot.member_count == 4
    assert snapshot.audience_sha256 == audience_sha256(["a", "b", "é", "Z"])
    assert snapshot.snapshot_id == key_id(
        "snapshot", UUID(int=tenant_a.int), "vip", "label", snapshot.audience_sha256
    )
    assert (snapshot.segment_name, snapshot.segment_version) == ("vip", "label")
    assert snapshot.reason == "spring offer"
    assert await snapshots.get(snapshot.snapshot_id) == snapshot


async def test_the_hash_is_over_the_members_with_their_lengths(
    snapshots: Snapshots, app: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await add_profiles(app, tenant_a, "ab", "é", segments=["vip"])
    snapshot = (await snapshots.freeze(label="vip")).snapshot
    assert snapshot.audience_sha256 == sha256("2:ab2:é".encode()).hexdigest()


async def test_the_same_audience_is_the_same_snapshot(
    snapshots: Snapshots, app: asyncpg.Connection, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await add_profiles(app, tenant_a, "a", "b", segments=["vip"])
    first = await snapshots.freeze(label="vip")
    second = await snapshots.freeze(label="vip", reason="summer offer")
    assert second.snapshot == first.snapshot
    assert not second.created
    assert second.task_id != first.task_id
    assert len(await stored(proof, "segment_snapshot", tenant_a)) == 1
    assert len(await stored(proof, "segment_snapshot_member", tenant_a)) == 2
    await add_profiles(app, tenant_a, "c", segments=["vip"])
    third = await snapshots.freeze(label="vip")
    assert third.created
    assert third.snapshot.snapshot_id != first.snapshot.snapshot_id
    assert await snapshots.members(first.snapshot.snapshot_id) == ["a", "b"]


async def test_who_asked_when_and_why_is_recorded_each_time(
    snapshots: Snapshots, app: asyncpg.Connection, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await add_profiles(app, tenant_a, "a", segments=["vip"])
    answers = [await snapshots.freeze(label="vip", reason=reason) for reason in ("first", "second")]
    tasks = {row["task_id"]: row for row in await stored(proof, "agent_task", tenant_a)}
    assert set(tasks) == {answer.task_id for answer in answers}
    for answer, reason in zip(answers, ("first", "second"), strict=True):
        task = tasks[answer.task_id]
        inputs, result = json.loads(task["inputs"]), json.loads(task["result"])
        assert (task["task_type"], task["agent_name"], task["status"]) == ("plan", "snapshot", "completed")
        assert (task["snapshot_id"], task["reasoning_summary"]) == (answer.snapshot.snapshot_id, reason)
        assert inputs["label"] == "vip"
        assert inputs["requested_by"]
        assert inputs["evaluated_at"] == task["decided_at"].isoformat()
        assert result == {"member_count": 1, "audience_sha256": answer.snapshot.audience_sha256}


async def test_a_campaigns_segment_and_its_condition_given_by_hand_are_one(
    snapshots: Snapshots, app: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await add_profiles(app, tenant_a, "rich", raw_attributes={"total_spent": 100.5})
    await add_profiles(app, tenant_a, "poor", raw_attributes={"total_spent": 99.99})
    definition = audience("big spenders", BIG_SPENDER, tenant_a)
    await add_campaign(app, tenant_a, "spring", definition)
    named = await snapshots.freeze(segment="big spenders")
    given = await snapshots.freeze(
        condition=ConditionAudience(name="big spenders", condition=json.dumps(BIG_SPENDER).encode())
    )
    assert await snapshots.members(named.snapshot.snapshot_id) == ["rich"]
    assert named.snapshot.segment_version == definition["version"]
    assert given.snapshot == named.snapshot
    assert not given.created


async def test_the_active_definition_of_a_segment_counts(
    snapshots: Snapshots, app: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await add_profiles(app, tenant_a, "rich", raw_attributes={"total_spent": 500, "city": "Hue"})
    await add_profiles(app, tenant_a, "local", raw_attributes={"total_spent": 5, "city": "Hanoi"})
    await add_campaign(app, tenant_a, "old", audience("ours", BIG_SPENDER, tenant_a), status="completed")
    await add_campaign(app, tenant_a, "next", audience("ours", HANOI, tenant_a), status="draft")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await snapshots.freeze(segment="ours")
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    await add_campaign(app, tenant_a, "now", audience("ours", HANOI, tenant_a))
    answer = await snapshots.freeze(segment="ours")
    assert await snapshots.members(answer.snapshot.snapshot_id) == ["local"]


async def test_erased_profiles_are_in_no_audience(
    snapshots: Snapshots, app: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await add_profiles(app, tenant_a, "alive", "erased")
    async with acting_for(app, tenant_a):
        await erase(app, "erased")
    everybody = ConditionAudience(name="everybody", condition=b'{"all": []}')
    answer = await snapshots.freeze(condition=everybody)
    assert await snapshots.members(answer.snapshot.snapshot_id) == ["alive"]


async def test_an_empty_audience_is_frozen_and_says_so(snapshots: Snapshots) -> None:
    answer = await snapshots.freeze(label="nobody has it")
    assert answer.empty
    assert answer.snapshot.member_count == 0
    assert answer.snapshot.audience_sha256 == sha256(b"").hexdigest()
    pages = [page async for page in snapshots.pages(answer.snapshot.snapshot_id)]
    assert len(pages) == 1
    assert not pages[0].profile_ids
    assert not pages[0].page.next_page_token


async def test_a_snapshot_never_changes(
    snapshots: Snapshots, app: asyncpg.Connection, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await add_profiles(app, tenant_a, "a", segments=["vip"])
    await snapshots.freeze(label="vip")
    for statement in (
        "update segment_snapshot set member_count = 0",
        "delete from segment_snapshot_member",
        "delete from segment_snapshot",
    ):
        with pytest.raises(asyncpg.PostgresError) as refused:
            await proof.execute(statement)
        assert refused.value.sqlstate == "LE001"


async def test_tenants_see_nothing_of_each_other(
    snapshots_of: Callable[[Tenant], Snapshots],
    app: asyncpg.Connection,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
    tenant_b: Tenant,
) -> None:
    await add_profiles(app, tenant_a, "a", "shared", segments=["vip"])
    await add_profiles(app, tenant_b, "b", "shared", segments=["vip"])
    await add_campaign(app, tenant_a, "spring", audience("ours", BIG_SPENDER, tenant_a))
    one, other = snapshots_of(tenant_a), snapshots_of(tenant_b)
    frozen = [(await caller.freeze(label="vip")).snapshot for caller in (one, other)]
    assert await one.members(frozen[0].snapshot_id) == ["a", "shared"]
    assert await other.members(frozen[1].snapshot_id) == ["b", "shared"]
    assert len(await stored(proof, "segment_snapshot", tenant_a)) == 1
    assert len(await stored(proof, "segment_snapshot", tenant_b)) == 1
    for call in (
        other.get(frozen[0].snapshot_id),
        other.members(frozen[0].snapshot_id),
        other.freeze(segment="ours"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_snapshots_of_one_audience_at_once_are_one(
    service: SnapshotService, app: asyncpg.Connection, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await add_profiles(app, tenant_a, *(f"p{number}" for number in range(300)), segments=["vip"])
    tenant_id = UUID(int=tenant_a.int)
    request = FreezeRequest(Label("vip"), "at once", "test")
    answers = await asyncio.gather(*(service.snapshot(tenant_id, request) for _ in range(8)))
    assert len({answer.snapshot.snapshot_id for answer in answers}) == 1
    assert sum(answer.created for answer in answers) == 1
    assert len({answer.task_id for answer in answers}) == 8
    assert len(await stored(proof, "segment_snapshot_member", tenant_a)) == 300


async def test_a_second_freeze_waits_for_the_first_and_finds_its_snapshot(
    service: SnapshotService, app: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await add_profiles(app, tenant_a, "a", segments=["vip"])
    tenant_id = UUID(int=tenant_a.int)
    sha = audience_sha256(["a"])
    snapshot_id = key_id("snapshot", tenant_id, "vip", "label", sha)
    transaction = app.transaction()
    await transaction.start()
    await app.execute("select set_config('app.current_tenant_id', $1, true)", str(tenant_id))
    await app.execute(
        "insert into segment_snapshot (tenant_id, snapshot_id, segment_name, segment_version, snapshot_reason,"
        " audience_sha256, member_count) values ($1, $2, 'vip', 'label', 'the first', $3, 1)",
        tenant_id,
        snapshot_id,
        sha,
    )
    second = asyncio.create_task(service.snapshot(tenant_id, FreezeRequest(Label("vip"), "second", "test")))
    while not await _somebody_waits(app):
        assert not second.done()
    await transaction.commit()
    answer = await second
    assert not answer.created
    assert answer.snapshot.snapshot_id == snapshot_id
    assert answer.snapshot.reason == "the first"


async def _somebody_waits(connection: asyncpg.Connection) -> bool:
    return bool(
        await connection.fetchval(
            "select exists (select from pg_stat_activity"
            " where datname = current_database() and wait_event_type = 'Lock')"
        )
    )


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "audience"),
        ({"label": "vip", "reason": ""}, "reason"),
        ({"label": "vip", "reason": " "}, "reason"),
        ({"label": "vip", "reason": "x" * 501}, "reason"),
        ({"label": ""}, "label"),
        ({"label": "x" * 201}, "label"),
        ({"label": "a\0b"}, "label"),
        ({"segment": ""}, "segment"),
        ({"segment": "x" * 101}, "segment"),
        ({"condition": ConditionAudience(name="n")}, "condition.condition"),
        ({"condition": ConditionAudience(condition=b'{"all": []}')}, "condition.name"),
        ({"condition": ConditionAudience(name="n", condition=b"{")}, "condition.condition"),
        ({"condition": ConditionAudience(name="n", condition=b'{"any": 3}')}, "condition.condition"),
        (
            {
                "condition": ConditionAudience(
                    name="n", condition=b'{"all": [{"attribute": "profile.a", "operator": "?", "value": 1}]}'
                )
            },
            "condition.condition.all[0]",
        ),
        (
            {
                "condition": ConditionAudience(
                    name="n", condition=b'{"attribute": "event.amount", "operator": ">", "value": 1}'
                )
            },
            "condition.condition.attribute",
        ),
    ],
)
async def test_bad_input_names_the_field_and_changes_nothing(
    snapshots: Snapshots, proof: asyncpg.Connection, tenant_a: Tenant, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await snapshots.freeze(**fields)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert field in (refused.value.details() or "")
    for table in ("segment_snapshot", "segment_snapshot_member", "agent_task"):
        assert not await stored(proof, table, tenant_a)


async def test_an_unknown_segment_is_not_found(snapshots: Snapshots) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await snapshots.freeze(segment="nobody defines it")
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
