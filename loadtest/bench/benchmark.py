"""What a benchmark is, and how its rounds become one figure."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from loadtest.bench.stage import Stage


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large runs are.

    Args:
        seconds: measured length of unary runs.
        warm_seconds: load before it, which is not measured.
        events: decisions of a stream run, and rows of a COPY.
        profiles: profiles with consent of one tenant.
        tenants: tenants of the run with many.
        share: part of the nominal size of snapshots, rules, worlds and calls; 1 but for the short form.
        overload_seconds: how long twice the capacity is offered.
        memory_decisions: decisions over which memory has to stay flat.
        population: profiles of the benchmark of profiles.
        alert_seconds: how long ticks are streamed; half of it they come by the clock.
    """

    seconds: float = 5.0
    warm_seconds: float = 2.0
    events: int = 100_000
    profiles: int = 10_000
    tenants: int = 1_000
    share: float = 1.0
    overload_seconds: float = 60.0
    memory_decisions: int = 1_000_000
    population: int = 1_000_000
    alert_seconds: float = 60.0


SHORT = Sizes(
    seconds=1.0,
    warm_seconds=0.5,
    events=2_000,
    profiles=200,
    tenants=4,
    share=0.001,
    overload_seconds=1.0,
    memory_decisions=6_000,
    alert_seconds=1.0,
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: its value, and what else is worth knowing of it."""

    value: float
    extra: Mapping[str, float] = field(default_factory=dict)


Measure: TypeAlias = Callable[[Stage, Sizes], Awaitable[Sample]]
Pair: TypeAlias = tuple[Sample, Sample | None]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A measurement of the product, and what it is held against.

    Args:
        unit: of value and baseline.
        rounds: measures so many times, product and baseline in turn. A run whose rows are not exactly what was
            acknowledged ends the suite; a sample that was held against rows has their number as `rows`.
        baseline_name: what the baseline is, in words; empty without one.
        asked_for: runs only where it is named, since it takes hours or many gigabytes.
        detailed: whether all figures beside the value get a table of their own.
    """

    name: str
    unit: str
    rounds: Callable[[Stage, Sizes, int], Awaitable[Sequence[Pair]]]
    baseline_name: str = ""
    asked_for: bool = False
    detailed: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """Medians over the rounds; `ratio` is the median of value over baseline of each round."""

    name: str
    unit: str
    value: float
    baseline: float | None
    ratio: float | None
    rounds: int
    extra: Mapping[str, float]
    baseline_name: str

    def document(self) -> dict[str, float | str | None]:
        """As in the last line of output."""
        return {
            "value": _short(self.value),
            "unit": self.unit,
            "baseline": None if self.baseline is None else _short(self.baseline),
            "ratio": None if self.ratio is None else round(self.ratio, 3),
            "baseline_is": self.baseline_name or None,
            "rounds": self.rounds,
            "reconciled": "rows" in self.extra,
            **{name: _short(value) for name, value in self.extra.items()},
        }


def interleaved(product: Measure, baseline: Measure | None = None) -> Callable[..., Awaitable[list[Pair]]]:
    """Rounds of product and baseline in turn; every other round begins with the other."""

    async def run(stage: Stage, sizes: Sizes, rounds: int) -> list[Pair]:
        pairs: list[Pair] = []
        for number in range(rounds):
            if baseline is None:
                pairs.append((await product(stage, sizes), None))
            elif number % 2:
                value = await product(stage, sizes)
                pairs.append((value, await baseline(stage, sizes)))
            else:
                held_against = await baseline(stage, sizes)
                pairs.append((await product(stage, sizes), held_against))
        return pairs

    return run


async def figure_of(benchmark: Benchmark, stage: Stage, sizes: Sizes, rounds: int) -> Figure:
    """Run a benchmark."""
    pairs = await benchmark.rounds(stage, sizes, rounds)
    baselines = [baseline.value for _, baseline in pairs if baseline]
    ratios = [sample.value / baseline.value for sample, baseline in pairs if baseline and baseline.value]
    return Figure(
        name=benchmark.name,
        unit=benchmark.unit,
        value=statistics.median(sample.value for sample, _ in pairs),
        baseline=statistics.median(baselines) if baselines else None,
        ratio=statistics.median(ratios) if ratios else None,
        rounds=len(pairs),
        extra={
            name: statistics.median(sample.extra[name] for sample, _ in pairs) for name in pairs[0][0].extra
        },
        baseline_name=benchmark.baseline_name,
    )


def _short(value: float) -> float:
    return round(value) if value >= 1000 else round(value, 2)
