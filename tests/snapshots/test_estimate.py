"""How large an audience is: counted where it is cheap, else estimated, with an error that it says."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any
from uuid import UUID

import asyncpg
import grpc
import pytest
from leo.activation.v1 import snapshot_service_pb2 as wire
from leo.activation.v1.snapshot_service_pb2_grpc import SnapshotServiceStub

from server.snapshots.model import Drawn, estimate
from tests.fixtures.erasing import erase
from tests.fixtures.server import bearer
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor
from tests.snapshots.rows import acting_for, add_campaign, add_profiles
from tests.snapshots.test_snapshot import BIG_SPENDER, audience

COUNT = 60_000
MOST = wire.ConditionAudience(
    name="most", condition=b'{"attribute": "profile.remainder", "operator": "between", "value": [0, 1]}'
)


@pytest.fixture
def estimated(channel: grpc.aio.Channel, token_for: TokenFor) -> Callable[..., Any]:
    """EstimateSegment for a tenant."""
    stub: Any = SnapshotServiceStub(channel)

    def call(tenant: Tenant, **fields: Any) -> Any:
        metadata = bearer(token_for(tenant, ("snapshots.read",)))
        return stub.EstimateSegment(wire.EstimateSegmentRequest(**fields), metadata=metadata)

    return call


async def test_a_small_audience_is_counted(
    estimated: Callable[..., Any], app: asyncpg.Connection, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    await add_campaign(app, tenant_a, "spring", audience("ours", BIG_SPENDER, tenant_a))
    await add_profiles(app, tenant_a, "a", "b", "c", segments=["vip"], raw_attributes={"total_spent": 500})
    await add_profiles(app, tenant_a, "d", "erased")
    await add_profiles(app, tenant_b, "e", segments=["vip"])
    async with acting_for(app, tenant_a):
        await erase(app, "erased")
    everybody = wire.ConditionAudience(name="all", condition=b'{"all": []}')
    for fields, members in (
        ({"label": "vip"}, ["a", "b", "c"]),
        ({"segment": "ours"}, ["a", "b", "c"]),
        ({"condition": everybody}, ["a", "b", "c", "d"]),
        ({"label": "nobody"}, []),
    ):
        answer = await estimated(tenant_a, **fields)
        assert (answer.member_count, answer.exact, answer.margin) == (len(members), True, 0)
        assert list(answer.sample_profile_ids) == members
    assert len((await estimated(tenant_a, label="vip", sample_size=2)).sample_profile_ids) == 2


async def test_a_large_audience_is_estimated_from_pages_of_all_tenants(
    estimated: Callable[..., Any], app: asyncpg.Connection, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    """Two tenants share the pages; neighbours are alike, since ids and remainders follow each other."""
    for start in range(0, COUNT, 10_000):
        for tenant in (tenant_a, tenant_b):
            async with acting_for(app, tenant):
                await app.execute(
                    "insert into cdp_profiles (tenant_id, profile_id, raw_attributes)"
                    " select $1, 'p' || n, jsonb_build_object('remainder', n / 1000 % 3, 'filling', repeat('x', 300))"
                    " from generate_series($2::int, $2 + 9999) as n",
                    UUID(int=tenant.int),
                    start,
                )
    answer = await estimated(tenant_a, condition=MOST)
    assert not answer.exact
    assert 0 < answer.margin < COUNT
    # Twice the margin is passed once in ten thousand times.
    assert abs(answer.member_count - COUNT * 2 / 3) <= 2 * answer.margin
    assert len(answer.sample_profile_ids) == 10
    assert all(int(each[1:]) // 1000 % 3 < 2 for each in answer.sample_profile_ids)


async def test_bad_input_is_refused(estimated: Callable[..., Any], tenant_a: Tenant) -> None:
    for fields, code in (
        ({}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"label": ""}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"label": "vip", "sample_size": 101}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"label": "vip", "sample_size": -1}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"condition": wire.ConditionAudience(name="n", condition=b"{")}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"segment": "nobody defines it"}, grpc.StatusCode.NOT_FOUND),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await estimated(tenant_a, **fields)
        assert refused.value.code() is code


def test_nineteen_of_twenty_estimates_are_within_their_margin() -> None:
    """Pages whose members vary from none to all, drawn without returning."""
    draw = random.Random(7)
    pages = [draw.choice((0, 0, 1, 4, 9)) for _ in range(20_000)]
    within = 0
    for _ in range(1_000):
        seen = draw.sample(pages, 400)
        drawn = Drawn(len(seen), sum(seen), sum(each * each for each in seen), ())
        found = estimate(drawn, pages=len(pages))
        within += abs(found.member_count - sum(pages)) <= found.margin
    assert 930 <= within <= 970


def test_what_was_never_seen_is_not_said_to_be_nobody() -> None:
    found = estimate(Drawn(400, 0, 0, ()), pages=100_000)
    assert (found.member_count, found.exact, found.margin) == (0, False, 750)
