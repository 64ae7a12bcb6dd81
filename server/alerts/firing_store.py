"""Firings, acknowledgements and silences in PostgreSQL: one method for each statement, one round trip each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg
import orjson

from server.alerts.model import (
    Acknowledgement,
    Place,
    Position,
    RecordedFiring,
    Silence,
    SilenceInput,
    Target,
    status_of,
)
from server.platform.ids import key_id
from server.platform.postgres import Connection
from server.platform.queries import Queries

LEASE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class FiringKey:
    """A firing of a list.

    Args:
        wanted: whether it is one of those asked for.
    """

    place: Place
    source_event_id: str
    wanted: bool = True


def firing_task_id(tenant_id: UUID, rule_id: str, generation: int) -> str:
    """The task of a firing, as `fire_alert_rules` names it."""
    return key_id("alert_firing", tenant_id, rule_id, str(generation))


def firing_event_id(rule_id: str, generation: int) -> str:
    """The event of a firing, as `fire_alert_rules` names it."""
    return f"alert:{rule_id}:{generation}"


class FiringStore:
    """Statements of `db/queries/alert_firings.sql`."""

    def __init__(self) -> None:
        self._queries = Queries.load("alert_firings")

    async def find_rule_owner(self, connection: Connection, tenant_id: UUID, rule_id: str) -> str | None:
        """Whom a rule alerts; None where there is none."""
        owner: str | None = await connection.fetchval(self._queries["find_rule_owner"], tenant_id, rule_id)
        return owner

    async def insert_silence(
        self, connection: Connection, tenant_id: UUID, silence: SilenceInput, profile_id: str | None
    ) -> None:
        """Begin a silence, where it is new.

        Args:
            profile_id: whom it is about, where that is one profile: its erasure ends the silence.
        """
        assert silence.target is not None
        await connection.execute(
            self._queries["insert_silence"],
            tenant_id,
            silence.silence_id(tenant_id),
            profile_id,
            silence.target.text,
            silence.reason,
            orjson.dumps({"requested_by": silence.requested_by}),
            silence.ends_at,
        )

    async def find_silence(self, connection: Connection, tenant_id: UUID, silence_id: str) -> Silence | None:
        """A silence; None where there is none."""
        row = await connection.fetchrow(self._queries["find_silence"], tenant_id, silence_id)
        return None if row is None else _silence(row)

    async def list_silences(
        self,
        connection: Connection,
        tenant_id: UUID,
        *,
        before: tuple[datetime, str],
        limit: int,
        include_ended: bool,
    ) -> list[Silence]:
        """Silences from before a time and an id, the latest first."""
        query = "list_silences" if include_ended else "list_active_silences"
        rows = await connection.fetch(self._queries[query], tenant_id, *before, limit)
        return [_silence(row) for row in rows]

    async def end_silence(
        self, connection: Connection, tenant_id: UUID, silence_id: str, *, ended_by: str, ended_at: datetime
    ) -> None:
        """End a silence that is in force."""
        result = orjson.dumps({"ended_by": ended_by, "ended_at": ended_at.isoformat()})
        await connection.execute(self._queries["end_silence"], tenant_id, silence_id, result)

    async def claim_silences(
        self, connection: Connection, *, limit: int, claimant: str
    ) -> list[tuple[UUID, str]]:
        """Lease silences whose time is over: tenant and id of each."""
        rows = await connection.fetch(self._queries["claim_silences"], limit, LEASE, claimant)
        return [(row["tenant_id"], row["task_id"]) for row in rows]

    async def complete_silences(
        self, connection: Connection, tenant_id: UUID, silence_ids: Collection[str]
    ) -> None:
        """File silences whose time is over."""
        await connection.execute(self._queries["complete_silences"], tenant_id, list(silence_ids))

    async def insert_acknowledgement(
        self, connection: Connection, tenant_id: UUID, firing: RecordedFiring, *, by: str, note: str
    ) -> None:
        """Note that somebody has seen a firing, where nobody had."""
        await connection.execute(
            self._queries["insert_acknowledgement"],
            tenant_id,
            _seen_id(tenant_id, firing.task_id),
            firing.task_id,
            firing.profile_id,
            firing.source_event_id,
            note,
            orjson.dumps({"acknowledged_by": by}),
        )

    async def scan_firings(
        self,
        connection: Connection,
        tenant_id: UUID,
        *,
        before: Place,
        limit: int,
        profile_id: str | None,
        symbol: str | None,
        rule_id: str | None,
    ) -> list[FiringKey]:
        """The firings before a place, the latest first, wanted or not."""
        rows = await connection.fetch(
            self._queries["scan_firings"],
            tenant_id,
            str(before.xid),
            before.task_id,
            limit,
            profile_id,
            symbol,
            None if rule_id is None else firing_event_id(rule_id, 0)[:-1],
        )
        return [_key(row, wanted=row["wanted"]) for row in rows]

    async def firings_between(
        self, connection: Connection, tenant_id: UUID, position: Position, limit: int
    ) -> list[FiringKey]:
        """The firings from a position up to its second snapshot, in their order."""
        last = position.last
        rows = await connection.fetch(
            self._queries["firings_between"],
            tenant_id,
            str(last.xid),
            last.task_id,
            position.seen,
            position.until,
            limit,
        )
        return [_key(row) for row in rows]

    async def describe_firings(
        self, connection: Connection, tenant_id: UUID, keys: Sequence[FiringKey]
    ) -> list[RecordedFiring]:
        """Firings as they stand, in the order of the keys."""
        task_ids = [key.place.task_id for key in keys]
        rows = await connection.fetch(
            self._queries["describe_firings"],
            tenant_id,
            task_ids,
            [key_id("task", tenant_id, key.source_event_id) for key in keys],
            [_seen_id(tenant_id, task_id) for task_id in task_ids],
        )
        found = {row["task_id"]: _recorded(row) for row in rows}
        return [found[task_id] for task_id in task_ids if task_id in found]

    async def current_snapshot(self, connection: Connection) -> str:
        """Which transactions are over."""
        return str(await connection.fetchval(self._queries["current_snapshot"]))

    async def tenants_with_firings(
        self, connection: Connection, tenant_ids: Collection[UUID], since: str
    ) -> list[UUID]:
        """Which of these tenants have firings that a snapshot does not show."""
        rows = await connection.fetch(self._queries["tenants_with_firings"], list(tenant_ids), since)
        return [row["tenant_id"] for row in rows]


def _seen_id(tenant_id: UUID, task_id: str) -> str:
    return key_id("alert_acknowledgement", tenant_id, task_id)


def _key(row: asyncpg.Record, *, wanted: bool = True) -> FiringKey:
    return FiringKey(Place(int(row["xid"]), row["task_id"]), row["source_event_id"], wanted)


def _silence(row: asyncpg.Record) -> Silence:
    inputs = orjson.loads(row["inputs"])
    result = orjson.loads(row["result"] or b"{}")
    ended_at = result.get("ended_at")
    return Silence(
        silence_id=row["task_id"],
        target=Target.parse(row["source_event_id"]),
        ends_at=row["due_at"],
        reason=row["reasoning_summary"],
        requested_by=inputs.get("requested_by", ""),
        created_at=row["created_at"],
        active=row["active"],
        ended_at=None if ended_at is None else datetime.fromisoformat(ended_at),
        ended_by=result.get("ended_by", ""),
    )


def _recorded(row: asyncpg.Record) -> RecordedFiring:
    _, rule_id, generation = row["source_event_id"].split(":")
    facts = orjson.loads(row["inputs"])
    result = orjson.loads(row["result"] or b"{}")
    status, reason = status_of(
        task_status=row["status"],
        task_reason=row["reason_code"] or result.get("reason"),
        outcome=row["outcome"],
        decision_reason=row["decision_reason"],
    )
    return RecordedFiring(
        task_id=row["task_id"],
        xid=int(row["xid"]),
        rule_id=rule_id,
        generation=int(generation),
        profile_id=row["profile_id"],
        symbol=facts.get("symbol", ""),
        price_nanos=facts.get("price_nanos", 0),
        previous_price_nanos=facts.get("previous_price_nanos"),
        fired_at=row["occurred_at"],
        source_event_id=row["source_event_id"],
        attributes=row["inputs"].encode(),
        status=status,
        reason=reason,
        silence_id=result.get("silence_id", ""),
        acknowledgement=_acknowledgement(row),
        recorded_at=row["created_at"],
    )


def _acknowledgement(row: asyncpg.Record) -> Acknowledgement | None:
    if row["seen_at"] is None:
        return None
    by = orjson.loads(row["seen_by"]).get("acknowledged_by", "")
    return Acknowledgement(by, row["seen_at"], row["seen_note"])
