"""Claims and deliveries in PostgreSQL: one method for each statement of `db/queries/dispatch.sql`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias
from uuid import UUID

import asyncpg
import orjson

from server.dispatch.claims import (
    Attempt,
    ClaimedTask,
    DeadAddress,
    Fact,
    Holder,
    KnownFact,
    Status,
    Subject,
    TaskEnd,
    TaskStatus,
    Template,
)
from server.platform.postgres import Connection
from server.platform.queries import Queries
from server.templates import without_nulls

BEGINNING: Final = datetime(1900, 1, 1, tzinfo=UTC)
"""Before every due time."""

Fetch: TypeAlias = Callable[..., Awaitable[list[asyncpg.Record]]]
"""Sends a statement: that of the database is a transaction of its own."""

_IDENTITY: Final = ("task_id", "marketing_event_id", "campaign_id", "profile_id", "snapshot_id", "channel")
_FACT_COLUMNS: Final = (
    *("delivery_key", "attempt", *_IDENTITY, "delivery_status", "reason"),
    *("provider_message_id", "provider_response", "sent_at", "series"),
)
_PROFILE_TEXT: Final = (
    "ext_id",
    "primary_email",
    "mobile_number",
    "living_location",
    "language",
    "time_zone",
)
_PROFILE_LISTS: Final = ("job_titles", "interests", "segments")


@dataclass(frozen=True, slots=True)
class Claim:
    """One leased task. `due_at` may serve as the low-water mark of the next claim."""

    tenant_id: UUID
    task_id: str
    due_at: datetime


class DeliveryStore:
    """One method for each statement, one round trip each."""

    def __init__(self) -> None:
        self._queries = Queries.load("dispatch")

    async def claim_tasks(
        self, fetch: Fetch, queue: str, *, limit: int, lease: timedelta, owner: str, since: datetime
    ) -> list[Claim]:
        """Lease due tasks of any tenant. No tenant needs to be in context.

        Args:
            fetch: of the database or of a transaction.
        """
        rows = await fetch(self._queries["claim_tasks"], queue, limit, lease, owner, since)
        return [Claim(row["tenant_id"], row["task_id"], row["due_at"]) for row in rows]

    async def load_deliveries(
        self, connection: Connection, tenant_id: UUID, task_ids: Sequence[str], owner: str
    ) -> list[ClaimedTask]:
        """The tasks of these that the claim still holds."""
        rows = await connection.fetch(self._queries["load_deliveries"], tenant_id, list(task_ids), owner)
        return [_claimed_task(row) for row in rows]

    async def gather_digest(
        self, connection: Connection, tenant_id: UUID, task_ids: Sequence[str], owner: str
    ) -> list[str]:
        """Take over what belongs into one message with these; all that the claim now holds of it. Waits for others
        who gather the same."""
        rows = await connection.fetch(self._queries["gather_digest"], tenant_id, list(task_ids), owner)
        return [row["task_id"] for row in rows]

    async def load_templates(
        self, connection: Connection, tenant_id: UUID, names: Sequence[str]
    ) -> list[Template]:
        """The active templates of these names."""
        rows = await connection.fetch(self._queries["load_templates"], tenant_id, list(names))
        return [
            Template(
                template_name=row["template_name"],
                channel=row["channel"],
                language=row["language"],
                subject_template=row["subject_template"],
                body_template=row["body_template"],
                engine=row["template_engine"],
                content_type=row["content_type"],
                metadata=orjson.loads(row["metadata"]),
            )
            for row in rows
        ]

    async def insert_sending(
        self, connection: Connection, tenant_id: UUID, attempts: Sequence[Attempt], owner: str
    ) -> set[str]:
        """Record that messages are about to be sent; the deliveries that may be.

        Raises:
            asyncpg.PostgresError: LE002 when a consent ended after it was loaded.
        """
        rows = [
            (
                attempt.delivery_key,
                attempt.attempt,
                *_identity(attempt),
                "\n".join(attempt.destinations),
                attempt.subject_line,
                attempt.body,
                owner,
                attempt.content_type,
                orjson.dumps(attempt.data).decode() if attempt.data else None,
                attempt.series,
            )
            for attempt in attempts
        ]
        begun = await connection.fetch(self._queries["insert_sending"], tenant_id, *_columns(rows))
        return {row["delivery_key"] for row in begun}

    async def load_sending(
        self, connection: Connection, tenant_id: UUID, task_ids: Sequence[str], owner: str
    ) -> set[tuple[str, int]]:
        """Delivery and attempt of what the claim has recorded as being sent."""
        rows = await connection.fetch(self._queries["load_sending"], tenant_id, list(task_ids), owner)
        return {(row["delivery_key"], row["attempt"]) for row in rows}

    async def record_results(
        self, fetch: Fetch, tenant_id: UUID, facts: Sequence[Fact], ends: Sequence[tuple[TaskEnd, str]] = ()
    ) -> None:
        """Record facts, and move tasks on or hold them back, each as long as the claim beside it still holds it.

        Facts that are there already stay as they are.

        Args:
            fetch: of the database or of a transaction; the tenant is in context until that ends.
        """
        await fetch(
            self._queries["record_results"],
            tenant_id,
            _fact_columns(facts),
            _end_groups(ends),
        )

    async def remove_dead_addresses(
        self, connection: Connection, tenant_id: UUID, dead: Sequence[DeadAddress]
    ) -> None:
        """Take addresses from profiles. One round trip for each profile and channel, in the order of profiles."""
        found: dict[tuple[str, str], list[str]] = defaultdict(list)
        for one in dead:
            found[one.profile_id, one.channel].append(one.address)
        for (profile_id, channel), addresses in sorted(found.items()):
            await connection.execute(
                self._queries["remove_dead_addresses"], tenant_id, profile_id, channel, addresses
            )

    async def share_holding(self, connection: Connection, tenant_id: UUID) -> None:
        """Before anything is held back: nobody lets go of it unseen until the transaction ends."""
        await connection.execute(self._queries["share_holding"], tenant_id)


def _columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _fact_columns(facts: Sequence[Fact]) -> bytes | None:
    columns = zip(*map(_fact_row, facts), strict=True)
    return orjson.dumps(dict(zip(_FACT_COLUMNS, columns, strict=True))) if facts else None


def _fact_row(fact: Fact) -> Sequence[Any]:
    return (
        fact.delivery_key,
        fact.attempt,
        *_identity(fact),
        fact.status,
        fact.reason,
        fact.provider_message_id,
        fact.provider_response,
        fact.sent_at,
        fact.series,
    )


def _end_groups(ends: Sequence[tuple[TaskEnd, str]]) -> bytes:
    """Tasks of one claim that end alike are moved on together."""
    groups: dict[tuple[str, TaskStatus, Holder | None], list[TaskEnd]] = defaultdict(list)
    for end, owner in ends:
        groups[owner, end.status, end.held_by].append(end)
    return orjson.dumps(
        [
            {
                "owner": owner,
                "status": status,
                "held_by": held_by,
                "task_id": [end.task_id for end in group],
                "due_at": [end.due_at for end in group],
            }
            for (owner, status, held_by), group in groups.items()
        ]
    )


def _identity(of: Attempt | Fact) -> tuple[str | None, ...]:
    subject = of.subject
    return (
        subject.task_id,
        subject.marketing_event_id,
        subject.campaign_id,
        subject.profile_id,
        subject.snapshot_id,
        of.channel,
    )


def _claimed_task(row: asyncpg.Record) -> ClaimedTask:
    return ClaimedTask(
        subject=Subject(
            task_id=row["task_id"],
            marketing_event_id=row["marketing_event_id"],
            campaign_id=row["campaign_id"],
            profile_id=row["profile_id"],
            snapshot_id=row["snapshot_id"],
        ),
        channels=orjson.loads(row["channels"] or b"[]"),
        template_name=row["template_name"],
        campaign_status=row["campaign_status"],
        marketing_event_status=row["marketing_event_status"],
        definitions_version=row["definitions_version"],
        profile=_profile(row),
        addresses=orjson.loads(row["channel_addresses"] or b"{}"),
        language=row["language"],
        consented=frozenset(row["consented"] or ()),
        event=_event(row["event"]),
        definitions=_definitions(row),
        facts=[_known_fact(*fact) for fact in orjson.loads(row["facts"] or b"[]")],
        tenant_status=row["tenant_status"],
        plan_status=row["plan_status"],
        valid_until=row["valid_until"],
        receipt_seconds=row["receipt_seconds"],
        held_until_us=row["held_until_us"],
    )


def _known_fact(channel: str, attempt: int, status: str, series: int, sent_at: str | None) -> KnownFact:
    moment = datetime.fromisoformat(sent_at) if sent_at else None
    return KnownFact(channel, attempt, Status(status), series, moment)


def _profile(row: asyncpg.Record) -> dict[str, Any]:
    """Raw attributes, and the columns over them; what is null is missing, so that templates notice."""
    profile = dict(orjson.loads(row["raw_attributes"] or b"{}"))
    profile["profile_id"] = row["profile_id"]
    profile.update({name: row[name] for name in _PROFILE_TEXT})
    profile.update({name: orjson.loads(row[name] or b"[]") for name in _PROFILE_LISTS})
    known: dict[str, Any] = without_nulls(profile)
    return known


def _event(document: str | None) -> dict[str, Any]:
    """The event's own attributes, with `type` and `occurred_at` as in conditions."""
    event = orjson.loads(document or b"{}")
    known = {"type": event.get("event_type"), "occurred_at": event.get("occurred_at")}
    attributes: dict[str, Any] = without_nulls({**event.get("attributes", {}), **known})
    return attributes


def _definitions(row: asyncpg.Record) -> dict[str, dict[str, Any]]:
    return {
        "campaign": {
            "campaign_id": row["campaign_id"],
            "campaign_code": row["campaign_code"],
            "campaign_name": row["campaign_name"],
        },
        "marketing_event": {"event_name": row["event_name"]},
        "tenant": {"tenant_name": row["tenant_name"]},
    }
