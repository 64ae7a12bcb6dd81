"""Benchmark of what must not grow with the decisions: the memory of the server."""

from __future__ import annotations

from dataclasses import replace

from loadtest.bench.benchmark import Benchmark, Pair, Sample, Sizes
from loadtest.bench.decisions import complete, streamed
from loadtest.bench.driving import drive, reconcile
from loadtest.bench.processes import memory_of
from loadtest.bench.stage import Stage
from loadtest.bench.world import World, fill

_PARTS = 10


async def memory(stage: Stage, sizes: Sizes, _rounds: int) -> list[Pair]:
    """What the server holds after a tenth of the decisions, and after all of them. One round, however many."""
    async with stage.database() as database:
        await fill(database, World(1, sizes.profiles))
        async with stage.server(database) as server:
            held = [memory_of(server.process.pid)]
            total = {"acknowledged": 0.0, "sends": 0.0}
            for part in range(_PARTS):
                job = streamed(replace(sizes, events=sizes.memory_decisions // _PARTS))
                job["first"] = part * job["events"]
                report = await drive(complete(job, stage, server, sizes.profiles, 1))
                total = {name: total[name] + report[name] for name in total}
                held.append(memory_of(server.process.pid))
            recorded = await reconcile(database, total)
    extra = {
        "at_start_mb": held[0],
        "after_a_tenth_mb": held[1],
        "after_all_mb": held[-1],
        "rows": recorded.tasks,
    }
    return [(Sample(held[-1] - held[1], extra), None)]


BENCHMARKS = (Benchmark("decide_memory", "MB grown", memory),)
