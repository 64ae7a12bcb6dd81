"""Benchmarks of dispatch: one `leo worker` between queued deliveries and a provider that answers in 20 ms."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import aiohttp
import asyncpg

from loadtest.bench.benchmark import Benchmark, Sample, Sizes, interleaved
from loadtest.bench.client import percentile
from loadtest.bench.dispatch_world import CHANNELS, KEYS, fill_for_dispatch, queue
from loadtest.bench.driving import NotReconciled, client_process, drive
from loadtest.bench.provider import (
    ARRIVALS_PATH,
    FIGURES_PATH,
    PUSH_NAME_LENGTH,
    SMS_PATH,
    TOKEN_PATH,
)
from loadtest.bench.stage import Server, Stage
from server.dispatch.channels.push_firebase import PushFirebase
from server.dispatch.channels.sms_gateway import SmsGateway
from server.embedded.database_setup import DatabaseUrls
from server.workers.broker import celery_app
from server.workers.wake_ups import WakeUps

ANSWER_SECONDS: Final = 0.02
CONNECTIONS: Final = 400
_PART: Final = 5  # of the events of a stream run: so many deliveries
_RATE: Final = 500
_TICK_SECONDS: Final = 0.02
_LOOK_SECONDS: Final = 0.05
_PATIENCE_SECONDS: Final = 300.0
_ROWS = """
select
    count(*) filter (where delivery_status = 'queued') as queued,
    count(*) filter (where delivery_status = 'sending') as sending,
    count(*) filter (where delivery_status = 'sent') as sent,
    count(distinct delivery_key) filter (where delivery_status = 'sending') as begun,
    count(distinct delivery_key) filter (where delivery_status = 'sent') as ended,
    count(*) as rows
