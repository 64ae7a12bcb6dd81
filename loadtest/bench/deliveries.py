"""Benchmark of one row of delivery_log, as a worker records it: its own transaction, durable."""

from __future__ import annotations

import time
from uuid import UUID

import asyncpg

from loadtest.bench.benchmark import Benchmark, Sample, Sizes, interleaved
from loadtest.bench.client import percentile
from loadtest.bench.decisions import complete, streamed
from loadtest.bench.driving import NotReconciled, drive, reconcile
from loadtest.bench.stage import Stage
from loadtest.bench.world import World, fill, tenant_id
from server.dispatch.claims import Fact, Status, Subject
from server.dispatch.delivery_store import DeliveryStore
from server.embedded.database_setup import DatabaseUrls
from server.platform.postgres import Database

_ROWS = 1_000
_EVENTS_BEFORE = 20_000
_SENT = "select count(*) from delivery_log where delivery_status = 'sent'"


async def delivery_insert(stage: Stage, sizes: Sizes) -> Sample:
    """Records that messages were sent, one after another, in a database that holds decisions already."""
    async with stage.database() as database:
        await fill(database, World(1, sizes.profiles))
        async with stage.server(database) as server:
            before = Sizes(events=min(sizes.events, _EVENTS_BEFORE), profiles=sizes.profiles)
            report = await drive(complete(streamed(before), stage, server, sizes.profiles, 1))
            await reconcile(database, report)
            return await _record(database, await _queued(database))


async def _queued(database: DatabaseUrls) -> tuple[UUID, list[Fact]]:
    proof = await asyncpg.connect(database.proof_url)
    tenant = await tenant_id(proof)
    rows = await proof.fetch(
        "select task_id, marketing_event_id, campaign_id, profile_id, snapshot_id, channel, delivery_key"
        " from delivery_log where delivery_status = 'queued' order by delivery_key limit $1",
        _ROWS,
    )
    await proof.close()
    facts = [
        Fact(
            subject=Subject(
                task_id=row["task_id"],
                marketing_event_id=row["marketing_event_id"],
                campaign_id=row["campaign_id"],
                profile_id=row["profile_id"],
                snapshot_id=row["snapshot_id"],
            ),
            channel=row["channel"],
            delivery_key=row["delivery_key"],
            attempt=1,
            status=Status.SENT,
            provider_message_id=row["delivery_key"][:24],
            provider_response={"code": 250, "text": "2.0.0 queued"},
        )
        for row in rows
    ]
    return tenant, facts


async def _record(database: DatabaseUrls, queued: tuple[UUID, list[Fact]]) -> Sample:
    tenant, facts = queued
    worker = await Database.connect(
        database.worker_url, minimum_connections=1, maximum_connections=1, application_name="bench"
    )
    store, milliseconds = DeliveryStore(), []
    for fact in facts:
        begin = time.perf_counter()
        await store.record_results(worker.write, tenant, [fact])
        milliseconds.append((time.perf_counter() - begin) * 1000)
    await worker.close()
    proof = await asyncpg.connect(database.proof_url)
    stored = await proof.fetchval(_SENT)
    await proof.close()
    if stored != len(facts):
        raise NotReconciled(f"{len(facts)} rows were recorded, {stored} are there")
    ordered = sorted(milliseconds)
    median, worst = percentile(ordered, 0.50), percentile(ordered, 0.99)
    return Sample(median, {"p50_ms": median, "p99_ms": worst, "rows": stored})


BENCHMARKS = (Benchmark("delivery_insert", "ms (p50)", interleaved(delivery_insert)),)
