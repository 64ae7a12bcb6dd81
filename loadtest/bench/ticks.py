"""Benchmarks of StreamTicks with few rules and with many, at the same number of firings."""

from __future__ import annotations

from loadtest.bench.benchmark import Benchmark, Measure, Sample, Sizes, interleaved
from loadtest.bench.driving import NotReconciled
from loadtest.bench.stage import Stage
from loadtest.bench.tick_world import expected_firings, market

SYMBOLS = 10_000
TICKS = 500
CROSSING_SHARE = 0.001
_FEWEST_RULES = 1_000
_MESSAGES = 1_800


def with_rules(nominal: int) -> Measure:
    """Ticks per second at so many active rules."""

    async def measure(stage: Stage, sizes: Sizes) -> Sample:
        rules, messages = max(20, int(nominal * sizes.share)), max(8, int(_MESSAGES * sizes.share))
        async with market(stage, rules=rules, symbols=symbols_of(sizes)) as opened:
            report = await opened.load(
                "stream", messages=messages, ticks=TICKS, crossing_share=CROSSING_SHARE
            )
            if report["fired"] != expected_firings(messages * TICKS, CROSSING_SHARE):
                raise NotReconciled(f"{messages * TICKS} ticks, but {report}")
            await opened.reconcile()
        value = report["accepted"] / report["seconds"]
        own = {"rows": report["fired"], "start_s": opened.start_seconds, "memory_mb": opened.memory_mb}
        return Sample(
            value, own | {name: report[name] for name in ("fired", "server_cpu_s", "postgres_cpu_s")}
        )

    return measure


def symbols_of(sizes: Sizes) -> int:
    """How many symbols there are."""
    return max(100, int(SYMBOLS * sizes.share))


def _benchmark(rules: int) -> Benchmark:
    few = None if rules == _FEWEST_RULES else with_rules(_FEWEST_RULES)
    return Benchmark(
        f"ticks_{rules}_rules",
        "ticks/s",
        interleaved(with_rules(rules), few),
        "the same ticks with 1,000 rules" if few else "",
    )


BENCHMARKS = tuple(_benchmark(rules) for rules in (_FEWEST_RULES, 100_000, 1_000_000))
