"""Starts client processes, and holds what they were told against what the database holds."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg

from loadtest.bench.stage import environment
from server.embedded.database_setup import DatabaseUrls
from server.embedded.state import checkout_directory

_RECORDED = """
select
    (select count(*) from agent_task where task_type = 'execute' and event_type <> 'alert.fired') as tasks,
    (select count(*) from agent_task where task_type = 'execute' and event_type = 'alert.fired') as alerts,
    (select count(*) from agent_task where outcome = 'send') as sends,
    (select count(*) from delivery_log where delivery_status = 'queued') as queued,
    (select count(*) from behavioral_events) as events,
    (select round(avg(octet_length(reasoning_trace::text)))::int from agent_task where task_type = 'execute')
        as trace_bytes
"""


class NotReconciled(SystemExit):
    """What was acknowledged is not what is there."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """Rows of decisions.

    Args:
        tasks: decisions on events that callers sent.
        alerts: decisions on rules that fired.
        trace_bytes: length of a trace on average.
    """

    tasks: int
    alerts: int
    sends: int
    queued: int
    events: int
    trace_bytes: int


async def drive(job: Mapping[str, Any], *, module: str = "loadtest.bench.client") -> dict[str, float]:
    """Run a client process to its end; what it reports.

    Raises:
        SystemExit: a call failed.
    """
    process = await client_process(module)
    output, errors = await process.communicate(json.dumps(job).encode())
    if process.returncode != 0:
        raise SystemExit(f"the client failed:\n{errors.decode()[-2000:]}")
    report: dict[str, float] = json.loads(output)
    return report


async def client_process(module: str, *arguments: str) -> asyncio.subprocess.Process:
    """A process of the benchmark's own, with pipes to its input and outputs."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        cwd=checkout_directory(),
        env=environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def recorded_in(proof: asyncpg.Connection) -> Recorded:
    """What a database holds."""
    return Recorded(**await proof.fetchrow(_RECORDED))


async def reconcile(database: DatabaseUrls, report: Mapping[str, float]) -> Recorded:
    """What is recorded, which has to be exactly what was acknowledged.

    Raises:
        NotReconciled: it is not.
    """
    connection = await asyncpg.connect(database.proof_url)
    recorded = await recorded_in(connection)
    await connection.close()
    expected = (report["acknowledged"], report["sends"], report["sends"], report["acknowledged"])
    if (recorded.tasks, recorded.sends, recorded.queued, recorded.events) != expected:
        raise NotReconciled(f"acknowledged {dict(report)}, but recorded {recorded}")
    return recorded
