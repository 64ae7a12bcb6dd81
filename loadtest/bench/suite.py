"""Every benchmark by name, in the order in which they run."""

from __future__ import annotations

from loadtest.bench import (
    decisions,
    deliveries,
    dispatch,
    evaluation,
    growth,
    overload,
    population,
    receipts,
    rewarm,
    snapshots,
    ticks,
)
from loadtest.bench.benchmark import Benchmark

_MODULES = (
    evaluation,
    decisions,
    snapshots,
    deliveries,
    dispatch,
    receipts,
    ticks,
    overload,
    growth,
    population,
    rewarm,
)

BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark for module in _MODULES for benchmark in module.BENCHMARKS
}
