"""Benchmarks past the capacity: what a server still does when twice as much arrives as it can decide."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

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
    """Rounds of: find the capacity with callers that wait, offer twice as much to the same server, find it again.

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
            async with stage.server(database) as server:
                await stage.settle()
                runs = _Runs(stage, server, sizes, Path(directory), batch)
                before = await runs.run("closed", concurrency=concurrency)
                memory = memory_of(server.process.pid)
                beyond = await runs.run("offered", rate=_TIMES_CAPACITY * before["per_second"])
                grown = memory_of(server.process.pid)
                after = await runs.run("closed", concurrency=concurrency)
            rows = await _reconcile(database, runs)
    extra = {
        **{name: beyond[name] for name in ("p50_ms", "p99_ms", "offered_per_second", "refused", "hinted")},
        **{name: beyond[name] for name in ("turned_away", "late")},
        "server_us": beyond["server_us"],
        "server_us_of_capacity": (before["server_us"] + after["server_us"]) / 2,
        "rows": rows,
        "memory_before_mb": memory,
        "memory_after_mb": grown,
    }
    capacity = (before["per_second"] + after["per_second"]) / 2
    return Sample(beyond["per_second"], extra), Sample(capacity)


@dataclass(slots=True)
class _Runs:
    """Runs of the client against one server, each with events of its own."""

    stage: Stage
    server: Server
    sizes: Sizes
    directory: Path
    batch: int
    reports: list[dict[str, float]] = field(default_factory=list)

    async def run(self, kind: str, **load: float) -> dict[str, float]:
        """One run; its report, with the server's CPU for each acknowledged decision."""
        seconds = self.sizes.seconds if kind == "closed" else self.sizes.overload_seconds
        job = {
            "kind": kind,
            "batch": self.batch,
            "first": self.reports[-1]["next"] if self.reports else 0,
            "seconds": max(_SHORTEST_SECONDS, seconds),
            "warm_seconds": max(_SHORTEST_SECONDS, self.sizes.warm_seconds),
            "deadline_seconds": _DEADLINE_SECONDS,
            "ledger": str(self.ledger(len(self.reports))),
            **load,
        }
        before = self.stage.consumption(self.server)
        report = await drive(
            complete(job, self.stage, self.server, self.sizes.profiles, 1),
            module="loadtest.bench.overload_client",
        )
        used = self.stage.consumption(self.server).since(before)
        report["server_us"] = used["server"] / max(1, report["acknowledged"]) * 1e6
        self.reports.append(report)
        return report

    def ledger(self, run: int) -> Path:
        """Where a run writes what became of its events."""
        return self.directory / f"run-{run}"


async def _reconcile(database: DatabaseUrls, runs: _Runs) -> int:
    """The number of decisions, every acknowledged one among them, and none that was refused.

    Beyond those there may be what was decided for callers whose deadline had passed by the answer.
    """
    connection = await asyncpg.connect(database.proof_url)
    for run in range(len(runs.reports)):
        for kind in ("acknowledged", "refused"):
            numbers = array("q", runs.ledger(run).with_suffix(f".{kind}").read_bytes())
            found = await connection.fetchval(_FOUND, numbers.tolist(), "bench-")
            if found != (len(numbers) if kind == "acknowledged" else 0):
                raise NotReconciled(f"run {run}: {len(numbers)} {kind}, {found} of them are recorded")
    recorded = await recorded_in(connection)
    await connection.close()
    acknowledged = sum(int(report["acknowledged"]) for report in runs.reports)
    late = sum(int(report["late"]) for report in runs.reports) * runs.batch
    if not acknowledged <= recorded.tasks <= acknowledged + late:
        raise NotReconciled(f"acknowledged {acknowledged}, late {late}, but recorded {recorded}")
    return recorded.tasks


BENCHMARKS = (
    Benchmark("overload_unary", "decisions/s", of_shape(1, 64), "its capacity, before and after"),
    Benchmark("overload_batch", "decisions/s", of_shape(100, 6), "its capacity, before and after"),
)
