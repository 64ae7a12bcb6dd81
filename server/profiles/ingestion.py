"""Use case of behavioural events that nothing is decided on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import UUID

import asyncpg

from server.errors import FieldViolation
from server.platform.months import EventMonths, count_missing
from server.platform.postgres import Database
from server.profiles.erasure_store import ErasureStore
from server.profiles.events import EventIntake, IncomingEvent
from server.profiles.rows import EventRow
from server.profiles.store import ProfileStore
from server.validation import Violations

_MOST_EVENTS: Final = 10_000
_CHECKED_AT_ONCE: Final = 500
_AHEAD: Final = timedelta(days=1)


class _OfErased(Exception):
    """Some of the events are of people who were erased; none was written."""

    def __init__(self, profile_ids: frozenset[str]) -> None:
        super().__init__()
        self.profile_ids = profile_ids


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a batch of events: how many are new, how many were known, and the faults of the others."""

    recorded: int
    known: int
    refused: dict[int, tuple[FieldViolation, ...]]


class Happenings(Protocol):
    """Who is told of events that came in."""

    def offer(self, tenant_id: UUID, profile_ids: Sequence[str], *, event_types: Collection[str]) -> None:
        """Take committed events; returns at once."""
        ...


class EventIngestion:
    """Writes what customers did.

    Args:
        database: connections of the role leo_app.
        erasures: knows who was erased: nothing of them is kept.
        months: makes the partitions that events need.
        clock: the present time.
        happenings: is told of what was written.
    """

    def __init__(
        self,
        *,
        database: Database,
        store: ProfileStore,
        erasures: ErasureStore,
        months: EventMonths,
        clock: Callable[[], datetime],
        happenings: Happenings,
    ) -> None:
        self._database = database
        self._store = store
        self._erasures = erasures
        self._months = months
        self._clock = clock
        self._happenings = happenings

    async def ingest_events(self, tenant_id: UUID, events: Sequence[IncomingEvent]) -> Ingested:
        """Write all good events in one transaction. PostgreSQL: 4 to 7 round trips, and 3 for each new month; twice
        where some are of people who were erased.

        Raises:
            InvalidInput: the batch itself is not acceptable; nothing was written.
        """
        violations = Violations()
        violations.count("events", events, lowest=1, highest=_MOST_EVENTS)
        violations.raise_if_any()
        intake = EventIntake(tenant_id, latest=self._clock() + _AHEAD)
        for place, event in enumerate(events):
            if place % _CHECKED_AT_ONCE == 0:
                await asyncio.sleep(0)
            intake.take(place, event)
        recorded = await self._record_living(tenant_id, events, intake)
        if recorded:
            self._tell(tenant_id, events, intake.refused)
        return Ingested(recorded, len(intake.rows) - recorded, intake.refused)

    async def _record_living(
        self, tenant_id: UUID, events: Sequence[IncomingEvent], intake: EventIntake
    ) -> int:
        """Write the events; where some are of erased people, the others: how many are new."""
        while intake.rows:
            try:
                return await self._record(tenant_id, intake.rows)
            except _OfErased as found:
                intake.refuse_erased(events, found.profile_ids)
        return 0

    def _tell(self, tenant_id: UUID, events: Sequence[IncomingEvent], refused: Collection[int]) -> None:
        good = [event for place, event in enumerate(events) if place not in refused]
        self._happenings.offer(
            tenant_id,
            sorted({event.profile_id for event in good}),
            event_types=frozenset(event.event_type for event in good),
        )

    async def _record(self, tenant_id: UUID, rows: Sequence[EventRow]) -> int:
        try:
            return await self._record_once(tenant_id, rows)
        except asyncpg.CheckViolationError as error:
            # A month that this process had met is gone.
            count_missing(error)
            self._months.forget()
        return await self._record_once(tenant_id, rows)

    async def _record_once(self, tenant_id: UUID, rows: Sequence[EventRow]) -> int:
        await self._months.ensure(row[-1] for row in rows)
        async with self._database.tenant_transaction(tenant_id) as connection:
            recorded = await self._store.insert_events(connection, rows)
            # Once they are written: an erasure at this moment waits for us, or is seen here.
            if await self._erasures.has_erased(connection, tenant_id):
                erased = await self._erasures.find_erased(
                    connection, tenant_id, sorted({profile_id for _, _, profile_id, *_ in rows})
                )
                if erased:
                    raise _OfErased(erased)
        return recorded
