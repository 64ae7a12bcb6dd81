"""What workers call: receipts that belonged to no delivery when they came are looked at again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from server.dispatch.receipt_telemetry import RECEIPTS
from server.dispatch.receipts import KeptAside, ReceiptEnd, ReceiptStore
from server.platform.postgres import Database

MOST_LOOKS: Final = 6
"""Then it is no message of ours. With a first look after 5 s and pauses four times as long each: after two hours."""

_FIRST_PAUSE: Final = timedelta(seconds=20)
_FACTOR: Final = 4
_PAGE: Final = 500
_LEASE: Final = timedelta(minutes=1)


class ReceiptJobs:
    """Matches again. Any number may run at once: each leases what it looks at.

    Args:
        clock: when receipts are due again.
        worker: names this process in claims.
    """

    def __init__(
        self, *, database: Database, store: ReceiptStore, clock: Callable[[], datetime], worker: str
    ) -> None:
        self._database = database
        self._store = store
        self._clock = clock
        self._worker = worker

    async def match_again(self) -> None:
        """Every receipt that is due. PostgreSQL: 3 round trips for a page, and 5 for each tenant in it.

        Raises:
            LeoError: the database is away; leases run out, and the next run looks again.
        """
        while True:
            async with self._database.transaction() as connection:
                claimed = await self._store.claim(connection, limit=_PAGE, lease=_LEASE, owner=self._worker)
            of_tenant: dict[UUID, list[str]] = defaultdict(list)
            for tenant_id, task_id in claimed:
                of_tenant[tenant_id].append(task_id)
            for tenant_id, task_ids in of_tenant.items():
                await self._match(tenant_id, task_ids)
            if len(claimed) < _PAGE:
                return

    async def _match(self, tenant_id: UUID, task_ids: Sequence[str]) -> None:
        async with self._database.tenant_transaction(tenant_id) as connection:
            kept = await self._store.load(connection, tenant_id, task_ids, self._worker)
            if not kept:
                return
            receipts = [each.receipt for each in kept]
            found = await self._store.record_receipts(connection, tenant_id, receipts, keep_aside=False)
            ends = [self._end(each, matched=position in found.matched) for position, each in enumerate(kept)]
            await self._store.settle(connection, tenant_id, self._worker, ends)
        for each, end in zip(kept, ends, strict=True):
            if end.matched is not None:
                state = "matched_later" if end.matched else "unmatched"
                RECEIPTS.labels(each.receipt.provider, state).inc()

    def _end(self, kept: KeptAside, *, matched: bool) -> ReceiptEnd:
        if matched or kept.attempts >= MOST_LOOKS:
            return ReceiptEnd(kept.task_id, matched)
        pause = _FIRST_PAUSE * _FACTOR ** (kept.attempts - 1)
        return ReceiptEnd(kept.task_id, None, self._clock() + pause)
