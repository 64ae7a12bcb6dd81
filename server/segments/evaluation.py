"""Keeps membership up to date: of a tenant's profiles in their order, or of those that have just changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from server.platform.months import EventMonths
from server.platform.postgres import Connection, Database
from server.segments.model import Changed, Judged, Segment, judgement, segments_of, versions_of
from server.segments.store import Evaluation, SegmentStore

BATCH: Final = 10_000
_LONGEST_REST_SECONDS: Final = 1.0


class SegmentEvaluation:
    """Judges profiles and writes what changed; each batch is a transaction of its own.

    Args:
        clock: the present, which windows end before and ages are measured from.
    """

    def __init__(self, *, database: Database, store: SegmentStore, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._store = store
        self._clock = clock
        self._months = EventMonths(database)

    async def segments(self, tenant_id: UUID) -> tuple[Segment, ...]:
        """The segments in force. PostgreSQL: 3 round trips."""
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            return await self._defined(connection, tenant_id)

    async def evaluate_all(self, tenant_id: UUID, *, after: str = "") -> AsyncIterator[Judged]:
        """Judge everybody after an id, batch after batch; the last one, without a last profile, says that all are done.

        It ends without that one where another process is at work on this tenant. After each batch it rests for as
        long as that took, a second at most: so decisions find a processor whenever a round goes on.
        """
        while True:
            begin = time.monotonic()
            judged = await self.evaluate_next(tenant_id, after=after)
            if judged is None:
                return
            yield judged
            if judged.last_profile_id is None:
                return
            after = judged.last_profile_id
            await asyncio.sleep(min(time.monotonic() - begin, _LONGEST_REST_SECONDS))

    async def evaluate_next(self, tenant_id: UUID, *, after: str, limit: int = BATCH) -> Judged | None:
        """Judge the next profiles after an id in all segments. PostgreSQL: 6 round trips.

        Returns:
            What became of them; None where another process is at work on this tenant.
        """
        await self._months.ensure([self._clock()])
        async with self._database.tenant_transaction(tenant_id) as connection:
            if not await self._store.take_turn(connection, tenant_id):
                return None
            segments = await self._defined(connection, tenant_id)
            asked = await self._asked(connection, tenant_id, segments, None)
            return await self._store.judge_next(connection, tenant_id, asked, after=after, limit=limit)

    async def refresh(self, tenant_id: UUID, profile_ids: Sequence[str], changed: Changed) -> Judged | None:
        """Judge profiles anew in the segments whose condition reads what changed. PostgreSQL: 3 or 5 round trips.

        Returns:
            What became of them; None where no segment reads it.
        """
        await self._months.ensure([self._clock()])
        async with self._database.tenant_transaction(tenant_id) as connection:
            segments = await self._defined(connection, tenant_id)
            reading = {segment.name for segment in segments if changed.concerns([segment])}
            if not reading:
                return None
            asked = await self._asked(connection, tenant_id, segments, reading)
            return await self._store.judge_these(connection, tenant_id, asked, profile_ids)

    async def _defined(self, connection: Connection, tenant_id: UUID) -> tuple[Segment, ...]:
        return segments_of(await self._store.list_segments(connection, tenant_id))

    async def _asked(
        self,
        connection: Connection,
        tenant_id: UUID,
        segments: Sequence[Segment],
        asked: Collection[str] | None,
    ) -> Evaluation:
        now = self._clock()
        return Evaluation(
            judgement=judgement(segments, at=now, asked=asked),
            at=now,
            versions=versions_of(segments),
            decided=await self._store.is_waited_for(connection, tenant_id),
        )
