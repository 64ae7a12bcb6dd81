"""Reading the members of a snapshot, in pages, from wherever a stream broke."""

from __future__ import annotations

import asyncpg
import grpc
import pytest

from tests.fixtures.tenants import Tenant
from tests.snapshots.conftest import Snapshots
from tests.snapshots.rows import add_profiles

IDS = [f"p{number:02}" for number in range(23)]


@pytest.fixture
async def snapshot_id(snapshots: Snapshots, app: asyncpg.Connection, tenant_a: Tenant) -> str:
    """A snapshot of 23 members."""
    await add_profiles(app, tenant_a, *reversed(IDS), segments=["vip"])
    return (await snapshots.freeze(label="vip")).snapshot.snapshot_id


@pytest.mark.parametrize("size", [0, 1, 7, 22, 23, 24, 1000])
async def test_pages_hold_everybody_once_in_order(snapshots: Snapshots, snapshot_id: str, size: int) -> None:
    pages = [page async for page in snapshots.pages(snapshot_id, size=size)]
    assert [member for page in pages for member in page.profile_ids] == IDS
    assert all(len(page.profile_ids) == size for page in pages[:-1])
    assert [bool(page.page.next_page_token) for page in pages] == [True] * (len(pages) - 1) + [False]


async def test_a_stream_goes_on_after_any_of_its_pages(snapshots: Snapshots, snapshot_id: str) -> None:
    seen: list[str] = []
    async for page in snapshots.pages(snapshot_id, size=5):
        seen.extend(page.profile_ids)
        if page.page.next_page_token:
            rest = await snapshots.members(snapshot_id, size=3, token=page.page.next_page_token)
            assert seen + rest == IDS


@pytest.mark.parametrize("page", [{"size": -1}, {"size": 1001}, {"token": "x"}, {"token": "x" * 5000}])
async def test_a_bad_page_is_refused(snapshots: Snapshots, snapshot_id: str, page: dict[str, object]) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await snapshots.members(snapshot_id, **page)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_the_token_of_another_snapshot_is_refused(
    snapshots: Snapshots, snapshot_id: str, app: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await add_profiles(app, tenant_a, "q1", "q2", segments=["new"])
    other = (await snapshots.freeze(label="new")).snapshot.snapshot_id
    first = await anext(snapshots.pages(snapshot_id, size=1))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await snapshots.members(other, token=first.page.next_page_token)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("wrong_id", ["", "x", "F" * 64, "f" * 65])
async def test_what_is_no_id_is_refused(snapshots: Snapshots, wrong_id: str) -> None:
    for call in (snapshots.get(wrong_id), snapshots.members(wrong_id)):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_id_that_nobody_has_is_not_found(snapshots: Snapshots) -> None:
    for call in (snapshots.get("f" * 64), snapshots.members("f" * 64)):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
