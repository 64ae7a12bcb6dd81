"""Benchmark of what a decision costs among ever more profiles."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from loadtest.bench.benchmark import Benchmark, Pair, Sample, Sizes
from loadtest.bench.client import DECIDE
from loadtest.bench.decisions import complete, streamed
from loadtest.bench.driving import drive, reconcile
from loadtest.bench.stage import Server, Stage
from loadtest.bench.world import World, fill
from server.embedded.database_setup import DatabaseUrls

_HOT = 10_000
_FEWEST = 200
_EMBEDDINGS = """
update cdp_profiles
set interest_embedding = (
    select array_agg(sin(dimension * (1 + substr(profile_id, 2)::bigint)))::vector
    from generate_series(1, 1536) as dimension
)
where profile_id in (select 'p' || lpad((number * $1)::text, 9, '0') from generate_series(0, $2 - 1) as number)
"""


@dataclass(slots=True)
class _Populated:
    """A database with profiles, some of them hot, and what was acknowledged on it so far."""

    database: DatabaseUrls
    profiles: int
    hot: int
    acknowledged: dict[str, float] = field(default_factory=lambda: {"acknowledged": 0.0, "sends": 0.0})

    async def measure(self, stage: Stage, sizes: Sizes, number: int) -> Sample:
        """CPU of one decision on a hot profile, and its time for a lone caller, once the hot ones are warm."""
        base = {"population": self.profiles, "first": number * 2 * sizes.events}
        stream = {**streamed(sizes), **base}
        async with stage.server(self.database) as server:
            await stage.settle()
            await self._drive(stage, server, stream | {"events": sizes.events // 3})
            before = stage.consumption(server)
            report = await self._drive(stage, server, stream | {"first": base["first"] + sizes.events})
            used = stage.consumption(server).since(before)
            calls = {
                "kind": "closed",
                "method": DECIDE,
                "concurrency": 1,
                "seconds": sizes.seconds,
                "warm_seconds": sizes.warm_seconds,
                "label": f"alone-{number}",
            }
            alone = await self._drive(stage, server, {**base, **calls})
            recorded = await reconcile(self.database, self.acknowledged)
        each = {name: seconds / report["acknowledged"] * 1e6 for name, seconds in used.items()}
        extra = {
            **{f"{name}_us": microseconds for name, microseconds in each.items()},
            "p50_ms": alone["p50_ms"],
            "p99_ms": alone["p99_ms"],
            "per_second": report["per_second"],
            "rows": recorded.tasks,
        }
        return Sample(sum(each.values()), extra)

    async def _drive(self, stage: Stage, server: Server, job: dict[str, Any]) -> dict[str, float]:
        # A label of the job's own keeps its events apart from those of other jobs.
        report = await drive(complete(job, stage, server, self.hot, 1) | job)
        for name in self.acknowledged:
            self.acknowledged[name] += report[name]
        return report


@asynccontextmanager
async def _populated(stage: Stage, sizes: Sizes, nominal: int) -> AsyncIterator[_Populated]:
    profiles = max(_FEWEST, int(nominal * sizes.share))
    hot = max(_FEWEST, int(_HOT * sizes.share))
    async with stage.database() as database:
        await fill(database, World(1, profiles))
        proof = await asyncpg.connect(database.proof_url)
        await proof.execute(_EMBEDDINGS, profiles // hot, hot)
        await proof.close()
        yield _Populated(database, profiles, hot)


def among(nominal: int) -> Callable[[Stage, Sizes, int], Awaitable[list[Pair]]]:
    """Rounds on hot profiles among so many, held against rounds where there are no others.

    The hot profiles lie evenly among the others. Each has an embedding, which is in the index; the others have none.
    """

    async def rounds(stage: Stage, sizes: Sizes, count: int) -> list[Pair]:
        async with AsyncExitStack() as stack:
            few = await stack.enter_async_context(_populated(stage, sizes, _HOT))
            if nominal == _HOT:
                return [(await few.measure(stage, sizes, number), None) for number in range(count)]
            many = await stack.enter_async_context(_populated(stage, sizes, nominal))
            return [await _pair(stage, sizes, many, few, number) for number in range(count)]

    return rounds


async def _pair(stage: Stage, sizes: Sizes, many: _Populated, few: _Populated, number: int) -> Pair:
    if number % 2:
        product = await many.measure(stage, sizes, number)
        return product, await few.measure(stage, sizes, number)
    baseline = await few.measure(stage, sizes, number)
    return await many.measure(stage, sizes, number), baseline


BENCHMARKS = (
    Benchmark("decide_profiles_10000", "us CPU", among(10_000)),
    *(
        Benchmark(
            f"decide_profiles_{profiles}", "us CPU", among(profiles), "the same among 10,000", asked_for=asked
        )
        for profiles, asked in ((1_000_000, False), (10_000_000, True))
    ),
)
