"""Holds what was acknowledged against what is in the database, and asks the servers once more."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg
from leo.activation.v1 import decision_service_pb2 as wire

from loadtest.faults.decisions.ledger import Acknowledgement, Refusal, Told, told_of
from loadtest.faults.decisions.limits import Send, expected_message, violations
from loadtest.faults.decisions.shop import has_consent, purchase_of
from loadtest.faults.decisions.stage import Stage
from server.platform.queries import Queries

_QUERIES: Final = Path(__file__).with_name("audit.sql")
_ASKED_AGAIN: Final = 4_000
_PAGE: Final = 500
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

Key = tuple[str, str]
"""Tenant and source_event_id."""


class Row(NamedTuple):
    """A decision in the database.

    Args:
        message: name of the marketing event that is sent, if any.
    """

    told: Told
    send: Send | None
    input_sha256: str


async def read_rows(connection: asyncpg.Connection) -> dict[Key, Row]:
    """Every recorded decision. One round trip."""
    return {
        (row["tenant"], row["source_event_id"]): _row(row) for row in await _fetch(connection, "decisions")
    }


async def read_halves(connection: asyncpg.Connection, since: datetime) -> list[str]:
    """Every kind of half among the rows that were made since then, in words. One round trip."""
    rows = await _fetch(connection, "halves", since)
    return [f"{row['number']} {row['half']}" for row in rows if row["number"]]


async def redis_reserves(connection: asyncpg.Connection) -> bool:
    """Whether the servers have gone back to Redis. One round trip."""
    return bool((await _fetch(connection, "epoch"))[0]["last_value"] % 2)


async def _fetch(connection: asyncpg.Connection, name: str, *arguments: object) -> list[asyncpg.Record]:
    queries = Queries.parse(_QUERIES.read_text("utf-8"), _QUERIES.name)
    return await connection.fetch(queries[name], *arguments)


def _row(row: asyncpg.Record) -> Row:
    told = Told(
        task_id=row["task_id"],
        outcome=row["outcome"],
        reason=row["reason_code"],
        summary=row["reasoning_summary"],
        marketing_event_id=row["marketing_event_id"] or "",
        channels=tuple(row["channels"]),
        due_us=None if row["due_at"] is None else (row["due_at"] - _EPOCH) // _MICROSECOND,
        decided_us=(row["decided_at"] - _EPOCH) // _MICROSECOND,
    )
    sends = row["outcome"] == "send"
    send = Send(row["tenant"], row["profile_id"], row["event_name"], row["occurred_at"]) if sends else None
    return Row(told, send, row["input_sha256"])


def ledger_faults(acknowledged: Sequence[Acknowledgement], rows: Mapping[Key, Row]) -> list[str]:
    """Acknowledgements that the database does not have, or has otherwise; and events that were first twice."""
    faults = []
    firsts: Counter[Key] = Counter()
    for entry in acknowledged:
        key = (entry.tenant, entry.source_event_id)
        firsts[key] += not entry.duplicate
        row = rows.get(key)
        if row is None:
            faults.append(f"{entry.source_event_id} was acknowledged and is not recorded: {entry.told}")
        elif row.told != entry.told:
            faults.append(f"{entry.source_event_id} was acknowledged as {entry.told}, and is {row.told}")
    return faults + [
        f"{source_event_id} was answered {number} times as if for the first time"
        for (_, source_event_id), number in firsts.items()
        if number > 1
    ]


def refusal_faults(refused: Iterable[Refusal], rows: Mapping[Key, Row]) -> list[str]:
    """Changed bodies that were refused with another fingerprint than the recorded one."""
    return [
        f"{entry.source_event_id}: the first body's fingerprint is not {entry.fingerprint}"
        for entry in refused
        if (row := rows.get((entry.tenant, entry.source_event_id))) is None
        or row.input_sha256 != entry.fingerprint
    ]


def limit_faults(rows: Mapping[Key, Row]) -> list[str]:
    """Cooldowns and caps that the recorded sends break."""
    return violations(row.send for row in rows.values() if row.send is not None)


async def ask_again(stage: Stage, keys: Sequence[Key], rows: Mapping[Key, Row]) -> list[str]:
    """Ask for decisions that are recorded: each has to be answered as it stands, as a duplicate.

    Args:
        keys: those that have to be among them; a sample of the others is added.
    """
    others = sorted(rows.keys() - set(keys))
    chance = random.Random(stage.configuration.seed)
    asked = [*keys, *chance.sample(others, min(len(others), _ASKED_AGAIN))]
    answers = await asyncio.gather(
        *(_decide(stage, tenant, [key[1] for key in asked if key[0] == tenant]) for tenant in stage.tenants)
    )
    return [
        f"{key[1]} asked again is {decision}, and {rows[key].told} is recorded"
        for answered in answers
        for key, decision in answered
        if not decision.duplicate or told_of(decision) != rows[key].told
    ]


async def _decide(stage: Stage, tenant: str, ids: Sequence[str]) -> list[tuple[Key, wire.Decision]]:
    answered = []
    async with stage.client(tenant) as client:
        for start in range(0, len(ids), _PAGE):
            page = ids[start : start + _PAGE]
            events = [purchase_of(stage.configuration.seed, each).message() for each in page]
            answer = await client.decisions.DecideBatch(wire.DecideBatchRequest(events=events))
            answered += [((tenant, r.decision.source_event_id), r.decision) for r in answer.results]
    return answered


async def decide_absent(stage: Stage, keys: Sequence[Key], rows: Mapping[Key, Row]) -> list[str]:
    """Ask for what was never recorded: it is decided now, as the rules say, and nothing that died is in its way."""
    sends: dict[Key, list[Send]] = defaultdict(list)
    for row in rows.values():
        if row.send is not None:
            sends[row.send.tenant, row.send.profile_id].append(row.send)
    faults = []
    for tenant, source_event_id in keys:
        purchase = purchase_of(stage.configuration.seed, source_event_id)
        own = sends[tenant, purchase.profile_id]
        expected = expected_message(purchase.amount, purchase.occurred_at, own)
        wanted = expected.name if expected and has_consent(purchase.profile_id) else None
        ((_, decision),) = await _decide(stage, tenant, [source_event_id])
        if decision.duplicate or (decision.outcome == wire.DECISION_OUTCOME_SEND) != (wanted is not None):
            faults.append(f"{source_event_id} was never recorded; now it is {decision}, not {wanted}")
        elif wanted is not None:
            own.append(Send(tenant, purchase.profile_id, wanted, purchase.occurred_at))
    return faults
