"""Snapshots held against each other, and against their own members."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from uuid import UUID

import asyncpg
import grpc
import pytest
from leo.activation.v1 import snapshot_service_pb2 as wire

from server.embedded.database_setup import DatabaseUrls
from server.platform.ids import audience_sha256
from tests.fixtures.tenants import Tenant
from tests.snapshots.conftest import Snapshots
from tests.snapshots.rows import acting_for, add_profiles, insert

ENTERED, LEFT, KEPT = (
    wire.SNAPSHOT_CHANGE_ENTERED,
    wire.SNAPSHOT_CHANGE_LEFT,
    wire.SNAPSHOT_CHANGE_KEPT,
)
IDS = [f"p{number:02}" for number in range(30)]
EARLIER, LATER = IDS[:20], IDS[10:]
CHANGED = {ENTERED: IDS[20:], LEFT: IDS[:10], KEPT: IDS[10:20]}


@pytest.fixture
async def pair(snapshots: Snapshots, app: asyncpg.Connection, tenant_a: Tenant) -> tuple[str, str]:
    """Two snapshots of one segment: ten entered, ten left, ten stayed."""
    await add_profiles(app, tenant_a, *IDS)
    frozen = [
        await snapshots.freeze(list=wire.ListAudience(name="ours", profile_ids=ids))
        for ids in (EARLIER, LATER)
    ]
    return frozen[0].snapshot.snapshot_id, frozen[1].snapshot.snapshot_id


def _told(pages: list[wire.DiffSnapshotsResponse]) -> dict[int, list[str]]:
    """Who changed how, over all pages."""
    fields = {ENTERED: "entered", LEFT: "left", KEPT: "kept"}
    return {
        change: [member for page in pages for member in getattr(page, field)]
        for change, field in fields.items()
    }


async def test_everybody_is_told_once_in_order_and_counted(
    snapshots: Snapshots, pair: tuple[str, str]
) -> None:
    kinds = ((), (ENTERED,), (LEFT,), (KEPT,), (KEPT, ENTERED, LEFT, KEPT))
    for changes, size in itertools.product(kinds, (0, 1, 7, 10)):
        pages = await snapshots.differences(*pair, *changes, size=size)
        wanted = set(changes) or {ENTERED, LEFT}
        assert _told(pages) == {change: ids if change in wanted else [] for change, ids in CHANGED.items()}
        counted = pages[0].difference
        assert (counted.entered_count, counted.left_count, counted.kept_count) == (10, 10, 10)
        assert not any(page.HasField("difference") for page in pages[1:])
        tokens = [page.page.next_page_token for page in pages]
        assert all(tokens[:-1])
        assert not tokens[-1]


async def test_a_comparison_goes_on_after_any_of_its_pages(
    snapshots: Snapshots, pair: tuple[str, str]
) -> None:
    pages = await snapshots.differences(*pair, ENTERED, LEFT, KEPT, size=4)
    for place, page in enumerate(pages[:-1]):
        rest = await snapshots.differences(
            *pair, KEPT, LEFT, ENTERED, size=9, token=page.page.next_page_token
        )
        assert _told(pages[: place + 1] + rest) == CHANGED
        assert not any(each.HasField("difference") for each in rest)


async def test_a_snapshot_differs_in_nothing_from_itself(snapshots: Snapshots, pair: tuple[str, str]) -> None:
    [page] = await snapshots.differences(pair[0], pair[0])
    assert page.difference == wire.SnapshotDifference(kept_count=20)
    assert not page.entered
    assert not page.left


async def test_what_can_not_be_compared_is_refused(
    snapshots_of: Callable[[Tenant], Snapshots],
    snapshots: Snapshots,
    pair: tuple[str, str],
    tenant_b: Tenant,
) -> None:
    token = (await snapshots.differences(*pair, size=1))[0].page.next_page_token
    for call, code in (
        (snapshots.differences("x", pair[1]), grpc.StatusCode.INVALID_ARGUMENT),
        (snapshots.differences(pair[0], "f" * 64), grpc.StatusCode.NOT_FOUND),
        (snapshots.differences("f" * 64, pair[1]), grpc.StatusCode.NOT_FOUND),
        (snapshots.differences(*pair, size=1001), grpc.StatusCode.INVALID_ARGUMENT),
        (snapshots.differences(*pair, KEPT, token=token), grpc.StatusCode.INVALID_ARGUMENT),
        (snapshots.differences(*reversed(pair), token=token), grpc.StatusCode.INVALID_ARGUMENT),
        (snapshots_of(tenant_b).differences(*pair), grpc.StatusCode.NOT_FOUND),
        (snapshots_of(tenant_b).verify(pair[0]), grpc.StatusCode.NOT_FOUND),
        (snapshots.verify("f" * 64), grpc.StatusCode.NOT_FOUND),
        (snapshots.verify("x"), grpc.StatusCode.INVALID_ARGUMENT),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
        assert refused.value.code() is code


async def test_an_untouched_snapshot_is_intact(snapshots: Snapshots, pair: tuple[str, str]) -> None:
    for snapshot_id, members in zip(pair, (EARLIER, LATER), strict=True):
        verified = await snapshots.verify(snapshot_id)
        assert verified.intact
        assert verified.found_member_count == 20
        assert verified.found_audience_sha256 == audience_sha256(members)
        assert verified.found_snapshot_id == snapshot_id
        assert verified.snapshot == await snapshots.get(snapshot_id)
    nobody = (await snapshots.freeze(label="nobody has it")).snapshot.snapshot_id
    assert (await snapshots.verify(nobody)).intact


async def test_an_added_member_shows(
    snapshots: Snapshots, pair: tuple[str, str], proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    """A row may be added to the table by whoever may freeze; also then the snapshot tells."""
    async with acting_for(proof, tenant_a):
        await insert(
            proof, tenant_a, "segment_snapshot_member", snapshot_id=pair[0], profile_id="smuggled in"
        )
    verified = await snapshots.verify(pair[0])
    assert not verified.intact
    assert verified.found_member_count == 21
    assert verified.snapshot.member_count == 20
    assert verified.found_audience_sha256 == audience_sha256([*EARLIER, "smuggled in"])
    assert verified.found_snapshot_id != pair[0]
    assert (await snapshots.verify(pair[1])).intact


async def test_what_a_superuser_changed_past_the_triggers_shows(
    snapshots: Snapshots, pair: tuple[str, str], database: DatabaseUrls
) -> None:
    superuser = await asyncpg.connect(
        database.superuser_url, server_settings={"session_replication_role": "replica"}
    )
    for number, statement in enumerate(
        (
            "delete from segment_snapshot_member where snapshot_id = $1 and profile_id = 'p03'",
            "update segment_snapshot_member set profile_id = 'x' where snapshot_id = $1 and profile_id = 'p03'",
            "update segment_snapshot set member_count = 19 where snapshot_id = $1",
            "update segment_snapshot set audience_sha256 = 'x' where snapshot_id = $1",
            "update segment_snapshot set segment_name = 'theirs' where snapshot_id = $1",
        )
    ):
        audience = wire.ListAudience(name=f"list {number}", profile_ids=EARLIER)
        snapshot_id = (await snapshots.freeze(list=audience)).snapshot.snapshot_id
        await superuser.execute(statement, snapshot_id)
        assert not (await snapshots.verify(snapshot_id)).intact, statement
    await superuser.close()
    assert (await snapshots.verify(pair[1])).intact


async def test_snapshots_of_a_segment_are_listed_the_newest_first(
    snapshots_of: Callable[[Tenant], Snapshots], app: asyncpg.Connection, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    snapshots = snapshots_of(tenant_a)
    frozen = []
    for number in range(5):
        await add_profiles(app, tenant_a, f"p{number}", segments=["vip"])
        frozen.append((await snapshots.freeze(label="vip")).snapshot)
    await snapshots.freeze(label="other")
    expected = frozen[::-1]
    assert list((await snapshots.named("vip")).snapshots) == expected
    first = await snapshots.named("vip", size=3)
    rest = await snapshots.named("vip", size=3, token=first.page.next_page_token)
    assert [*first.snapshots, *rest.snapshots] == expected
    assert not rest.page.next_page_token
    assert not (await snapshots_of(tenant_b).named("vip")).snapshots
    for call in (snapshots.named(""), snapshots.named("vip", token="x"), snapshots.named("vip", size=1001)):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_large_snapshots_are_compared_and_verified_in_blocks(
    snapshots: Snapshots, app: asyncpg.Connection, tenant_a: Tenant
) -> None:
    async with acting_for(app, tenant_a):
        await app.execute(
            "insert into cdp_profiles (tenant_id, profile_id, segments)"
            " select $1, 'p' || n, case when n % 2 = 0 then '[\"even\"]' else '[\"odd\"]' end::jsonb"
            " || case when n % 3 = 0 then '[\"third\"]' else '[]' end::jsonb from generate_series(1, 60000) as n",
            UUID(int=tenant_a.int),
        )
    even, third = [(await snapshots.freeze(label=label)).snapshot.snapshot_id for label in ("even", "third")]
    assert (await snapshots.verify(even)).intact
    pages = await snapshots.differences(even, third, ENTERED)
    counted = pages[0].difference
    assert (counted.entered_count, counted.left_count, counted.kept_count) == (10_000, 20_000, 10_000)
    assert sorted(_told(pages)[ENTERED]) == sorted(f"p{n}" for n in range(3, 60_001, 6))
