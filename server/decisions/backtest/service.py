"""Use case of backtest: a draft over what happened. One read-only transaction, and never much of the event loop."""

from __future__ import annotations

from typing import Final

from server.decisions.backtest.draft import Draft
from server.decisions.backtest.run import BacktestRun
from server.decisions.backtest.simulation import BacktestReport
from server.decisions.backtest.store import BacktestSpan, BacktestStore
from server.decisions.replay.stored_bundles import StoredBundles
from server.decisions.store import DecisionStore
from server.errors import NotFound, Overloaded, PreconditionFailed
from server.platform.postgres import Connection, Database
from server.validation import Violations

MAXIMUM_EVENTS: Final = 100_000
LARGEST_SAMPLE: Final = 100
_AT_ONCE: Final = 2
_RETRY_AFTER_MS: Final = 5_000


class BacktestService:
    """Backtests drafts: at most two at once, of at most `maximum_events` events each. Writes nothing."""

    def __init__(
        self,
        *,
        database: Database,
        store: BacktestStore,
        decisions: DecisionStore,
        bundles: StoredBundles,
        maximum_events: int = MAXIMUM_EVENTS,
    ) -> None:
        self._database = database
        self._store = store
        self._decisions = decisions
        self._bundles = bundles
        self._maximum_events = maximum_events
        self._running = 0

    async def backtest(self, span: BacktestSpan, draft: Draft, sample_size: int) -> BacktestReport:
        """Decide the events of a span again, with the draft among the rules of the time.

        Round trips: five, and up to five for each 200 events.

        Raises:
            InvalidInput: the draft or the span has faults.
            NotFound: the tenant has no such campaign.
            PreconditionFailed: SPAN_TOO_LARGE: the span has more events than one call takes.
            Overloaded: two others are running.
        """
        _check(span, draft, sample_size)
        if self._running >= _AT_ONCE:
            raise Overloaded(
                "SERVER_OVERLOADED", "other backtests are running", retry_after_ms=_RETRY_AFTER_MS
            )
        self._running += 1
        try:
            async with self._database.tenant_transaction(span.tenant_id, readonly=True) as connection:
                await self._refuse_too_large(connection, span)
                campaign = await self._store.find_campaign(connection, span.tenant_id, draft.campaign_id)
                if campaign is None:
                    raise NotFound("campaign", draft.campaign_id)
                run = BacktestRun(
                    connection=connection,
                    store=self._store,
                    decisions=self._decisions,
                    bundles=self._bundles,
                    span=span,
                    draft=draft,
                    campaign=campaign,
                    sample_size=sample_size,
                )
                return await run.all()
        finally:
            self._running -= 1

    async def _refuse_too_large(self, connection: Connection, span: BacktestSpan) -> None:
        maximum = self._maximum_events
        if await self._store.count(connection, span, maximum + 1) > maximum:
            raise PreconditionFailed(
                "SPAN_TOO_LARGE",
                f"the span has more than {maximum:,} events; shorten it, and backtest its parts one by one",
                {"maximum": str(maximum)},
            )


def _check(span: BacktestSpan, draft: Draft, sample_size: int) -> None:
    violations = Violations()
    draft.check(violations.under("draft"))
    violations.moment("since", span.since)
    violations.moment("until", span.until)
    if span.until <= span.since:
        violations.add("until", "must be after since")
    violations.between("sample_size", sample_size, 0, LARGEST_SAMPLE)
    violations.raise_if_any()
