"""Benchmarks of what goes on while a large audience is frozen: Decide, and reading another snapshot."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
from leo.activation.v1 import snapshot_service_pb2 as wire
from leo.activation.v1 import types_pb2
from leo_client import LeoClient

from loadtest.bench.benchmark import Benchmark, Pair, Sample, Sizes
from loadtest.bench.client import DECIDE, percentile
from loadtest.bench.decisions import complete
from loadtest.bench.driving import NotReconciled, drive, recorded_in
from loadtest.bench.stage import Server, Stage
from loadtest.bench.world import World, fill, tenant_client
from server.embedded.database_setup import DatabaseUrls

_MEMBERS = 1_000_000
_FEWEST = 200
_RATE = 200
_LONGEST_SECONDS = 280.0
_FEWEST_PAGES = 50
_PAGE = 1_000
_EVERYBODY = b'{"attribute": "profile.purchase_count", "operator": ">=", "value": 0}'
_STORED = "select coalesce(sum(member_count), 0) from segment_snapshot where segment_name like 'bench-%'"
_WRITTEN = (
    "select count(*) from segment_snapshot_member"
    " join segment_snapshot using (tenant_id, snapshot_id) where segment_name like 'bench-%'"
)


@dataclass(slots=True)
class _Scene:
    """One database with its server, over all rounds; every freeze has a new name, so that all members are written."""

    stage: Stage
    sizes: Sizes
    database: DatabaseUrls
    server: Server
    client: LeoClient
    profiles: int
    frozen: int = 0
    decided: int = 0

    async def freeze(self) -> wire.Snapshot:
        """Freeze everybody."""
        self.frozen += 1
        audience = wire.ConditionAudience(name=f"bench-{self.frozen}", condition=_EVERYBODY)
        request = wire.SnapshotRequest(condition=audience, reason="benchmark")
        answer = await self.client.snapshots.Snapshot(request, timeout=_LONGEST_SECONDS)
        if not answer.created:
            raise NotReconciled("an audience under a new name was not new")
        return answer.snapshot

    @asynccontextmanager
    async def freezing(self) -> AsyncIterator[None]:
        """One freeze after the other while the block runs; the last one is awaited."""
        over = False

        async def one_after_the_other() -> None:
            while not over:
                await self.freeze()

        work = asyncio.create_task(one_after_the_other())
        try:
            yield
        finally:
            over = True
            await work

    async def reconcile(self) -> int:
        """How many members are stored, which have to be as many as all freezes counted."""
        proof = await asyncpg.connect(self.database.proof_url)
        counted, written = await proof.fetchval(_STORED), await proof.fetchval(_WRITTEN)
        await proof.close()
        if counted != written or written < self.frozen * self.profiles:
            raise NotReconciled(f"{self.frozen} freezes counted {counted} members, {written} are there")
        return int(written)


_Measure = Callable[[_Scene], Awaitable[Sample]]


def _interleaved(beside: _Measure, alone: _Measure) -> Callable[[Stage, Sizes, int], Awaitable[list[Pair]]]:
    async def rounds(stage: Stage, sizes: Sizes, count: int) -> list[Pair]:
        profiles = max(_FEWEST, int(_MEMBERS * sizes.share))
        async with stage.database() as database:
            await fill(database, World(1, profiles))
            async with stage.server(database) as server:
                token = stage.token(tenant_client(0), ("snapshots.write", "snapshots.read"))
                async with LeoClient(server.address, token=token) as client:
                    scene = _Scene(stage, sizes, database, server, client, profiles)
                    return [await _pair(scene, number, beside, alone) for number in range(count)]

    return rounds


async def _pair(scene: _Scene, number: int, beside: _Measure, alone: _Measure) -> Pair:
    await scene.stage.settle()
    if number % 2:
        product = await beside(scene)
        await scene.stage.settle()
        return product, await alone(scene)
    baseline = await alone(scene)
    await scene.stage.settle()
    return await beside(scene), baseline


async def _decide_beside(scene: _Scene) -> Sample:
    async with scene.freezing():
        sample = await _decide(scene)
    return Sample(sample.value, {**sample.extra, "members": await scene.reconcile(), "freezes": scene.frozen})


async def _decide(scene: _Scene) -> Sample:
    """Calls by the clock; valued by their p99."""
    before = await _tasks(scene)
    job: dict[str, Any] = {
        "kind": "open",
        "method": DECIDE,
        "rate": _RATE,
        "seconds": 2 * scene.sizes.seconds,
        "warm_seconds": scene.sizes.warm_seconds,
    }
    scene.decided += 1
    whole = complete(job, scene.stage, scene.server, scene.profiles, 1)
    report = await drive({**whole, "label": f"run-{scene.decided}"})
    recorded = await _tasks(scene) - before
    if recorded != report["acknowledged"]:
        raise NotReconciled(f"acknowledged {report}, but {recorded} are recorded")
    return Sample(
        report["p99_ms"], {"p50_ms": report["p50_ms"], "p99_ms": report["p99_ms"], "rows": recorded}
    )


async def _tasks(scene: _Scene) -> int:
    proof = await asyncpg.connect(scene.database.proof_url)
    recorded = await recorded_in(proof)
    await proof.close()
    return recorded.tasks


async def _page_beside(scene: _Scene) -> Sample:
    snapshot = await scene.freeze()
    async with scene.freezing():
        sample = await _pages(scene, snapshot)
    return Sample(sample.value, {**sample.extra, "rows": await scene.reconcile()})


async def _page_alone(scene: _Scene) -> Sample:
    return await _pages(scene, await scene.freeze())


async def _pages(scene: _Scene, snapshot: wire.Snapshot) -> Sample:
    """The first page of a snapshot, again and again; valued by its p99."""
    request = wire.ListSnapshotMembersRequest(
        snapshot_id=snapshot.snapshot_id, page=types_pb2.PageRequest(page_size=_PAGE)
    )
    seconds: list[float] = []
    begin = time.perf_counter()
    while time.perf_counter() - begin < scene.sizes.seconds or len(seconds) < _FEWEST_PAGES:
        started = time.perf_counter()
        async for page in scene.client.snapshots.ListSnapshotMembers(request):
            if len(page.profile_ids) != min(_PAGE, snapshot.member_count):
                raise NotReconciled(f"a first page of {len(page.profile_ids)} members")
            break
        seconds.append(time.perf_counter() - started)
    ordered = sorted(seconds)
    figures = {f"p{share}_ms": percentile(ordered, share / 100) * 1000 for share in (50, 99)}
    return Sample(figures["p99_ms"], {**figures, "pages": len(ordered)})


BENCHMARKS = (
    Benchmark(
        "snapshot_beside_decide",
        "ms",
        _interleaved(_decide_beside, _decide),
        "the p99 of Decide without a freeze beside it",
    ),
    Benchmark(
        "snapshot_first_page",
        "ms",
        _interleaved(_page_beside, _page_alone),
        "the same without a freeze beside it",
    ),
)
