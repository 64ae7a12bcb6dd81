"""Every benchmark by name, in the order in which they run."""

from __future__ import annotations

from loadtest.bench import (
    alerts,
    decisions,
    deliveries,
    dispatch,
    estimates,
    evaluation,
    growth,
    news_recall,
    overload,
    population,
    profiles,
    receipts,
    rewarm,
    segments,
    similar_recall,
    snapshots,
    snapshots_beside,
    sync,
    takeover,
    ticks,
)
from loadtest.bench.benchmark import Benchmark

_MODULES = (
    evaluation,
    decisions,
    snapshots,
    profiles,
    sync,
    snapshots_beside,
    segments,
    estimates,
    deliveries,
    dispatch,
    receipts,
    alerts,
    ticks,
    takeover,
    news_recall,
    similar_recall,
    overload,
    growth,
    population,
    rewarm,
)

BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark for module in _MODULES for benchmark in module.BENCHMARKS
}

GROUPS: dict[str, tuple[str, ...]] = {
    "alerts": tuple(
        benchmark.name for module in (alerts, ticks, takeover) for benchmark in module.BENCHMARKS
    ),
}
"""Names that stand for several."""
