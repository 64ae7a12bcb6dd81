"""Reads and writes of Decide: one method for each named query of db/queries/decisions.sql."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from server.platform.postgres import Connection
from server.platform.queries import Queries


class DecisionRow(NamedTuple):
    """One decision as `insert_decisions` takes it, in the order of its parameters.

    Rows that freeze an audience of their own carry `audience_sha256`; those of a dispatch name a snapshot
    that is there. Rows that record a behavioural event carry `event_key`.
    """

    task_id: str
    profile_id: str
    source_event_id: str
    event_type: str
    occurred_at: datetime
    input_sha256: str
    outcome: str
    reason_code: str
    reasoning_summary: str
    reasoning_trace: str
    inputs: str
    result: str
    output_sha256: str
    campaign_id: str | None
    marketing_event_id: str | None
    channel: str | None
    due_at: datetime | None
    snapshot_id: str | None
    segment_name: str | None
    segment_version: str | None
    audience_sha256: str | None
    delivery_key: str | None
    event_key: str | None
    attributes: str
    parent_task_id: str | None
    experiment_id: str | None
    variant: str | None


class DecisionStore:
    """Every method is one statement and one round trip, inside the caller's open transaction."""

    def __init__(self) -> None:
        self._queries = Queries.load("decisions")

    async def begin_recording(self, connection: Connection) -> int:
        """Hold the reservation epoch still until the transaction ends, and answer it."""
        epoch: int = await connection.fetchval(self._queries["begin_recording"])
        return epoch

    async def current_epoch(self, connection: Connection) -> int:
        """The epoch now; it may change at once."""
        epoch: int = await connection.fetchval(self._queries["current_epoch"])
        return epoch

    async def change_epoch(self, connection: Connection, expected: int, *, redis: bool) -> int:
        """End the epoch `expected` and answer the one in force; waits for every recorder of it."""
        epoch: int = await connection.fetchval(self._queries["change_epoch"], expected, redis)
        return epoch

    async def wait_for_recorders(self, connection: Connection) -> None:
        """Wait until nobody is recording, and keep it so until the transaction ends."""
        await connection.execute(self._queries["wait_for_recorders"])

    async def load_state(
        self,
        connection: Connection,
        tenant_id: UUID,
        profile_ids: Sequence[str],
        task_ids: Sequence[str],
        profile_columns: Collection[str],
    ) -> list[asyncpg.Record]:
        """One row for each event in their order: its decision if it has one, its profile, its consents.

        Args:
            profile_columns: what conditions read of the profile beside its segments and raw attributes.
        """
        return await connection.fetch(
            self._queries["load_state"], tenant_id, profile_ids, task_ids, list(profile_columns)
        )

    async def load_past_events(
        self,
        connection: Connection,
        tenant_id: UUID,
        profile_ids: Sequence[str],
        spans: Sequence[tuple[str, datetime | None, datetime]],
    ) -> list[asyncpg.Record]:
        """Past events of profiles, ordered by profile.

        Args:
            spans: (event type, from, until); without `from` only the last event before `until`.
        """
        event_types, starts, ends = zip(*spans, strict=True)
        return await connection.fetch(
            self._queries["load_past_events"], tenant_id, profile_ids, event_types, starts, ends
        )

    async def load_market(
        self, connection: Connection, tenant_id: UUID, symbols: Sequence[str]
    ) -> list[asyncpg.Record]:
        """Current price and change of symbols; a tenant's own instrument hides the global one."""
        return await connection.fetch(self._queries["load_market"], tenant_id, symbols)

    async def load_counters(
        self, connection: Connection, tenant_id: UUID, experiment_ids: Sequence[str]
    ) -> list[asyncpg.Record]:
        """The counters of experiments, as a job derived them: `experiment_id` and `variant_counts`."""
        return await connection.fetch(self._queries["load_counters"], tenant_id, experiment_ids)

    async def load_bundle(self, connection: Connection, tenant_id: UUID) -> asyncpg.Record:
        """The definitions in force: `definitions_version`, `bundle_id`, `document`."""
        row = await connection.fetchrow(self._queries["load_bundle"], tenant_id)
        assert row is not None, "the query always answers one row"
        return row

    async def insert_bundle(
        self, connection: Connection, tenant_id: UUID, bundle_id: str, document: str
    ) -> None:
        """Store a bundle under its hash, once."""
        await connection.execute(self._queries["insert_bundle"], tenant_id, bundle_id, document)

    async def load_holders(
        self, connection: Connection, tenant_id: UUID, wanted: Sequence[tuple[str, datetime]]
    ) -> list[asyncpg.Record]:
        """The sends of each profile after a time: (profile id, earliest event time) asked, a row for each
        send."""
        profile_ids, occurred_from = zip(*wanted, strict=True)
        return await connection.fetch(self._queries["load_holders"], tenant_id, profile_ids, occurred_from)

    async def lock_profiles(
        self, connection: Connection, tenant_id: UUID, profile_ids: Sequence[str]
    ) -> None:
        """Lock profiles until the transaction ends, in an order that cannot deadlock."""
        await connection.execute(self._queries["lock_profiles"], tenant_id, profile_ids)

    async def ensure_month(self, connection: Connection, month: date) -> None:
        """Create the month's partition of behavioural events, unless it is there."""
        await connection.execute(self._queries["ensure_month"], month)

    async def insert_decisions(
        self,
        connection: Connection,
        tenant_id: UUID,
        decided_at: datetime,
        bundle_id: str,
        rows: Sequence[DecisionRow],
    ) -> set[str]:
        """Record decisions with all that belongs to them; the ids of the tasks that were new."""
        columns = list(zip(*rows, strict=True))
        inserted = await connection.fetch(
            self._queries["insert_decisions"], tenant_id, decided_at, bundle_id, *columns
        )
        return {row["task_id"] for row in inserted}

    async def get_decision(
        self, connection: Connection, tenant_id: UUID, task_id: str
    ) -> asyncpg.Record | None:
        """One recorded decision, or None."""
        return await connection.fetchrow(self._queries["get_decision"], tenant_id, task_id)
