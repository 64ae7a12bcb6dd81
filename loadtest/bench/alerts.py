"""The benchmark of alerts: a million rules under a stream, an open loop and single calls, beside the poll."""

from __future__ import annotations

import statistics
import time
from typing import Final

import asyncpg

from loadtest.bench.benchmark import Benchmark, Pair, Sample, Sizes
from loadtest.bench.driving import NotReconciled
from loadtest.bench.processes import memory_of
from loadtest.bench.stage import Stage
from loadtest.bench.tick_world import Market, expected_firings, market
from loadtest.bench.ticks import CROSSING_SHARE, TICKS, symbols_of
from loadtest.bench.world import tenant_client

_RULES: Final = 1_000_000
_OPEN_RATE: Final = 20_000
_OPEN_TICKS: Final = 100
_OPEN_SHARE: Final = 0.01
_CALLS: Final = 1_000
_POLLS: Final = 5

# As a worker would ask again and again which rules the prices of the moment meet.
_POLL = """
select r.rule_id, r.profile_id, m.price_nanos
from alert_rules r
join market_snapshot m on m.tenant_id = r.tenant_id and m.symbol = r.symbol
where r.status = 'ACTIVE' and (
    r.condition_logic ->> 'operator' = 'above' and m.price_nanos > (r.condition_logic ->> 'price_nanos')::bigint
    or r.condition_logic ->> 'operator' = 'below' and m.price_nanos < (r.condition_logic ->> 'price_nanos')::bigint
)
"""


async def measure(stage: Stage, sizes: Sizes, rounds: int) -> list[Pair]:
    """So many rounds: each the whole sequence on a server of its own."""
    return [await _round(stage, sizes) for _ in range(rounds)]


async def _round(stage: Stage, sizes: Sizes) -> Pair:
    rules = max(1_000, int(_RULES * sizes.share))
    async with market(stage, rules=rules, symbols=symbols_of(sizes)) as opened:
        streamed = await opened.load(
            "stream", seconds=sizes.alert_seconds, ticks=TICKS, crossing_share=CROSSING_SHARE
        )
        expect(streamed, CROSSING_SHARE)
        by_the_clock = await opened.load(
            "open",
            rate=_OPEN_RATE * max(sizes.share, 0.1),
            seconds=sizes.alert_seconds / 2,
            ticks=_OPEN_TICKS,
            crossing_share=_OPEN_SHARE,
        )
        expect(by_the_clock, _OPEN_SHARE)
        single = await opened.load("single", calls=max(10, int(_CALLS * sizes.share)))
        await opened.reconcile()
        poll_seconds = await _poll(opened)
        memory_after = memory_of(opened.server.process.pid)
    extra = {
        "p50_ms": by_the_clock["p50_ms"],
        "p99_ms": by_the_clock["p99_ms"],
        "open_ticks_s": by_the_clock["accepted"] / by_the_clock["seconds"],
        "open_firings_s": by_the_clock["fired"] / by_the_clock["seconds"],
        "unary_p50_ms": single["p50_ms"],
        "unary_p99_ms": single["p99_ms"],
        "start_s": opened.start_seconds,
        "memory_mb": opened.memory_mb,
        "peak_mb": opened.peak_mb,
        "memory_after_mb": memory_after,
        "seconds": streamed["seconds"],
        "fired": opened.fired,
        "rows": opened.fired,
        "poll_s": poll_seconds,
        **{name: streamed[name] for name in ("server_cpu_s", "postgres_cpu_s", "client_cpu")},
    }
    polled = opened.symbols / poll_seconds
    return Sample(streamed["accepted"] / streamed["seconds"], extra), Sample(polled)


def expect(report: dict[str, float], crossing_share: float) -> None:
    """Raises:
    NotReconciled: not every crossing fired its one rule.
    """
    if report["fired"] != expected_firings(report["accepted"], crossing_share):
        raise NotReconciled(f"of {crossing_share} of the ticks each should fire one rule, but {report}")


async def _poll(opened: Market) -> float:
    """Seconds of one pass of the poll, as the serving role sees the tables: the median of five."""
    connection = await asyncpg.connect(opened.server.database.app_url)
    seconds = []
    try:
        async with connection.transaction():
            await connection.execute(
                "select set_config('app.current_tenant_id', md5('bench tenant 0')::uuid::text, true)"
            )
            for _ in range(_POLLS):
                begin = time.perf_counter()
                await connection.fetch(_POLL)
                seconds.append(time.perf_counter() - begin)
            seen = await connection.fetchval("select count(*) from market_snapshot")
    finally:
        await connection.close()
    if seen != opened.symbols:
        raise NotReconciled(f"the poll of {tenant_client(0)} sees {seen} of {opened.symbols} prices")
    return statistics.median(seconds)


BENCHMARKS = (
    Benchmark(
        "alerts_1000000_rules",
        "ticks/s",
        measure,
        "prices a second that a poll in SQL looks at: each pass sees the last one of each symbol",
    ),
)
