"""Would a draft rule have fired? Over ticks that the caller brings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from server.alerts.model import AlertBacktest, AlertDraft, BacktestReport, TickBatch, TickBounds
from server.alerts.store import AlertStore
from server.errors import FieldViolation, InvalidInput
from server.platform.postgres import Database
from server.trading_calendar import Calendar
from server.validation import EARLIEST, Violations

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_AHEAD: Final = timedelta(days=1)


class AlertBacktestService:
    """Evaluates drafts. Changes nothing.

    Args:
        clock: bounds the time of ticks.
    """

    def __init__(self, *, database: Database, store: AlertStore, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._store = store
        self._clock = clock

    async def backtest_alert(
        self, tenant_id: UUID, draft: AlertDraft, batches: AsyncIterator[TickBatch]
    ) -> BacktestReport:
        """What a draft would have done at these ticks. PostgreSQL: 3 round trips, before the first batch.

        Raises:
            InvalidInput: the draft has faults, its symbol is no instrument, or a batch as a whole has faults.
        """
        violations = Violations("draft")
        draft.check(violations)
        violations.raise_if_any()
        calendar = await self._calendar(tenant_id, draft.symbol)
        backtest = AlertBacktest(draft, calendar=calendar, bounds=self._bounds())
        async for batch in batches:
            violations = Violations("batch")
            batch.check(violations)
            violations.raise_if_any()
            backtest.run(batch)
            # Batches that are there already would follow each other without a pause.
            await asyncio.sleep(0)
        return backtest.report

    async def _calendar(self, tenant_id: UUID, symbol: str) -> Calendar:
        """Of the tenant's own instrument where it has one of this symbol, else of the global one."""
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            found = await self._store.find_instruments(connection, tenant_id, [symbol])
        calendar = found.get((symbol, True), found.get((symbol, False)))
        if calendar is None:
            raise InvalidInput(
                [FieldViolation("draft.symbol", "is no active instrument; put the instrument first")]
            )
        return calendar

    def _bounds(self) -> TickBounds:
        latest = self._clock() + _AHEAD
        return TickBounds((EARLIEST - _EPOCH) // _MICROSECOND, (latest - _EPOCH) // _MICROSECOND)
