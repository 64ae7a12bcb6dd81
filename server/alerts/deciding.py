"""From a committed firing to its decision: at once by the server that fired it, later by a worker where it could not.

Deciding is idempotent by the firing's `source_event_id`, so both may do it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID

import orjson

from server.alerts.model import Firing
from server.alerts.rows import PendingFiring
from server.alerts.store import AlertStore
from server.errors import LeoError, Overloaded, Unavailable
from server.platform.background import BackgroundTask
from server.platform.logging import get_logger
from server.platform.postgres import Database

EVENT_TYPE: Final = "alert.fired"
_MOST_WAITING: Final = 10_000
_MOST_AT_ONCE: Final = 500


class AlertEvent(NamedTuple):
    """The event of a firing, as decisions take it. `attributes` is a JSON object."""

    source_event_id: str
    profile_id: str
    event_type: str
    occurred_at: datetime
    attributes: bytes


class Decider(Protocol):
    """What alerts need of the decisions."""

    async def decide_batch(self, tenant_id: UUID, incoming: Sequence[Any]) -> Sequence[Any]:
        """Decide events like `AlertEvent`; idempotent by `source_event_id`.

        Returns:
            For each event what was recorded (`task_id`, `outcome`), or a `LeoError`.

        Raises:
            LeoError: nothing was recorded.
        """
        ...


async def decide_firings(
    decider: Decider, database: Database, store: AlertStore, tenant_id: UUID, firings: Sequence[PendingFiring]
) -> None:
    """Decide firings of a tenant and end their tasks; what meets a busy moment stays pending.

    Round trips: those of the decisions, and 3 of one transaction.

    Raises:
        LeoError: the decisions or the database are away; a worker tries again.
    """
    events = [
        AlertEvent(f.source_event_id, f.profile_id, EVENT_TYPE, f.occurred_at, f.attributes) for f in firings
    ]
    answers = await decider.decide_batch(tenant_id, events)
    ends = {
        firing.task_id: _end(answer)
        for firing, answer in zip(firings, answers, strict=True)
        if not isinstance(answer, Overloaded | Unavailable)
    }
    if ends:
        async with database.tenant_transaction(tenant_id) as connection:
            await store.end_firings(connection, tenant_id, ends)


def _end(answer: Any) -> tuple[str, bytes]:
    """Status and result of the task."""
    if isinstance(answer, LeoError):
        return "failed", orjson.dumps({"reason": answer.reason})
    return "completed", orjson.dumps({"decision_task_id": answer.task_id, "outcome": str(answer.outcome)})


class FiringQueue:
    """Decides what fired, behind the back of whoever sent the ticks.

    It holds no more than 10,000 firings: those beyond it, and those that fail, are left to the workers.
    """

    def __init__(self, *, decider: Decider, database: Database, store: AlertStore) -> None:
        self._decider = decider
        self._database = database
        self._store = store
        self._waiting: deque[Firing] = deque(maxlen=_MOST_WAITING)
        self._wanted = asyncio.Event()
        self._work = BackgroundTask("alerts-deciding")

    async def start(self) -> None:
        """Begin to decide."""
        self._work.start(self._run())

    async def stop(self) -> None:
        """End; what waits is left to the workers."""
        await self._work.stop()

    def offer(self, firings: Sequence[Firing]) -> None:
        """Take committed firings; those that are silenced need no decision. Returns at once."""
        self._waiting.extend(firing for firing in firings if firing.silence_id is None)
        if self._waiting:
            self._wanted.set()

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while self._waiting:
                await self._decide(self._next_group())

    def _next_group(self) -> list[Firing]:
        """Firings of one tenant; the others keep their order."""
        tenant_id = self._waiting[0].tenant_id
        group = [firing for firing in self._waiting if firing.tenant_id == tenant_id][:_MOST_AT_ONCE]
        taken = {id(firing) for firing in group}
        self._waiting = deque((f for f in self._waiting if id(f) not in taken), maxlen=_MOST_WAITING)
        return group

    async def _decide(self, firings: Sequence[Firing]) -> None:
        pending = [
            PendingFiring(f.task_id, f.source_event_id, f.profile_id, f.fired_at, f.attributes)
            for f in firings
        ]
        try:
            await decide_firings(self._decider, self._database, self._store, firings[0].tenant_id, pending)
        except LeoError as error:
            get_logger().warning("firings_left_to_workers", count=len(firings), reason=error.reason)
        except Exception as error:
            get_logger().error("firings_failed", count=len(firings), exc_info=error)
