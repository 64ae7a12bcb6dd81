"""One backtest: the events of its span, chunk by chunk, through the simulation.

Memory holds a chunk of events with what is known of their profiles, and the sends of one profile.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg

from server.contact_policy import LONGEST_WINDOW_SECONDS
from server.decisions.backtest.cases import CaseLoader, Known, Rules, make_case
from server.decisions.backtest.draft import Draft, with_draft
from server.decisions.backtest.simulation import BacktestReport, Simulation, holder_of_send
from server.decisions.backtest.store import BacktestSpan, BacktestStore
from server.decisions.bundle import compile_bundle
from server.decisions.model import Bundle
from server.decisions.replay.stored_bundles import StoredBundles
from server.decisions.reservation.limits import Holder
from server.decisions.store import DecisionStore
from server.errors import InvalidInput, PreconditionFailed
from server.platform.clock import utc_now
from server.platform.postgres import Connection

_ROWS_OF_CHUNK: Final = 200
# About two milliseconds of work, then whoever waits has the event loop.
_CASES_OF_TURN: Final = 20
_MOST_RULES: Final = 64
_REACH: Final = timedelta(seconds=LONGEST_WINDOW_SECONDS)
_NOW: Final = ""


class BacktestRun:
    """Reads and simulates. To be used once, inside an open transaction.

    Args:
        campaign: the draft's, as rule bundles have it.
        sample_size: how many of the changed events to keep.
    """

    def __init__(
        self,
        *,
        connection: Connection,
        store: BacktestStore,
        decisions: DecisionStore,
        bundles: StoredBundles,
        span: BacktestSpan,
        draft: Draft,
        campaign: Mapping[str, Any],
        sample_size: int,
    ) -> None:
        self._connection = connection
        self._store = store
        self._decisions = decisions
        self._bundles = bundles
        self._cases = CaseLoader(store=store, decisions=decisions)
        self._span = span
        self._draft = draft
        self._campaign = campaign
        self._simulation = Simulation(sample_size)
        self._rules: dict[str, Rules] = {}
        self._profile_id: str | None = None

    async def all(self) -> BacktestReport:
        """Simulate the whole span."""
        async for rows in self._store.events(self._connection, self._span, _ROWS_OF_CHUNK):
            usable = [(row, rules) for row in rows if (rules := await self._rules_of(row)) is not None]
            if usable:
                await self._take(*zip(*usable, strict=True))
        return self._simulation.report

    async def _take(self, rows: Sequence[asyncpg.Record], rules: Sequence[Rules]) -> None:
        connection, tenant_id = self._connection, self._span.tenant_id
        known = await self._cases.known(connection, tenant_id, rows, rules)
        holders = await self._holders(rows)
        now = utc_now()
        for number, (row, own) in enumerate(zip(rows, rules, strict=True)):
            if row["profile_id"] != self._profile_id:
                self._profile_id = row["profile_id"]
                self._simulation.begin_profile(holders[row["profile_id"]])
            self._simulate(row, own, known, now)
            if number % _CASES_OF_TURN == 0:
                await asyncio.sleep(0)

    def _simulate(self, row: asyncpg.Record, rules: Rules, known: Known, now: datetime) -> None:
        report = self._simulation.report
        try:
            case, read_now = make_case(self._span.tenant_id, row, rules, known, now)
        except PreconditionFailed as refusal:
            report.skipped[refusal.reason] += 1
            return
        self._simulation.take(case)
        report.completed += bool(read_now)
        report.completed_with |= read_now

    async def _holders(self, rows: Sequence[asyncpg.Record]) -> Mapping[str, list[Holder]]:
        """The sends outside of the span of the profiles that begin in this chunk."""
        first: dict[str, datetime] = {}
        for row in rows:
            if row["profile_id"] != self._profile_id:
                first.setdefault(row["profile_id"], row["occurred_at"] - _REACH)
        holders: dict[str, list[Holder]] = defaultdict(list)
        if not first:
            return holders
        for send in await self._store.sends_of(self._connection, self._span.tenant_id, first):
            if not self._span.holds(send):
                holders[send["profile_id"]].append(holder_of_send(send))
        return holders

    async def _rules_of(self, row: asyncpg.Record) -> Rules | None:
        """The rules of the time; of now where nothing was decided; None where they can not be had any more."""
        bundle_id = row["rule_bundle_id"] or _NOW
        known = self._rules.get(bundle_id)
        if known is not None:
            return known
        try:
            base = await self._base(bundle_id)
            rules = Rules(base, with_draft(base, self._draft, self._campaign))
        except (PreconditionFailed, InvalidInput):
            self._simulation.report.skipped["BUNDLE_UNUSABLE"] += 1
            return None
        if len(self._rules) >= _MOST_RULES:
            self._rules.clear()
        self._rules[bundle_id] = rules
        return rules

    async def _base(self, bundle_id: str) -> Bundle:
        connection, tenant_id = self._connection, self._span.tenant_id
        if bundle_id != _NOW:
            return await self._bundles.get(connection, tenant_id, bundle_id)
        row = await self._decisions.load_bundle(connection, tenant_id)
        return compile_bundle(row["bundle_id"], row["definitions_version"], row["document"])
