"""The rows that the bulk writer's benchmark writes: decisions with their trace, and queued deliveries."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import orjson

from server.platform.bulk_writer import TableWrite

PROFILES = 10_000
SNAPSHOT = "audience"
STARTED = datetime(2026, 1, 1, tzinfo=UTC)
# About 1.5 KB, as five candidates and their reasons take.
TRACE = orjson.dumps(
    {
        "candidates": [
            {
                "marketing_event_id": sha256(bytes([n])).hexdigest(),
                "reason": "COOLDOWN",
                "facts": {"n": "x" * 160},
            }
            for n in range(5)
        ]
    }
)

Rows: TypeAlias = Iterator[tuple[Any, ...]]
Proof: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@dataclass(frozen=True, slots=True)
class Shape:
    """A table to write: its rows, and what must be there before them."""

    write: TableWrite
    rows: Callable[[Sequence[UUID], int], Rows]
    prepare: Callable[[Proof, Sequence[UUID], int], Awaitable[None]]


def task_id(number: int) -> str:
    """A key as the product makes them: hexadecimal, in no order."""
    return sha256(f"task {number}".encode()).hexdigest()


def _tasks(tenants: Sequence[UUID], count: int) -> Rows:
    for n in range(count):
        occurred = STARTED + timedelta(seconds=n)
        yield (
            tenants[n % len(tenants)],
            task_id(n),
            "decide",
            "execute",
            f"profile-{n % PROFILES}",
            f"event-{n}",
            "purchase",
            occurred,
            occurred,
            "suppressed",
            "COOLDOWN",
            "The last message of this kind is younger than its cooldown.",
            TRACE,
            b'{"amount": 120.5}',
            "completed",
        )


def _deliveries(tenants: Sequence[UUID], count: int) -> Rows:
    for n in range(count):
        yield (
            tenants[n % len(tenants)],
            sha256(f"delivery {n}".encode()).hexdigest(),
            task_id(n),
            "welcome",
            f"profile-{n % PROFILES}",
            SNAPSHOT,
            "email",
            "queued",
        )


async def _nothing(proof: Proof, tenants: Sequence[UUID], count: int) -> None:
    """Tasks refer to nothing."""


async def _prepare_deliveries(proof: Proof, tenants: Sequence[UUID], count: int) -> None:
    """Deliveries need their task, a snapshot, and the consent of the profile."""
    people = [(tenant, f"profile-{n}") for tenant in tenants for n in range(PROFILES)]
    copy = proof.copy_records_to_table
    await copy("agent_task", columns=TASKS.write.columns, records=_tasks(tenants, count))
    await copy(
        "segment_snapshot",
        columns=(
            "tenant_id",
            "snapshot_id",
            "segment_name",
            "segment_version",
            "audience_sha256",
            "member_count",
        ),
        records=[(tenant, SNAPSHOT, "all", "1", sha256(b"").hexdigest(), PROFILES) for tenant in tenants],
    )
    await copy("cdp_profiles", columns=("tenant_id", "profile_id"), records=people)
    await copy(
        "consent_management",
        columns=("tenant_id", "profile_id", "channel", "status", "legal_basis", "source", "granted_at"),
        records=[(*person, "email", "granted", "consent", "bench", STARTED) for person in people],
    )


TASKS = Shape(
    write=TableWrite(
        table="agent_task",
        columns=(
            "tenant_id",
            "task_id",
            "agent_name",
            "task_type",
            "profile_id",
            "source_event_id",
            "event_type",
            "occurred_at",
            "decided_at",
            "outcome",
            "reason_code",
            "reasoning_summary",
            "reasoning_trace",
            "inputs",
            "status",
        ),
        types=(
            "uuid",
            *("text",) * 6,
            *("timestamptz",) * 2,
            *("text",) * 3,
            *("jsonb",) * 2,
            "text",
        ),
        key=("tenant_id", "task_id"),
    ),
    rows=_tasks,
    prepare=_nothing,
)
DELIVERIES = Shape(
    write=TableWrite(
        table="delivery_log",
        columns=(
            "tenant_id",
            "delivery_key",
            "task_id",
            "marketing_event_id",
            "profile_id",
            "snapshot_id",
            "channel",
            "delivery_status",
        ),
        types=("uuid", *("text",) * 7),
        key=("tenant_id", "delivery_key"),
    ),
    rows=_deliveries,
    prepare=_prepare_deliveries,
)
SHAPES = {"agent_task": TASKS, "delivery_log": DELIVERIES}
