"""The monthly partitions of behavioral_events, made before a batch needs them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import date, datetime
from typing import Final

import asyncpg
from prometheus_client import Counter

from server.errors import Unavailable
from server.platform.clock import utc_now
from server.platform.postgres import CommitOutcomeUnknown, Database
from server.platform.queries import Queries

_MOST_TRIES: Final = 3

_made = Counter(
    "leo_event_months_made",
    "Months of events that were made when an event came: one before the present month, or one that was to be there",
    ["month"],
)
_missing = Counter(
    "leo_event_months_missing", "Writes of events that found no partition, and were tried again"
)


def count_made(month: date) -> None:
    """A month was made because an event needed it.

    Args:
        month: its first day.
    """
    _made.labels("past" if month < utc_now().date().replace(day=1) else "present").inc()


def count_missing(error: asyncpg.PostgresError) -> None:
    """A write failed; it counts where there was no partition for a row, which breaks no constraint that has a name."""
    if isinstance(error, asyncpg.CheckViolationError) and error.constraint_name is None:
        _missing.inc()


class EventMonths:
    """Knows which months this process has met; makes the others."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = Queries.load("platform")
        self._met: set[date] = set()

    async def ensure(self, moments: Iterable[datetime]) -> None:
        """Let every month that holds one of these moments exist.

        A transaction for each month that this process meets for the first time; none otherwise.

        Raises:
            Unavailable: the database can not be reached.
        """
        months = {(moment.year, moment.month) for moment in moments}
        for month in sorted({date(year, number, 1) for year, number in months} - self._met):
            await self._make(month)
            self._met.add(month)

    def forget(self) -> None:
        """Ask again for every month: one may have been dropped by retention."""
        self._met.clear()

    async def _make(self, month: date) -> None:
        """A COMMIT whose answer was lost is done again: a month that is there stays as it is."""
        for _ in range(_MOST_TRIES):
            with suppress(CommitOutcomeUnknown):
                async with self._database.transaction() as connection:
                    if await connection.fetchval(self._queries["ensure_month"], month):
                        count_made(month)
                return
        raise Unavailable("DATABASE_UNAVAILABLE", "the database is lost at every COMMIT; nothing was written")
