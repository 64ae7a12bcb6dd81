"""Derives the counters of experiments. Any number may run at once, and any run may be repeated."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from server.experiments.model import add_up, settles_until
from server.experiments.store import CounterStore
from server.platform.postgres import Database


class ExperimentJobs:
    """Counts, for each variant, the profiles that it reached and those of them that converted.

    Args:
        clock: tells what is old enough to be settled.
    """

    def __init__(self, *, database: Database, store: CounterStore, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._store = store
        self._clock = clock

    async def count(self) -> None:
        """Every experiment whose counters may still change, each in a transaction of its own.

        What is older than the attribution window (and two days) is settled and never read again, so a run costs
        what the experiments reached within their windows. PostgreSQL: 3 round trips for each tenant, and 5 for each
        experiment.

        Raises:
            LeoError: the database is away; what was counted so far stays, the next run counts the rest.
        """
        async with self._database.transaction(readonly=True) as connection:
            tenants = await self._store.list_tenants(connection)
        for tenant_id in tenants:
            async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
                experiments = await self._store.list_measured(connection, tenant_id)
            for experiment_id in experiments:
                await self._count(tenant_id, experiment_id)

    async def _count(self, tenant_id: UUID, experiment_id: str) -> None:
        async with self._database.tenant_transaction(tenant_id) as connection:
            measured = await self._store.claim_measured(connection, tenant_id, experiment_id)
            if measured is None:
                return
            until = settles_until(measured, self._clock())
            counted = await self._store.count_exposures(connection, tenant_id, measured, until)
            settled, counts = add_up(measured.settled, counted)
            await self._store.write_counts(
                connection, tenant_id, experiment_id, settled_until=until, settled=settled, counts=counts
            )