from delivery_log
"""
_PENDING = "select exists (select from agent_task where outcome = 'send' and status = 'pending')"
_FIRST_SENDING = "select min(created_at) from delivery_log where delivery_status = 'sending'"
_QUEUED_AT = "select delivery_key, channel, created_at from delivery_log where delivery_status = 'queued'"


@dataclass(frozen=True, slots=True)
class ProviderProcess:
    """A provider that runs."""

    url: str

    async def figures(self) -> dict[str, float]:
        """How many requests came, about how many messages, and its CPU seconds."""
        figures: dict[str, float] = await self._get(FIGURES_PATH)
        return figures

    async def arrivals(self) -> dict[str, float]:
        """When each message came first, by its name there, in seconds since 1970."""
        arrivals: dict[str, float] = await self._get(ARRIVALS_PATH)
        return arrivals

    async def _get(self, path: str) -> Any:
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}{path}") as answer:
            return await answer.json()


@asynccontextmanager
async def running_provider() -> AsyncIterator[ProviderProcess]:
    """A provider in a process of its own."""
    job = json.dumps({"answer_seconds": ANSWER_SECONDS})
    process = await client_process("loadtest.bench.provider", job)
    assert process.stdin is not None
    assert process.stdout is not None
    port = (await process.stdout.readline()).decode().strip()
    try:
        yield ProviderProcess(f"http://127.0.0.1:{port}")
    finally:
        process.stdin.close()
        await process.communicate()


@asynccontextmanager
async def _worker(stage: Stage, database: DatabaseUrls, provider: ProviderProcess) -> AsyncIterator[Server]:
    urls = {
        SmsGateway.provider: f"{provider.url}{SMS_PATH}",
        PushFirebase.provider: provider.url,
        "google_oauth": f"{provider.url}{TOKEN_PATH}",
    }
    async with stage.worker(
        database,
        LEO_PROVIDER_URLS=json.dumps(urls),
        LEO_PROVIDER_CONNECTIONS=str(CONNECTIONS),
        LEO_CREDENTIAL_KEYS=KEYS,
    ) as worker:
        yield worker


async def dispatch(stage: Stage, sizes: Sizes) -> Sample:
    """Deliveries a second, from the first that was recorded as begun until the last one's result is recorded."""
    deliveries = max(400, sizes.events // _PART)
    async with stage.database() as database, running_provider() as provider:
        tenant = await fill_for_dispatch(database)
        proof = await asyncpg.connect(database.proof_url)
        waiting = proof.transaction()
        await waiting.start()
        # Nobody sees them before the worker is there.
        await queue(proof, tenant, SmsGateway.name, 0, deliveries)
        async with _worker(stage, database, provider) as worker:
            await stage.settle()
            before = stage.consumption(worker)
            await waiting.commit()
            ended = await _all_settled(proof)
            used = _of_worker(stage.consumption(worker).since(before), deliveries)
        begun: datetime = await proof.fetchval(_FIRST_SENDING)
        rows = await _reconcile(proof, provider, deliveries)
        await proof.close()
        figures = await provider.figures()
    seconds = ended - begun.timestamp()
    return Sample(
        deliveries / seconds,
        {**used, "rows": rows, "provider_cpu_s": figures["cpu_s"], "seconds": seconds},
    )


async def bare_client(stage: Stage, sizes: Sizes) -> Sample:
    """As many messages by a bare client, over as many connections, to the same provider."""
    messages = max(400, sizes.events // _PART)
    async with running_provider() as provider:
        job = {"url": f"{provider.url}{SMS_PATH}", "messages": messages, "connections": CONNECTIONS}
        report = await drive(job, module="loadtest.bench.provider_client")
    return Sample(messages / report["seconds"], {"client_cpu_s": report["client_cpu"]})


async def latency(stage: Stage, sizes: Sizes) -> Sample:
    """p99 from the row that queues a delivery to its arrival at the provider; half of them push."""
    seconds = sizes.warm_seconds + 2 * sizes.seconds
    async with stage.database() as database, running_provider() as provider:
        tenant = await fill_for_dispatch(database)
        proof = await asyncpg.connect(database.proof_url)
        async with _worker(stage, database, provider) as worker:
            before = stage.consumption(worker)
            wake_ups = WakeUps(celery_app(stage.broker_url))
            begin = time.time()
            offered = await _offer(proof, tenant, wake_ups, seconds)
            taken = time.time() - begin
            await _all_settled(proof)
            await wake_ups.close()
            used = _of_worker(stage.consumption(worker).since(before), offered)
        rows = await _reconcile(proof, provider, offered)
        latencies = await _latencies(proof, await provider.arrivals(), begin + sizes.warm_seconds)
        await proof.close()
    return _latency_sample(latencies, {**used, "rows": rows, "offered_per_s": offered / taken})


async def _offer(proof: asyncpg.Connection, tenant: UUID, wake_ups: WakeUps, seconds: float) -> int:
    """Queue deliveries by the clock, a few at a time, as decisions come; how many there were."""
    begin, number = time.monotonic(), 0
    each = int(_RATE * _TICK_SECONDS / len(CHANNELS))
    for tick in range(int(seconds / _TICK_SECONDS)):
        await asyncio.sleep(max(0.0, begin + tick * _TICK_SECONDS - time.monotonic()))
        async with proof.transaction():
            for channel in CHANNELS:
                await queue(proof, tenant, channel, number, number + each)
        number += each
        for channel in CHANNELS:
            await wake_ups.notify(channel)
    return number * len(CHANNELS)


async def _latencies(
    proof: asyncpg.Connection, arrivals: Mapping[str, float], since: float
) -> dict[str, list[float]]:
    """Seconds from queue to provider by channel, of what was queued after the warm-up; the shortest first."""
    found: dict[str, list[float]] = {channel: [] for channel in CHANNELS}
    for row in await proof.fetch(_QUEUED_AT):
        key, queued_at = row["delivery_key"], row["created_at"].timestamp()
        name = key[:PUSH_NAME_LENGTH] if row["channel"] == PushFirebase.name else key
        if queued_at >= since:
            found[row["channel"]].append(arrivals[name] - queued_at)
    return {channel: sorted(each) for channel, each in found.items()}


def _latency_sample(latencies: Mapping[str, list[float]], extra: Mapping[str, float]) -> Sample:
    together = sorted(each for of_channel in latencies.values() for each in of_channel)
    p50, p99 = (percentile(together, part) * 1000 for part in (0.50, 0.99))
    by_channel = {f"{name}_p99_ms": percentile(each, 0.99) * 1000 for name, each in latencies.items()}
    return Sample(p99, {"p50_ms": p50, "p99_ms": p99, **by_channel, **extra})


async def _all_settled(proof: asyncpg.Connection) -> float:
    """When no task was pending any more, in seconds since 1970."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while await proof.fetchval(_PENDING):
        if time.monotonic() > deadline:
            raise NotReconciled(f"not delivered within {_PATIENCE_SECONDS:.0f} s")
        await asyncio.sleep(_LOOK_SECONDS)
    return time.time()


async def _reconcile(proof: asyncpg.Connection, provider: ProviderProcess, deliveries: int) -> int:
    """Every delivery was logged before and after, and came to the provider once; how many rows there are."""
    row = dict(await proof.fetchrow(_ROWS) or {})
    figures = await provider.figures()
    expected = {**dict.fromkeys(row, deliveries), "rows": 3 * deliveries}
    if row != expected or figures["requests"] != deliveries or figures["messages"] != deliveries:
        raise NotReconciled(f"{deliveries} deliveries, but rows {row} and at the provider {figures}")
    return int(row["rows"])


def _of_worker(used: Mapping[str, float], deliveries: int) -> dict[str, float]:
    """CPU microseconds for each delivery."""
    names = {"server": "worker"}
    return {f"{names.get(name, name)}_us": seconds / deliveries * 1e6 for name, seconds in used.items()}


BENCHMARKS = (
    Benchmark("dispatch", "deliveries/s", interleaved(dispatch, bare_client), "a bare aiohttp client"),
    Benchmark("dispatch_latency_500", "ms (p99)", interleaved(latency)),
)
