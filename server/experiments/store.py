"""Reads and writes of the counters: one method for each named query of db/queries/experiments.sql."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import asyncpg
import orjson

from server.experiments.model import Count, Counted, Counts, Measured, total_of
from server.platform.postgres import Connection
from server.platform.queries import Queries


class CounterStore:
    """Every method is one statement and one round trip, inside the caller's open transaction."""

    def __init__(self) -> None:
        self._queries = Queries.load("experiments")

    async def list_tenants(self, connection: Connection) -> list[UUID]:
        """Every active tenant; needs no tenant context."""
        return [row["tenant_id"] for row in await connection.fetch(self._queries["list_counted_tenants"])]

    async def list_measured(self, connection: Connection, tenant_id: UUID) -> list[str]:
        """Ids of the tenant's experiments whose counters may still change."""
        rows = await connection.fetch(self._queries["list_measured"], tenant_id)
        return [row["experiment_id"] for row in rows]

    async def claim_measured(
        self, connection: Connection, tenant_id: UUID, experiment_id: str
    ) -> Measured | None:
        """The experiment, for this transaction to count alone; None when another one is counting it."""
        row = await connection.fetchrow(self._queries["claim_measured"], tenant_id, experiment_id)
        return _measured(row) if row else None

    async def count_exposures(
        self, connection: Connection, tenant_id: UUID, measured: Measured, settles_until: datetime | None
    ) -> list[Counted]:
        """What the variants gained since the last settlement, the part before `settles_until` apart."""
        rows = await connection.fetch(
            self._queries["count_exposures"],
            tenant_id,
            measured.experiment_id,
            measured.settled_until,
            settles_until,
            measured.conversion_event_type,
            measured.window,
        )
        return [
            Counted(row["variant"], row["settled"], Count(row["exposures"], row["conversions"]))
            for row in rows
        ]

    async def write_counts(
        self,
        connection: Connection,
        tenant_id: UUID,
        experiment_id: str,
        *,
        settled_until: datetime | None,
        settled: Counts,
        counts: Counts,
    ) -> None:
        """Store the counters; the same ones again write nothing."""
        total = total_of(counts)
        await connection.execute(
            self._queries["write_counts"],
            tenant_id,
            experiment_id,
            settled_until,
            _document(settled),
            _document(counts),
            total.exposures,
            total.conversions,
        )


def _document(counts: Counts) -> str:
    return orjson.dumps(dict(counts)).decode()


def _counts(document: str) -> Counts:
    return {variant: Count(**count) for variant, count in orjson.loads(document).items()}


def _measured(row: asyncpg.Record) -> Measured:
    return Measured(
        experiment_id=row["experiment_id"],
        conversion_event_type=row["conversion_event_type"],
        window=row["attribution_window"],
        settled_until=row["settled_until"],
        settled=_counts(row["settled_counts"]),
        counts=_counts(row["variant_counts"]),
    )
