"""Benchmarks of Decide, unary and streamed, and the two things that they are held against."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import asyncpg

from loadtest.bench import bulk_rows, echo_service
from loadtest.bench.benchmark import Benchmark, Measure, Sample, Sizes, interleaved
from loadtest.bench.client import DECIDE
from loadtest.bench.driving import drive, reconcile
from loadtest.bench.stage import ECHO, SERVE, Server, Stage
from loadtest.bench.world import World, fill, tenant_client, tenant_id
from server.platform.postgres_codecs import register_codecs

SCOPES = ("decisions.write", "decisions.read")
BATCH = 500
STREAMS = 3
WORKER_STREAMS = 8  # enough for the kernel to give each of two processes some
TENANT_BATCH = 50
TENANT_EVENTS = 100
TENANT_PROFILES = 100
TENANT_STREAMS = 32
_OPEN_RATE = 500


def unary(concurrency: int) -> Measure:
    """Decide, one event a call."""
    return _decided(lambda sizes: _closed(sizes, concurrency, DECIDE))


def echo(concurrency: int) -> Measure:
    """The same calls to an echo behind the same shell."""

    async def measure(stage: Stage, sizes: Sizes) -> Sample:
        async with stage.database() as database:
            await fill(database, World(1, 1))
            async with stage.server(database, ECHO) as server:
                job = _closed(sizes, concurrency, echo_service.ECHO)
                return _rate(await drive(complete(job, stage, server, sizes.profiles, 1)))

    return measure


def streamed(sizes: Sizes) -> dict[str, Any]:
    """Large messages of one tenant over a few streams."""
    batch = min(BATCH, sizes.events // STREAMS)
    return {"kind": "stream", "events": sizes.events, "batch": batch, "streams": STREAMS}


def _closed(sizes: Sizes, concurrency: int, method: str) -> dict[str, Any]:
    return {
        "kind": "closed",
        "method": method,
        "concurrency": concurrency,
        "seconds": sizes.seconds,
        "warm_seconds": sizes.warm_seconds,
    }


def _open(sizes: Sizes) -> dict[str, Any]:
    return {
        "kind": "open",
        "method": DECIDE,
        "rate": _OPEN_RATE,
        "seconds": 2 * sizes.seconds,
        "warm_seconds": sizes.warm_seconds,
    }


def _decided(job_of: Any) -> Measure:
    async def measure(stage: Stage, sizes: Sizes) -> Sample:
        return await decide(stage, job_of(sizes), World(1, sizes.profiles))

    return measure


async def many_tenants(stage: Stage, sizes: Sizes) -> Sample:
    """Every tenant over a stream of its own."""
    job = {"kind": "stream", "events": TENANT_EVENTS, "batch": TENANT_BATCH, "streams": TENANT_STREAMS}
    return await decide(stage, job, World(sizes.tenants, TENANT_PROFILES))


async def two_workers(stage: Stage, sizes: Sizes) -> Sample:
    """The streams of one tenant to two server processes on one port, each stream with its own connection."""
    batch = min(BATCH, sizes.events // WORKER_STREAMS)
    job = {"kind": "stream", "events": sizes.events, "batch": batch, "streams": WORKER_STREAMS}
    return await decide(
        stage, {**job, "connections": WORKER_STREAMS}, World(1, sizes.profiles), LEO_PROCESSES="2"
    )


async def decide(stage: Stage, job: Mapping[str, Any], world: World, **settings: str) -> Sample:
    """Run a job against a fresh server and database, and hold its count against the rows.

    Args:
        settings: further LEO_ variables of the server.
    """
    async with stage.database() as database:
        await fill(database, world)
        async with stage.server(database, SERVE, **settings) as server:
            await stage.settle()
            before = stage.consumption(server)
            report = await drive(complete(job, stage, server, world.profiles, world.tenants))
            used = stage.consumption(server).since(before)
            recorded = await reconcile(database, report)
    extra = {
        "p50_ms": report["p50_ms"],
        "p99_ms": report["p99_ms"],
        "rows": recorded.tasks,
        "trace_bytes": recorded.trace_bytes,
        "client_cpu_s": report["client_cpu"],
        **{f"{name}_cpu_s": seconds for name, seconds in used.items()},
    }
    if job["kind"] == "stream":
        extra = {name: value for name, value in extra.items() if name not in {"p50_ms", "p99_ms"}}
    return Sample(report["per_second"], extra)


def complete(
    job: Mapping[str, Any], stage: Stage, server: Server, profiles: int, tenants: int
) -> dict[str, Any]:
    """The job with what only a running server knows: its address, and tokens of its tenants."""
    tokens = [stage.token(tenant_client(number), SCOPES) for number in range(tenants)]
    return {**job, "address": server.address, "tokens": tokens, "profiles": profiles, "label": "bench"}


def _rate(report: Mapping[str, float]) -> Sample:
    return Sample(
        report["per_second"],
        {name: report[name] for name in ("p50_ms", "p99_ms")} | {"client_cpu_s": report["client_cpu"]},
    )


def _latency(measure: Measure) -> Measure:
    """The same run, valued by its p99."""

    async def run(stage: Stage, sizes: Sizes) -> Sample:
        sample = await measure(stage, sizes)
        return Sample(sample.extra["p99_ms"], {"per_second": sample.value, **sample.extra})

    return run


async def copy_task_rows(stage: Stage, sizes: Sizes) -> Sample:
    """Rows of the shape of agent_task, in one COPY into a twin without policy, keys to others or triggers."""
    async with stage.database() as database:
        await fill(database, World(1, 1))
        connection = await asyncpg.connect(database.proof_url)
        tenant = await tenant_id(connection)
        await connection.close()
        owner = await asyncpg.connect(database.owner_url)
        await register_codecs(owner)
        await owner.execute("create table twin (like agent_task including all)")
        rows = list(bulk_rows.TASKS.rows([tenant], sizes.events))
        await stage.settle()
        seconds = await _copy(owner, rows)
        stored = await owner.fetchval("select count(*) from twin")
        await owner.close()
    if stored != len(rows):
        raise SystemExit(f"the twin holds {stored} rows of {len(rows)}")
    return Sample(len(rows) / seconds, {"rows": stored})


async def _copy(owner: asyncpg.Connection, rows: list[Any]) -> float:
    begin = time.perf_counter()
    await owner.copy_records_to_table("twin", columns=bulk_rows.TASKS.write.columns, records=rows)
    return time.perf_counter() - begin


BENCHMARKS = (
    Benchmark("echo_c64", "calls/s", interleaved(echo(64))),
    Benchmark("copy_task_rows", "rows/s", interleaved(copy_task_rows)),
    *(
        Benchmark(
            f"decide_unary_c{c}", "decisions/s", interleaved(unary(c), echo(c)), f"echo at concurrency {c}"
        )
        for c in (1, 16, 64)
    ),
    Benchmark("decide_open_500", "ms (p99)", interleaved(_latency(_decided(_open)))),
    Benchmark(
        "decide_stream", "decisions/s", interleaved(_decided(streamed), copy_task_rows), "copy_task_rows"
    ),
    Benchmark(
        "decide_stream_2_workers", "decisions/s", interleaved(two_workers, copy_task_rows), "copy_task_rows"
    ),
    Benchmark(
        "decide_stream_1000_tenants",
        "decisions/s",
        interleaved(many_tenants, copy_task_rows),
        "copy_task_rows",
    ),
)
