"""Benchmark of EstimateSegment over a million profiles."""

from __future__ import annotations

import time

import asyncpg
from leo.activation.v1 import snapshot_service_pb2 as wire
from leo_client import LeoClient

from loadtest.bench.benchmark import Benchmark, Pair, Sample, Sizes
from loadtest.bench.client import percentile
from loadtest.bench.driving import NotReconciled
from loadtest.bench.stage import Stage
from loadtest.bench.world import World, fill, tenant_client

_PROFILES = 1_000_000
_FEWEST = 500
_CALLS = 200
# An estimate may pass its margin once in twenty times, and three times it nearly never.
_MARGINS = 3
_CONDITION = b'{"attribute": "profile.purchase_count", "operator": ">=", "value": 7}'
_TRULY = "select count(*) from cdp_profiles where (raw_attributes ->> 'purchase_count')::int >= 7"


async def rounds(stage: Stage, sizes: Sizes, count: int) -> list[Pair]:
    """So many calls one after the other in each round, on one database."""
    async with stage.database() as database:
        await fill(database, World(1, max(_FEWEST, int(_PROFILES * sizes.share))), definitions=False)
        proof = await asyncpg.connect(database.proof_url)
        truly = await proof.fetchval(_TRULY)
        await proof.close()
        async with stage.server(database) as server:
            token = stage.token(tenant_client(0), ("snapshots.read",))
            async with LeoClient(server.address, token=token) as client:
                return [(await _round(stage, client, truly), None) for _ in range(count)]


async def _round(stage: Stage, client: LeoClient, truly: int) -> Sample:
    """Valued by the p99 of its calls; each answer is held against the true number."""
    await stage.settle()
    audience = wire.ConditionAudience(name="bench", condition=_CONDITION)
    request = wire.EstimateSegmentRequest(condition=audience)
    seconds: list[float] = []
    margins: list[float] = []
    for _ in range(_CALLS):
        started = time.perf_counter()
        answer = await client.snapshots.EstimateSegment(request)
        seconds.append(time.perf_counter() - started)
        if abs(answer.member_count - truly) > _MARGINS * answer.margin:
            raise NotReconciled(f"there are {truly} members, and the answer is {answer}")
        margins.append(answer.margin / max(1, truly))
    ordered = sorted(seconds)
    return Sample(
        percentile(ordered, 0.99) * 1000,
        {
            "p50_ms": percentile(ordered, 0.5) * 1000,
            "p99_ms": percentile(ordered, 0.99) * 1000,
            "margin_percent": 100 * sum(margins) / len(margins),
            "rows": truly,
        },
    )


BENCHMARKS = (Benchmark("segment_estimate", "ms", rounds),)
