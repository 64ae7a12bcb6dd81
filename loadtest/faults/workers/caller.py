"""Asks for decisions that send, at a steady pace, and keeps what was acknowledged."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import orjson
from leo.activation.v1 import decision_service_pb2 as wire
from leo_client import LeoClient

from loadtest.bench.dispatch_world import CHANNELS

_PROFILES: Final = 10_000
_BATCH: Final = 10


@dataclass(slots=True)
class Caller:
    """One caller.

    Args:
        per_second: events.
        acknowledged: the tasks of decisions to send, as they were answered.
    """

    client: LeoClient
    chance: random.Random
    per_second: float
    acknowledged: list[str] = field(default_factory=list)
    _count: int = 0

    async def run(self, stopping: asyncio.Event) -> None:
        """Ask until told to stop; what was asked is answered.

        Raises:
            LeoApiError: a call failed for good.
        """
        while not stopping.is_set():
            answer = await self.client.decisions.DecideBatch(wire.DecideBatchRequest(events=self._events()))
            sends = (r.decision for r in answer.results if r.decision.outcome == wire.DECISION_OUTCOME_SEND)
            self.acknowledged.extend(decision.task_id for decision in sends)
            await asyncio.sleep(_BATCH / self.per_second)

    def _events(self) -> list[wire.Event]:
        return [self._event() for _ in range(_BATCH)]

    def _event(self) -> wire.Event:
        """For each channel its own type of event."""
        self._count += 1
        event = wire.Event(
            source_event_id=f"faults-{self._count}",
            profile_id=f"p{self.chance.randrange(_PROFILES):09}",
            event_type=self.chance.choice(CHANNELS),
            attributes=orjson.dumps({"amount": self._count}),
        )
        event.occurred_at.FromDatetime(datetime.now(UTC))
        return event
