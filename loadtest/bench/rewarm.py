"""Benchmark of a Redis that lost everything while every profile holds a send: what knowing them all again takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import asyncpg

from loadtest.bench.benchmark import Benchmark, Pair, Sample, Sizes
from loadtest.bench.decisions import complete, streamed
from loadtest.bench.driving import NotReconciled, drive, recorded_in
from loadtest.bench.events import beginning
from loadtest.bench.stage import Server, Stage
from loadtest.bench.world import EVENT_NAMES, World, fill, tenant_id
from server.embedded.database_setup import DatabaseUrls

_FEWEST = 600
# A send to each profile, as Decide records it but for the trace, which no reservation reads.
_HOLDERS = """
insert into agent_task (
    tenant_id, task_id, agent_name, task_type, campaign_id, marketing_event_id, profile_id, source_event_id,
    event_type, occurred_at, decided_at, input_sha256, outcome, reason_code, status, queue
)
select
    $1, encode(sha256(convert_to('holder-' || n, 'UTF8')), 'hex'), 'decisions', 'execute', 'autumn',
    leo_key_id('marketing_event', $1, $2), 'p' || lpad(n::text, 9, '0'), 'holder-' || n,
    'purchase', $3, $3, repeat('0', 64), 'send', 'SELECTED', 'completed', 'email'
from generate_series(0, $4 - 1) n
"""


def of_holders(nominal: int) -> Callable[[Stage, Sizes, int], Awaitable[list[Pair]]]:
    """One round, however many: an event of every profile with an empty Redis, and one more when all is known.

    Every event is refused its message by the send that the profile holds, so that the two runs do the same but for
    the holders that the first one has to find.
    """

    async def rounds(stage: Stage, sizes: Sizes, _count: int) -> list[Pair]:
        holders = max(_FEWEST, int(nominal * sizes.share))
        async with stage.database() as database:
            await fill(database, World(1, holders))
            await _hold(database, holders)
            async with stage.server(database) as server:
                await stage.settle()
                first = await _ask_all(stage, server, sizes, holders, turn=0)
                again = await _ask_all(stage, server, sizes, holders, turn=1)
            await _reconcile(database, holders)
        return [(first, again)]

    return rounds


async def _hold(database: DatabaseUrls, holders: int) -> None:
    proof = await asyncpg.connect(database.proof_url)
    await proof.execute(_HOLDERS, await tenant_id(proof), EVENT_NAMES[0], beginning(), holders)
    await proof.close()


async def _ask_all(stage: Stage, server: Server, sizes: Sizes, holders: int, *, turn: int) -> Sample:
    job = streamed(replace(sizes, events=holders)) | {"first": turn * holders, "rounds_of_all": True}
    before = stage.consumption(server)
    report = await drive(complete(job, stage, server, holders, 1))
    used = stage.consumption(server).since(before)
    if report["sends"] or report["acknowledged"] != holders:
        raise NotReconciled(f"every one of {holders} profiles holds a send already, but {report}")
    each = {f"{name}_us": seconds / holders * 1e6 for name, seconds in used.items()}
    return Sample(report["seconds"], {**each, "rows": holders})


async def _reconcile(database: DatabaseUrls, holders: int) -> None:
    """Holders, and two decisions on each of their profiles."""
    connection = await asyncpg.connect(database.proof_url)
    recorded = await recorded_in(connection)
    await connection.close()
    if (recorded.tasks, recorded.sends, recorded.queued) != (3 * holders, holders, 0):
        raise NotReconciled(f"{holders} profiles hold a send and were asked for twice, but {recorded}")


BENCHMARKS = tuple(
    Benchmark(f"reservation_rewarm_{holders}", "s", of_holders(holders), "the same when Redis knows all")
    for holders in (100_000, 1_000_000)
)
