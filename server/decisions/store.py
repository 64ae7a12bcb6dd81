"""Reads and writes of Decide: one method for each named query of db/queries/decisions.sql."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from operator import itemgetter
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID

import asyncpg
import orjson

from server.decisions.model import Event
from server.platform.postgres import Connection
from server.platform.queries import Queries

_EPOCH_ENDED: Final = "LE007"


class EpochChanged(Exception):
    """Another reservation epoch is in force than the one that was reserved in; nothing was recorded."""


class Fetch(Protocol):
    """Runs one statement: `Database.fetch`, `Database.write`, or a connection's within a transaction."""

    async def __call__(self, query: str, /, *arguments: Any) -> list[asyncpg.Record]: ...


class Wanted(NamedTuple):
    """What `load_decisions` is to load for one tenant.

    Args:
        profile_columns: what conditions and templates read of the profile beside its segments and raw attributes.
        reach: how far before an event its sends are needed; None for no sends.
    """

    tenant_id: UUID
    events: Sequence[Event]
    profile_columns: Collection[str]
    reach: timedelta | None


class OutputRow(NamedTuple):
    """What decisions of one output have in common, as `record_decisions` takes it: told once for all of them.

    `reasoning_trace` and `result` are JSON; only decisions that send carry the columns from `campaign_id` to `due_at`.
    """

    outcome: str
    reason_code: str
    reasoning_trace: orjson.Fragment
    result: orjson.Fragment
    output_sha256: str
    campaign_id: str | None
    marketing_event_id: str | None
    channel: str | None
    due_at: datetime | None
    experiment_id: str | None
    variant: str | None


class TaskRow(NamedTuple):
    """One decision as `record_decisions` takes it, a field for each of its columns.

    `inputs` and `attributes` are JSON. Only decisions that record a behavioural event carry `event_key`, only those
    that send `snapshot_id`. `output` is the number of the output among those of the batch, from 1.
    """

    task_id: str
    profile_id: str
    source_event_id: str
    event_type: str
    occurred_at: datetime
    input_sha256: str
    reasoning_summary: str
    inputs: orjson.Fragment
    event_key: str | None
    attributes: orjson.Fragment
    parent_task_id: str | None
    snapshot_id: str | None
    output: int


class SendRow(NamedTuple):
    """The delivery of a decision that sends, as `record_decisions` takes it.

    Those that freeze an audience of their own carry `audience_sha256` and the segment's name and version; those of
    a dispatch name a snapshot that is there.
    """

    delivery_key: str
    task_id: str
    marketing_event_id: str
    campaign_id: str
    profile_id: str
    snapshot_id: str
    channel: str
    segment_name: str | None
    segment_version: str | None
    audience_sha256: str | None


class TenantRows(NamedTuple):
    """What is recorded for one tenant."""

    tenant_id: UUID
    rule_bundle_id: str
    outputs: Sequence[OutputRow]
    tasks: Sequence[TaskRow]
    sends: Sequence[SendRow]


class DecisionStore:
    """Every method is one statement and one round trip.

    Those that take a connection run inside the caller's open transaction, in its tenant's context; those that take
    a `Fetch` enter the context of every tenant that they are asked for.
    """

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

    async def load_decisions(self, fetch: Fetch, wanted: Sequence[Wanted]) -> list[asyncpg.Record]:
        """All that decides, a row for each event: tenants and events in the order in which they are given.

        A row has the epoch in force, the decision if there is one, the profile, its consents, and as `sends` a JSON
        list of its sends: [event time in us, task, campaign, event name, channel, topic].
        """
        return await fetch(self._queries["load_decisions"], orjson.dumps([_wanted(one) for one in wanted]))

    async def find_erased(
        self, connection: Connection, tenant_id: UUID, profile_ids: Sequence[str]
    ) -> frozenset[str]:
        """Those of these profiles that were erased."""
        rows = await connection.fetch(self._queries["find_erased"], tenant_id, profile_ids)
        return frozenset(row["profile_id"] for row in rows)

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

    async def ensure_month(self, connection: Connection, month: date) -> bool:
        """Create the month's partition of behavioural events, unless it is there; whether it was missing."""
        missing: bool = await connection.fetchval(self._queries["ensure_month"], month)
        return missing

    async def record_decisions(
        self, fetch: Fetch, *, decided_at: datetime, epoch: int, rows: Sequence[TenantRows]
    ) -> set[str]:
        """Record decisions with all that belongs to them; the ids of those that were recorded before.

        Args:
            epoch: what their sends were reserved in.

        Raises:
            EpochChanged: that epoch has ended; nothing was recorded.
        """
        document = orjson.dumps([_recorded(one) for one in sorted(rows)])
        try:
            known = await fetch(self._queries["record_decisions"], decided_at, epoch, document)
        except asyncpg.PostgresError as error:
            if error.sqlstate == _EPOCH_ENDED:
                raise EpochChanged from error
            raise
        return {row["task_id"] for row in known}

    async def get_decision(
        self, connection: Connection, tenant_id: UUID, task_id: str
    ) -> asyncpg.Record | None:
        """One recorded decision, or None."""
        return await connection.fetchrow(self._queries["get_decision"], tenant_id, task_id)


def _wanted(wanted: Wanted) -> dict[str, Any]:
    document: dict[str, Any] = {
        "tenant_id": str(wanted.tenant_id),
        "profile_columns": list(wanted.profile_columns),
        "profile_id": [event.profile_id for event in wanted.events],
        "task_id": [event.task_id for event in wanted.events],
    }
    if wanted.reach is not None:
        document["sends_from"] = [event.occurred_at - wanted.reach for event in wanted.events]
    return document


def _recorded(rows: TenantRows) -> dict[str, Any]:
    """By columns: PostgreSQL reads a few long arrays quicker than many objects. Tasks are sorted by their ids, so
    that all writers take their locks in one order."""
    return {
        "tenant_id": str(rows.tenant_id),
        "rule_bundle_id": rows.rule_bundle_id,
        "outputs": _columns(OutputRow._fields, rows.outputs),
        "sends": _columns(SendRow._fields, rows.sends),
        **_columns(TaskRow._fields, sorted(rows.tasks, key=itemgetter(0))),
    }


def _columns(names: Sequence[str], rows: Sequence[Sequence[object]]) -> dict[str, Sequence[object]]:
    return dict(zip(names, zip(*rows, strict=True), strict=False))
