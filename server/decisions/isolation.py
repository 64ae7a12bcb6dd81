"""Keeps one bad event from failing its neighbours, and months from missing their partition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import date
from typing import Final
from uuid import UUID

import asyncpg

from server.decisions.model import Event
from server.decisions.pipeline import Answers, Batch, DecisionPipeline
from server.decisions.store import DecisionStore
from server.errors import NotFound, PreconditionFailed, Unavailable
from server.platform.months import count_made, count_missing
from server.platform.postgres import CommitOutcomeUnknown, Database

_VIOLATIONS: Final = (
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.DataError,
    asyncpg.UnknownPostgresError,
)
# What stops a whole tenant: it is gone, or one of its definitions does not compile.
_TENANT_REFUSED: Final = (NotFound, PreconditionFailed)
_MAXIMUM_TRIES: Final = 3


class IsolatingPipeline:
    """Runs a batch; where the database refuses it, once again, and then in ever smaller halves."""

    def __init__(self, *, pipeline: DecisionPipeline, database: Database, store: DecisionStore) -> None:
        self._pipeline = pipeline
        self._database = database
        self._store = store
        self._months: set[date] = set()

    async def run(self, batch: Batch) -> Answers:
        """As DecisionPipeline.run, but an event that breaks a rule of the database fails alone, and so does a
        tenant that shares its batch with others.

        Raises:
            NotFound, PreconditionFailed: the batch's only tenant can not be decided for.
        """
        try:
            return await self._run(batch)
        except _TENANT_REFUSED:
            if len(batch) == 1:
                raise
        answers: Answers = {}
        for tenant_id, events in batch.items():
            answers |= await self._run_alone(tenant_id, events)
        return answers

    async def _run_alone(self, tenant_id: UUID, events: Sequence[Event]) -> Answers:
        try:
            return await self._run({tenant_id: events})
        except _TENANT_REFUSED as error:
            return {event.task_id: error for event in events}

    async def _run(self, batch: Batch) -> Answers:
        await self._ensure_months(batch)
        try:
            return await self._pipeline.run(batch)
        except _VIOLATIONS as error:
            # What was loaded may have changed before it was used, a consent for one: decide again afresh.
            count_missing(error)
            self._months.clear()
        await self._ensure_months(batch)
        return await self._bisect(batch)

    async def _bisect(self, batch: Batch) -> Answers:
        try:
            return await self._pipeline.run(batch)
        except _VIOLATIONS as error:
            pairs = [(tenant_id, event) for tenant_id, events in batch.items() for event in events]
            if len(pairs) == 1:
                return {pairs[0][1].task_id: _refusal(error)}
        middle = len(pairs) // 2
        left = await self._bisect(_batch(pairs[:middle]))
        return left | await self._bisect(_batch(pairs[middle:]))

    async def _ensure_months(self, batch: Batch) -> None:
        """One transaction for each month that this process meets for the first time."""
        months = {event.occurred_at.date().replace(day=1) for events in batch.values() for event in events}
        for month in sorted(months - self._months):
            await self._ensure_month(month)
            self._months.add(month)

    async def _ensure_month(self, month: date) -> None:
        """A COMMIT whose answer was lost is done again: a month that is there stays as it is."""
        for _ in range(_MAXIMUM_TRIES):
            with suppress(CommitOutcomeUnknown):
                async with self._database.transaction() as connection:
                    if await self._store.ensure_month(connection, month):
                        count_made(month)
                return
        raise Unavailable(
            "DATABASE_UNAVAILABLE", "the database is lost at every COMMIT; nothing was recorded"
        )


def _batch(pairs: Iterable[tuple[UUID, Event]]) -> Batch:
    batch: dict[UUID, list[Event]] = {}
    for tenant_id, event in pairs:
        batch.setdefault(tenant_id, []).append(event)
    return batch


def _refusal(error: asyncpg.PostgresError) -> PreconditionFailed:
    """The rule's name, which is our own; never the row, which may hold personal data."""
    constraint = getattr(error, "constraint_name", None) or "unnamed"
    return PreconditionFailed(
        "RULE_VIOLATED", f"recording the decision breaks the rule {constraint}", {"constraint": constraint}
    )
