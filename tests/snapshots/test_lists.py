"""Audiences that the caller lists, and those that are made of two snapshots."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import asyncpg
import grpc
import pytest
from leo.activation.v1.snapshot_service_pb2 import (
    SNAPSHOT_OPERATION_INTERSECT,
    SNAPSHOT_OPERATION_MINUS,
    SNAPSHOT_OPERATION_UNITE,
    CombinedAudience,
    ListAudience,
)

from server.platform.ids import audience_sha256, key_id
from tests.fixtures.erasing import erase
from tests.fixtures.tenants import Tenant
from tests.snapshots.conftest import Snapshots
from tests.snapshots.rows import acting_for, add_profiles, stored

NOWHERE = "f" * 64


def listed(*profile_ids: str, name: str = "board") -> ListAudience:
    """A list under a name."""
    return ListAudience(name=name, profile_ids=profile_ids)


async def test_a_list_freezes_whom_the_tenant_has_and_names_the_others(
    snapshots: Snapshots, app: asyncpg.Connection, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    await add_profiles(app, tenant_a, "é", "a", "b", "erased")
    await add_profiles(app, tenant_b, "theirs")
    async with acting_for(app, tenant_a):
        await erase(app, "erased")
    answer = await snapshots.freeze(list=listed("é", "nobody", "b", "theirs", "b", "erased"))
    snapshot = answer.snapshot
    assert await snapshots.members(snapshot.snapshot_id) == ["b", "é"]
    assert (snapshot.segment_name, snapshot.segment_version) == ("board", "list")
    assert snapshot.snapshot_id == key_id(
        "snapshot", UUID(int=tenant_a.int), "board", "list", audience_sha256(["b", "é"])
    )
    assert answer.unknown_count == 3
    assert list(answer.unknown_profile_ids) == ["erased", "nobody", "theirs"]


async def test_the_order_of_a_list_and_who_is_unknown_do_not_count(
    snapshots: Snapshots, app: asyncpg.Connection, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await add_profiles(app, tenant_a, "a", "b")
    first = await snapshots.freeze(list=listed("a", "b"))
    second = await snapshots.freeze(list=listed("b", "c", "a"), reason="again")
    assert first.created
    assert not second.created
    assert second.snapshot == first.snapshot
    inputs = [json.loads(row["inputs"]) for row in await stored(proof, "agent_task", tenant_a)]
    assert sorted(each["list"] for each in inputs) == [2, 3]
    assert len(await stored(proof, "segment_snapshot_member", tenant_a)) == 2


async def test_a_long_list_is_frozen_whole_and_only_some_unknown_are_named(
    snapshots: Snapshots, app: asyncpg.Connection, tenant_a: Tenant
) -> None:
    async with acting_for(app, tenant_a):
        await app.execute(
            "insert into cdp_profiles (tenant_id, profile_id)"
            " select $1, 'p' || lpad(n::text, 5, '0') from generate_series(0, 10004) as n",
            UUID(int=tenant_a.int),
        )
    known = [f"p{number:05}" for number in range(10_005)]
    unknown = [f"u{number:03}" for number in range(150)]
    answer = await snapshots.freeze(list=listed(*unknown, *known))
    assert answer.snapshot.member_count == len(known)
    assert answer.snapshot.audience_sha256 == audience_sha256(known)
    assert answer.unknown_count == len(unknown)
    assert list(answer.unknown_profile_ids) == unknown[:100]
    assert await snapshots.members(answer.snapshot.snapshot_id) == known
    assert (await snapshots.verify(answer.snapshot.snapshot_id)).intact


async def test_two_snapshots_become_one(
    snapshots: Snapshots, app: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await add_profiles(app, tenant_a, "a", "b", "c", "d", "e", "é")
    one = (await snapshots.freeze(list=listed("d", "c", "b", "a"))).snapshot
    other = (await snapshots.freeze(list=listed("é", "e", "d", "c", name="other"))).snapshot
    for operation, expected in (
        (SNAPSHOT_OPERATION_MINUS, ["a", "b"]),
        (SNAPSHOT_OPERATION_INTERSECT, ["c", "d"]),
        (SNAPSHOT_OPERATION_UNITE, ["a", "b", "c", "d", "e", "é"]),
    ):
        combination = CombinedAudience(
            name="both",
            snapshot_id=one.snapshot_id,
            operation=operation,
            other_snapshot_id=other.snapshot_id,
        )
        first, again = [await snapshots.freeze(combination=combination) for _ in range(2)]
        assert (first.created, again.created) == (True, False)
        assert again.snapshot == first.snapshot
        assert await snapshots.members(first.snapshot.snapshot_id) == expected


async def test_who_was_erased_since_is_in_no_combination(
    snapshots: Snapshots, app: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await add_profiles(app, tenant_a, "a", "b")
    one = (await snapshots.freeze(list=listed("a", "b"))).snapshot.snapshot_id
    async with acting_for(app, tenant_a):
        await erase(app, "a")
    for operation in (SNAPSHOT_OPERATION_INTERSECT, SNAPSHOT_OPERATION_UNITE):
        combination = CombinedAudience(
            name="still", snapshot_id=one, operation=operation, other_snapshot_id=one
        )
        frozen = await snapshots.freeze(combination=combination)
        assert await snapshots.members(frozen.snapshot.snapshot_id) == ["b"]


async def test_a_snapshot_of_nobody_or_of_another_tenant_can_not_be_combined(
    snapshots_of: Callable[[Tenant], Snapshots],
    app: asyncpg.Connection,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
    tenant_b: Tenant,
) -> None:
    await add_profiles(app, tenant_a, "a")
    await add_profiles(app, tenant_b, "a")
    theirs = (await snapshots_of(tenant_a).freeze(list=listed("a"))).snapshot.snapshot_id
    own = (await snapshots_of(tenant_b).freeze(list=listed("a"))).snapshot.snapshot_id
    for pair in ((own, NOWHERE), (own, theirs), (theirs, own)):
        combination = CombinedAudience(
            name="n", snapshot_id=pair[0], operation=SNAPSHOT_OPERATION_UNITE, other_snapshot_id=pair[1]
        )
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await snapshots_of(tenant_b).freeze(combination=combination)
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert len(await stored(proof, "segment_snapshot", tenant_b)) == 1


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"list": listed(name="n")}, "list.profile_ids"),
    ({"list": listed("a", name="")}, "list.name"),
    ({"list": listed("a", "")}, "list.profile_ids[1]"),
    ({"list": listed("x" * 201)}, "list.profile_ids[0]"),
    ({"list": listed(*map(str, range(50_001)))}, "list.profile_ids"),
    ({"combination": CombinedAudience()}, "combination.name"),
    (
        {"combination": CombinedAudience(name="n", snapshot_id="x", other_snapshot_id=NOWHERE)},
        "combination.snapshot_id",
    ),
    (
        {"combination": CombinedAudience(name="n", snapshot_id=NOWHERE, other_snapshot_id=NOWHERE)},
        "combination.operation",
    ),
]


async def test_bad_input_names_the_field_and_changes_nothing(
    snapshots: Snapshots, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    for fields, field in FAULTS:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await snapshots.freeze(**fields)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert field in (refused.value.details() or "")
    for table in ("segment_snapshot", "segment_snapshot_member", "agent_task"):
        assert not await stored(proof, table, tenant_a)
