"""Records receipts in groups: while one commit runs, those of the next requests collect."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg

from server.dispatch.receipt_telemetry import RECEIPTS
from server.dispatch.receipts import Receipt, ReceiptStore, Report, Watermark
from server.errors import LeoError, Overloaded
from server.platform.postgres import Database

_MOST_WAITING: Final = 20_000
_MOST_OF_A_COMMIT: Final = 1_000
# Receipts can wait; they leave connections to the decisions of the same process.
_CONNECTIONS: Final = 2
_RETRY_MS: Final = 1_000


@dataclass(frozen=True, slots=True)
class _Entry:
    reports: Sequence[Report]
    done: asyncio.Future[None]


class ReceiptRecorder:
    """Records what requests bring, those of one tenant and provider in one transaction."""

    def __init__(self, *, database: Database, store: ReceiptStore) -> None:
        self._database = database
        self._store = store
        self._groups: dict[tuple[UUID, str], list[_Entry]] = defaultdict(list)
        self._waiting = 0
        self._flushing: asyncio.Task[None] | None = None
        self._connections = asyncio.Semaphore(_CONNECTIONS)

    async def record(self, tenant_id: UUID, provider: str, reports: Sequence[Report]) -> None:
        """Returns when they are committed, together with those that waited meanwhile. PostgreSQL: 3 round trips
        for each tenant, provider and group, one more where there are watermarks.

        Raises:
            Overloaded: too many wait already; nothing was recorded.
            LeoError: PostgreSQL is away; the provider should send them again.
            asyncpg.PostgresError: these can not be stored.
        """
        if not reports:
            return
        if self._waiting + len(reports) > _MOST_WAITING:
            raise Overloaded("SERVER_OVERLOADED", "too many receipts wait", retry_after_ms=_RETRY_MS)
        entry = _Entry(reports, asyncio.get_running_loop().create_future())
        self._groups[tenant_id, provider].append(entry)
        self._waiting += len(reports)
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())
        await entry.done

    async def _flush(self) -> None:
        try:
            # Whoever is ready in this turn of the loop joins the group.
            await asyncio.sleep(0)
            while self._groups:
                groups, self._groups = self._groups, defaultdict(list)
                await asyncio.gather(*(self._write_group(*key, group) for key, group in groups.items()))
        finally:
            self._flushing = None

    async def _write_group(self, tenant_id: UUID, provider: str, group: Sequence[_Entry]) -> None:
        async with self._connections:
            for part in _parts(group):
                await self._write(tenant_id, provider, part)

    async def _write(self, tenant_id: UUID, provider: str, part: Sequence[_Entry]) -> None:
        """One entry that can not be stored does not take its neighbours with it."""
        error: Exception | None = None
        try:
            await self._commit(tenant_id, provider, [report for entry in part for report in entry.reports])
        except asyncpg.PostgresError as failure:
            if len(part) > 1:
                middle = len(part) // 2
                await self._write(tenant_id, provider, part[:middle])
                await self._write(tenant_id, provider, part[middle:])
                return
            error = failure
        except LeoError as failure:
            error = failure
        for entry in part:
            self._answer(entry, error)

    def _answer(self, entry: _Entry, error: Exception | None) -> None:
        self._waiting -= len(entry.reports)
        if entry.done.done():
            return
        if error is None:
            entry.done.set_result(None)
        else:
            entry.done.set_exception(error)

    async def _commit(self, tenant_id: UUID, provider: str, reports: Sequence[Report]) -> None:
        receipts = [report for report in reports if isinstance(report, Receipt)]
        watermarks = [report for report in reports if isinstance(report, Watermark)]
        counted = dict.fromkeys(("recorded", "repeated", "kept_aside"), 0)
        async with self._database.tenant_transaction(tenant_id) as connection:
            if receipts:
                found = await self._store.record_receipts(connection, tenant_id, receipts, keep_aside=True)
                counted = {name: getattr(found, name) for name in counted}
            if watermarks:
                counted["recorded"] += await self._store.record_watermarks(connection, tenant_id, watermarks)
        for state, number in counted.items():
            RECEIPTS.labels(provider, state).inc(number)


def _parts(group: Sequence[_Entry]) -> Iterator[list[_Entry]]:
    """The entries in their order, so many together as one commit takes, at least one."""
    part: list[_Entry] = []
    size = 0
    for entry in group:
        if part and size + len(entry.reports) > _MOST_OF_A_COMMIT:
            yield part
            part, size = [], 0
        part.append(entry)
        size += len(entry.reports)
    if part:
        yield part
