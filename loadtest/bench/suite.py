"""Every benchmark by name, in the order in which they run."""

from __future__ import annotations

from loadtest.bench import decisions, deliveries, overload, snapshots, ticks
from loadtest.bench.benchmark import Benchmark

BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (
        *decisions.BENCHMARKS,
        *snapshots.BENCHMARKS,
        *deliveries.BENCHMARKS,
        *ticks.BENCHMARKS,
        *overload.BENCHMARKS,
    )
}
