"""Reads of backtests: one method for each named query of db/queries/backtest.sql."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from server.decisions.model import Columns
from server.platform.postgres import Connection
from server.platform.queries import Queries


class Source(Enum):
    """Which events a backtest decides again."""

    DECISIONS = "decided_events"
    """Those of the decisions that were made in the span."""
    EVENTS = "past_events"
    """Those that happened in the span, decided or not."""


@dataclass(frozen=True, slots=True)
class BacktestSpan:
    """Events of one tenant in [since, until): by the time of decision, or by their own, as the source says."""

    tenant_id: UUID
    source: Source
    since: datetime
    until: datetime

    def holds(self, send: Columns) -> bool:
        """Whether the event of a send (a row of `sends_of`) is decided again; no event stands behind a dispatch."""
        if self.source is Source.DECISIONS:
            return bool(self.since <= send["decided_at"] < self.until)
        return send["parent_task_id"] is None and bool(self.since <= send["occurred_at"] < self.until)


class BacktestStore:
    """Every method is one statement, inside the caller's open transaction."""

    def __init__(self) -> None:
        self._queries = Queries.load("backtest")

    async def find_campaign(
        self, connection: Connection, tenant_id: UUID, campaign_id: str
    ) -> Mapping[str, Any] | None:
        """A campaign as rule bundles have it, or None."""
        found = await connection.fetchval(self._queries["find_campaign"], tenant_id, campaign_id)
        return orjson.loads(found) if found is not None else None

    async def count(self, connection: Connection, span: BacktestSpan, bound: int) -> int:
        """How many events the span has; no more than `bound` are counted."""
        query = "count_decisions" if span.source is Source.DECISIONS else "count_events"
        found: int = await connection.fetchval(
            self._queries[query], span.tenant_id, span.since, span.until, bound
        )
        return found

    async def events(
        self, connection: Connection, span: BacktestSpan, chunk: int
    ) -> AsyncIterator[Sequence[asyncpg.Record]]:
        """The events of the span, profile by profile in event time: a round trip for each chunk."""
        query = self._queries[span.source.value]
        cursor = await connection.cursor(query, span.tenant_id, span.since, span.until)
        while rows := await cursor.fetch(chunk):
            yield rows

    async def profiles_now(
        self, connection: Connection, tenant_id: UUID, profile_ids: Sequence[str]
    ) -> dict[str, asyncpg.Record]:
        """Profiles as they are, by id; those that are unknown or erased are left out."""
        rows = await connection.fetch(self._queries["profiles_now"], tenant_id, profile_ids)
        return {row["profile_id"]: row for row in rows}

    async def sends_of(
        self, connection: Connection, tenant_id: UUID, since: Mapping[str, datetime]
    ) -> Sequence[asyncpg.Record]:
        """The sends of each profile after an event time."""
        return await connection.fetch(self._queries["sends_of"], tenant_id, list(since), list(since.values()))
