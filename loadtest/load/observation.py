"""What is watched while load runs: CPU time, and who waits for a lock on the log of deliveries."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg
import psutil

from loadtest.bench.processes import cpu_of
from loadtest.load.stack import RunningStack

_SAMPLE_SECONDS = 0.1
# Waits for a lock of any kind by sessions whose statement writes the log (decisions are recorded by a function), and
# for one on the log itself by any session.
_WAITING = """
select count(*)
from pg_stat_activity as session
where
    wait_event_type = 'Lock' and state = 'active' and datname = current_database() and pid <> pg_backend_pid()
    and (
        query ilike '%delivery_log%'
        or query ilike '%record_decisions%'
        or exists (
            select from pg_locks
            where pg_locks.pid = session.pid and not granted and relation = 'delivery_log'::regclass
        )
    )
"""


@dataclass(slots=True)
class Observation:
    """Counts while it runs, and a report after it.

    Args:
        samples: how often the sessions were looked at.
        lock_waits: sessions that were seen waiting, summed over all samples.
    """

    processes: Mapping[str, psutil.Process]
    started: float = field(default_factory=time.monotonic)
    before: dict[str, float] = field(default_factory=dict)
    samples: int = 0
    lock_waits: int = 0
    result: dict[str, float] = field(default_factory=dict)

    def report(self) -> dict[str, float]:
        """CPU as a share of one core for each process, and the lock waits."""
        return {**self.result, "delivery_log_lock_waits": self.lock_waits, "lock_samples": self.samples}

    def read_cpu(self) -> dict[str, float]:
        """CPU seconds so far."""
        return {name: cpu_of(process.pid) for name, process in self.processes.items()}

    def finish(self) -> None:
        """Read the end of the CPU times."""
        seconds = time.monotonic() - self.started
        self.result = {
            f"{name}_cpu_percent": round(100 * (value - self.before[name]) / seconds, 1)
            for name, value in self.read_cpu().items()
        }


@asynccontextmanager
async def observed(stack: RunningStack) -> AsyncIterator[Observation]:
    """Watch the stack while the block runs."""
    observation = Observation(stack.processes)
    observation.before = observation.read_cpu()
    connection = await asyncpg.connect(stack.database.superuser_url)
    watching = asyncio.create_task(_watch(connection, observation))
    try:
        yield observation
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await connection.close()
        observation.finish()


async def _watch(connection: asyncpg.Connection, observation: Observation) -> None:
    while True:
        observation.lock_waits += await connection.fetchval(_WAITING)
        observation.samples += 1
        await asyncio.sleep(_SAMPLE_SECONDS)
