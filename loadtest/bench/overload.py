"""Benchmarks past the capacity: what a server still does when twice as much arrives as it can decide."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import asyncpg

from loadtest.bench.benchmark import Benchmark, Pair, Sample, Sizes
from loadtest.bench.decisions import complete
from loadtest.bench.driving import NotReconciled, drive, recorded_in
from loadtest.bench.processes import memory_of
from loadtest.bench.stage import Server, Stage
from loadtest.bench.world import World, fill
from server.embedded.database_setup import DatabaseUrls

_TIMES_CAPACITY = 2
_DEADLINE_SECONDS = 5.0
_SHORTEST_SECONDS = 1.0  # a fresh server's first batch takes long: in less, nothing might be answered
_FOUND = """
select count(*) from unnest($1::bigint[]) as number
where exists (select from agent_task where source_event_id = $2 || number)
"""


def of_shape(batch: int, concurrency: int) -> Callable[[Stage, Sizes, int], Awaitable[list[Pair]]]:
    """Rounds of: find the capacity with callers that wait, then offer twice as much to the same server.

    Args:
        batch: events of a call.
        concurrency: callers that find the capacity.
    """

    async def rounds(stage: Stage, sizes: Sizes, count: int) -> list[Pair]:
        return [await _round(stage, sizes, batch, concurrency) for _ in range(count)]

    return rounds


async def _round(stage: Stage, sizes: Sizes, batch: int, concurrency: int) -> Pair:
    async with stage.database() as database:
        await fill(database, World(1, sizes.profiles))
        with tempfile.TemporaryDirectory(prefix="leo-overload-") as directory:
            ledger = Path(directory)
            async with stage.server(database) as server:
                await stage.settle()
                capacity = await drive(
                    _job(stage, server, sizes, ledger / "closed", "closed", batch, concurrency=concurrency),
                    module="loadtest.bench.overload_client",
                )
                load = {"rate": _TIMES_CAPACITY * capacity["per_second"], "first": capacity["next"]}
                before = memory_of(server.process.pid)
                beyond = await drive(
                    _job(stage, server, sizes, ledger / "offered", "offered", batch, **load),
                    module="loadtest.bench.overload_client",
                )
                after = memory_of(server.process.pid)
            rows = await _reconcile(database, ledger, [capacity, beyond])
    extra = {
        **{name: beyond[name] for name in ("p50_ms", "p99_ms", "offered_per_second", "refused", "hinted")},
        **{name: beyond[name] for name in ("turned_away", "late")},
        "rows": rows,
        "memory_before_mb": before,
        "memory_after_mb": after,
    }
    return Sample(beyond["per_second"], extra), Sample(capacity["per_second"])


def _job(
    stage: Stage, server: Server, sizes: Sizes, ledger: Path, kind: str, batch: int, **load: float
) -> dict[str, Any]:
    job = {
        "kind": kind,
        "batch": batch,
        "first": 0,
        "seconds": max(_SHORTEST_SECONDS, sizes.seconds if kind == "closed" else sizes.overload_seconds),
        "warm_seconds": max(_SHORTEST_SECONDS, sizes.warm_seconds),
        "deadline_seconds": _DEADLINE_SECONDS,
        "ledger": str(ledger),
        **load,
    }
    return complete(job, stage, server, sizes.profiles, 1)


async def _reconcile(database: DatabaseUrls, ledger: Path, reports: list[Mapping[str, float]]) -> int:
    """The number of decisions, every acknowledged one among them, and none that was refused.

    Beyond those there may be what was decided for callers whose deadline had passed by the answer.
    """
    connection = await asyncpg.connect(database.proof_url)
    for run in ("closed", "offered"):
        for kind in ("acknowledged", "refused"):
            numbers = array("q", (ledger / f"{run}.{kind}").read_bytes())
            found = await connection.fetchval(_FOUND, numbers.tolist(), "bench-")
            if found != (len(numbers) if kind == "acknowledged" else 0):
                raise NotReconciled(f"{run}: {len(numbers)} {kind}, {found} of them are recorded")
    recorded = await recorded_in(connection)
    await connection.close()
    acknowledged = sum(int(report["acknowledged"]) for report in reports)
    if (
        not acknowledged
        <= recorded.tasks
        <= acknowledged + _MOST_EVENTS * sum(int(r["late"]) for r in reports)
    ):
        raise NotReconciled(f"acknowledged {acknowledged}, but recorded {recorded}; {reports}")
    return recorded.tasks


_MOST_EVENTS = 1_000  # of a call

BENCHMARKS = (
    Benchmark("overload_unary", "decisions/s", of_shape(1, 64), "its capacity, before"),
    Benchmark("overload_batch", "decisions/s", of_shape(100, 6), "its capacity, before"),
)
