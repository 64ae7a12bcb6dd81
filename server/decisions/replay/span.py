"""Replays all decisions of a span of time, page by page: memory stays that of one page, whatever the span.

Reads only, in its own transactions, so that it may run for hours beside servers that decide.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from server.decisions.replay.comparison import Difference, is_reproduced, replay
from server.decisions.replay.store import ReplayStore
from server.decisions.replay.stored_bundles import StoredBundles
from server.errors import PreconditionFailed
from server.platform.postgres import Connection, Database

_ROWS_OF_PAGE: Final = 2_000
MOST_DIFFERING: Final = 100
OnReplayed = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Span:
    """Decisions of one tenant that were made in [since, until)."""

    tenant_id: UUID
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Differing:
    """A decision that came out otherwise: ids, codes and times, nothing personal."""

    task_id: str
    differences: tuple[Difference, ...]


@dataclass(slots=True)
class SpanReport:
    """What the replay of a span came to.

    Args:
        replayed: decisions that were made again.
        different: of these, those that did not come out as recorded.
        refused: decisions that can not be made again, by the reason.
        differing: the first of those that differ, at most MOST_DIFFERING.
    """

    replayed: int = 0
    different: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    differing: list[Differing] = field(default_factory=list)

    def add(self, other: SpanReport) -> None:
        """Take in what another part of the span came to."""
        self.replayed += other.replayed
        self.different += other.different
        self.refused.update(other.refused)
        self.differing.extend(other.differing[: MOST_DIFFERING - len(self.differing)])


class SpanReplay:
    """Replays spans, one page in one transaction."""

    def __init__(self, *, database: Database, store: ReplayStore, bundles: StoredBundles) -> None:
        self._database = database
        self._store = store
        self._bundles = bundles

    async def divide(self, span: Span, parts: int) -> list[tuple[Span, int]]:
        """The span in at most so many parts of about equal size, with their sizes. One statement."""
        async with self._database.tenant_transaction(span.tenant_id, readonly=True) as connection:
            found = await self._store.slice_decisions(
                connection, span.tenant_id, span.since, span.until, parts
            )
        ends = [row["begins_at"] for row in found[1:]] + [span.until]
        return [
            (Span(span.tenant_id, row["begins_at"], end), row["decisions"])
            for row, end in zip(found, ends, strict=False)
        ]

    async def run(self, span: Span, on_replayed: OnReplayed) -> SpanReport:
        """Replay the whole span.

        Args:
            on_replayed: is told how many more decisions are through, as it goes.

        Raises:
            Unavailable: the database is away.
        """
        report = SpanReport()
        last = (span.since, "")
        while True:
            async with self._database.tenant_transaction(span.tenant_id, readonly=True) as connection:
                rows = await self._store.page_decisions(
                    connection, span.tenant_id, last, span.until, _ROWS_OF_PAGE
                )
                await self._replay_page(connection, span.tenant_id, rows, report)
            on_replayed(len(rows))
            if len(rows) < _ROWS_OF_PAGE:
                return report
            last = rows[-1]["decided_at"], rows[-1]["task_id"]
            await asyncio.sleep(0)

    async def _replay_page(
        self, connection: Connection, tenant_id: UUID, rows: Sequence[asyncpg.Record], report: SpanReport
    ) -> None:
        for row in rows:
            try:
                bundle = self._bundles.known(row["rule_bundle_id"])
                if bundle is None:
                    bundle = await self._bundles.get(connection, tenant_id, row["rule_bundle_id"])
                reproduced = is_reproduced(bundle, row)
            except PreconditionFailed as refusal:
                report.refused[refusal.reason] += 1
                continue
            report.replayed += 1
            if not reproduced:
                report.different += 1
                await self._describe(connection, tenant_id, row["task_id"], report)

    async def _describe(
        self, connection: Connection, tenant_id: UUID, task_id: str, report: SpanReport
    ) -> None:
        if len(report.differing) >= MOST_DIFFERING:
            return
        row = await self._store.find_recorded(connection, tenant_id, task_id)
        assert row is not None, "it was on the page of the same tenant"
        bundle = await self._bundles.get(connection, tenant_id, row["rule_bundle_id"])
        report.differing.append(Differing(task_id, replay(bundle, row).differences))
