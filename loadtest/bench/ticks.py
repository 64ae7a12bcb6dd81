"""Benchmarks of StreamTicks with many rules, and of the time from a crossing to its committed alert."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import asyncpg

from loadtest.bench.benchmark import Benchmark, Measure, Sample, Sizes, interleaved
from loadtest.bench.driving import NotReconciled, drive
from loadtest.bench.stage import Stage
from loadtest.bench.tick_feed import IDLE_PRICE, NANOS, FeedShape
from loadtest.bench.world import World, fill, tenant_client
from server.embedded.database_setup import DatabaseUrls

_SYMBOLS = 10_000
_PROFILES = 1_000
_MESSAGES = 90
_TICKS = 10_000
_CALLS = 100
_CALL_TICKS = 100
_CROSSING_SHARE = 1000
_INSTRUMENTS = """
insert into instruments (tenant_id, symbol, instrument_name, type)
select tenant_id, 'S' || lpad(n::text, 5, '0'), 'Share ' || n, 'STOCK'
from tenant, generate_series(0, $1 - 1) n
where keycloak_client_id = 'bench-0'
"""
_RULES = """
insert into alert_rules (tenant_id, rule_id, profile_id, symbol, condition_logic, source, own_instrument)
select
    tenant_id, leo_key_id('bench rule', tenant_id, n::text), 'p' || lpad((n % $2)::text, 9, '0'),
    'S' || lpad((n % $3)::text, 5, '0'),
    jsonb_build_object('operator', 'above', 'direction', 'up', 'price_nanos', ($4 + 1 + n / $3) * $5::bigint),
    'USER_MANUAL', true
from tenant, generate_series(0, $1 - 1) n
where keycloak_client_id = 'bench-0'
"""
_STORED = """
select
    (select count(*) from alert_rules where status = 'TRIGGERED') as triggered,
    (select count(*) from agent_task where agent_name = 'alerts' and event_type = 'alert.fired') as alerts,
    (select count(*) from market_snapshot) as prices
"""


def with_rules(nominal: int) -> Measure:
    """Ticks per second at so many active rules."""

    async def measure(stage: Stage, sizes: Sizes) -> Sample:
        shape = _shape(nominal, sizes.share)
        async with stage.database() as database:
            await fill(database, World(1, _PROFILES), definitions=False)
            await put_rules(database, shape)
            async with stage.server(database) as server:
                await stage.settle()
                before = stage.consumption(server)
                token = stage.token(tenant_client(0), ("alerts.write",))
                job = {"address": server.address, "token": token, "shape": asdict(shape)}
                report = await drive(job, module="loadtest.bench.tick_client")
                used = stage.consumption(server).since(before)
                await _reconcile(database, shape, report)
        return _sample(shape, report, used)

    return measure


def _shape(nominal: int, share: float) -> FeedShape:
    ticks = max(100, int(_TICKS * share))
    return FeedShape(
        rules=max(20, int(nominal * share)),
        symbols=max(100, int(_SYMBOLS * share)),
        messages=max(8, int(_MESSAGES * share)),
        ticks=ticks,
        crossings=max(1, ticks // _CROSSING_SHARE),
        calls=max(2, int(_CALLS * share)),
        call_ticks=_CALL_TICKS,
    )


async def put_rules(database: DatabaseUrls, shape: FeedShape) -> None:
    """Put the instruments and rules of a feed into a database that has a tenant."""
    proof = await asyncpg.connect(database.proof_url)
    await proof.execute(_INSTRUMENTS, shape.symbols)
    await proof.execute(_RULES, shape.rules, _PROFILES, shape.symbols, IDLE_PRICE, NANOS)
    await proof.close()


async def _reconcile(database: DatabaseUrls, shape: FeedShape, report: Mapping[str, float]) -> None:
    """Every tick was taken, every crossing fired its one rule, and left its one alert and one price a symbol."""
    proof = await asyncpg.connect(database.proof_url)
    stored = dict(await proof.fetchrow(_STORED))
    await proof.close()
    ticks = shape.streamed_ticks + shape.calls * shape.call_ticks
    found = (report["accepted"], report["fired"], *stored.values())
    if found != (ticks, shape.fired, shape.fired, shape.fired, shape.symbols):
        raise NotReconciled(f"{ticks} ticks that fire {shape.fired} rules, but {report} and {stored}")


def _sample(shape: FeedShape, report: Mapping[str, float], used: Mapping[str, float]) -> Sample:
    extra = {
        "p50_ms": report["p50_ms"],
        "p99_ms": report["p99_ms"],
        "fired": report["fired"],
        "rows": report["fired"],
        "client_cpu_s": report["client_cpu"],
    }
    return Sample(
        shape.streamed_ticks / report["seconds"],
        extra | {f"{name}_cpu_s": seconds for name, seconds in used.items()},
    )


BENCHMARKS = tuple(
    Benchmark(f"ticks_{rules}_rules", "ticks/s", interleaved(with_rules(rules)))
    for rules in (1_000, 100_000, 1_000_000)
)
