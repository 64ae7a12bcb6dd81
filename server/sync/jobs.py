"""What workers do for sources: take in those that are due, and look at how all of them fare."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final
from uuid import uuid4

from server.errors import LeoError
from server.platform.logging import get_logger
from server.platform.postgres import Database
from server.sync.run import LeaseLost, SourceRunner
from server.sync.store import Claim, SourceStore
from server.sync.telemetry import show

_LOOK_SECONDS: Final = 10.0


class SyncJobs:
    """Takes in sources. Any number of processes may: each leases what it takes, and a lease that ran out is another's.

    Args:
        most_at_once: sources that this process works on at the same time.
        lease: how long a claim holds without a page being committed.
        worker: names this process in claims.
    """

    def __init__(
        self,
        *,
        database: Database,
        store: SourceStore,
        runner: SourceRunner,
        most_at_once: int,
        lease: timedelta,
        worker: str,
    ) -> None:
        self._database = database
        self._store = store
        self._runner = runner
        self._most_at_once = most_at_once
        self._lease = lease
        self._worker = worker
        self._running = 0
        self._stopping = False

    def stop(self) -> None:
        """Let runs end after the page that they are at."""
        self._stopping = True

    async def sync_due(self) -> None:
        """Take in sources until none is due; returns at once where this process has enough to do.

        Raises:
            LeoError: our own database is away; leases run out, and another run goes on from the last commit.
        """
        if self._running >= self._most_at_once:
            return
        self._running += 1
        try:
            while not self._stopping and (claim := await self._claim()) is not None:
                await self._run(claim)
        finally:
            self._running -= 1

    async def observe_for_ever(self) -> None:
        """Show every few seconds how all sources fare."""
        while True:
            try:
                async with self._database.transaction(readonly=True) as connection:
                    show(await self._store.observe(connection))
            except LeoError as error:
                get_logger().warning("work_waits", job="observe_sources", reason=error.reason)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _claim(self) -> Claim | None:
        """A source, in the name of this run alone: two runs of one process are two owners."""
        owner = f"{self._worker}:{uuid4().hex}"
        async with self._database.transaction() as connection:
            claims = await self._store.claim(connection, limit=1, lease=self._lease, owner=owner)
        return claims[0] if claims else None

    async def _run(self, claim: Claim) -> None:
        try:
            await self._runner.run(claim, lambda: self._stopping)
        except LeaseLost:
            get_logger().info("sync_lease_lost", tenant_id=str(claim.tenant_id), job="sync")
