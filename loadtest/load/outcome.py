"""What became of the load: messages that went out, and the rows of each partition."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import asyncpg

_PATIENCE_SECONDS = 120.0
_LOOK_SECONDS = 0.5
_DUE = "select count(*) from agent_task where outcome = 'send' and status = 'pending' and due_at <= now()"
_DELIVERIES = "select delivery_status, count(*) from delivery_current group by 1 order by 1"
_PARTITIONS = """
select tableoid::regclass::text, count(*) from behavioral_events group by 1
union all
select tableoid::regclass::text, count(*) from marketing_event group by 1
order by 1
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Counts.

    Args:
        late: messages that were due and not carried out two minutes after the load.
        deliveries: by status.
        partitions: rows of each partition that has any.
    """

    late: int
    deliveries: dict[str, int]
    partitions: dict[str, int]


async def outcome_of(connection: asyncpg.Connection) -> Outcome:
    """Wait for what is under way, and count.

    Args:
        connection: as the role of proofs.
    """
    late = await _settled(connection)
    deliveries = {row[0]: row[1] for row in await connection.fetch(_DELIVERIES)}
    return Outcome(late, deliveries, {row[0]: row[1] for row in await connection.fetch(_PARTITIONS)})


async def _settled(connection: asyncpg.Connection) -> int:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while await connection.fetchval(_DUE):  # noqa: ASYNC110 - workers change it
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError:
        return int(await connection.fetchval(_DUE))
    return 0
