"""Finds work that no wake-up announced: what a lost message left, what came due, what a dead worker had."""

from __future__ import annotations

from server.platform.postgres import Database
from server.platform.queries import Queries
from server.workers.wake_ups import WakeUps


class Sweep:
    """Looks for queues with work that is due. Any number may run at once: it only sends wake-ups."""

    def __init__(self, *, database: Database, wake_ups: WakeUps) -> None:
        self._database = database
        self._wake_ups = wake_ups
        self._queries = Queries.load("workers")

    async def run(self) -> None:
        """Wake every queue that has due work. PostgreSQL: one statement, whose cost is that of the queues.

        Raises:
            LeoError: the database is away; the next sweep looks again.
        """
        async with self._database.transaction(readonly=True) as connection:
            rows = await connection.fetch(self._queries["due_queues"])
        for row in rows:
            await self._wake_ups.notify(row["queue"])
