"""What became of each delivery, by PostgreSQL and by the providers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import asyncpg

from loadtest.faults.workers.provider import REFERENCE_LENGTH
from server.dispatch.channels.push_firebase import PushFirebase
from server.platform.queries import Queries

QUERIES: Final = Queries.parse(Path(__file__).with_name("audit.sql").read_text("utf-8"), "audit.sql")
_SAFE: Final = frozenset({PushFirebase.name})
_ENDS: Final = frozenset({"sent", "unknown"})


@dataclass(frozen=True, slots=True)
class Delivery:
    """A decision to send, with what was recorded and what the provider got.

    Args:
        status, reason: of the delivery; None where there is no delivery.
        times: how often the provider took it.
    """

    task_id: str
    task_status: str
    channel: str
    status: str | None
    reason: str | None
    times: int

    @property
    def fault(self) -> str | None:
        """What must not be; None where all is well."""
        if self.task_status == "pending" or self.status is None:
            return f"not carried out: the task is {self.task_status}, the delivery {self.status}"
        if self.status not in _ENDS:
            return f"ended as {self.status} ({self.reason})"
        if self.status == "unknown" and not self.reason:
            return "unknown, and nobody says why"
        if self.channel not in _SAFE and self.times > 1:
            return f"sent {self.times} times where the recipient gets each"
        return "sent, but the provider never got it" if self.status == "sent" and not self.times else None


@dataclass(slots=True)
class Audit:
    """Everything that was decided.

    Args:
        faults: what must not be, in words.
        ends: how many deliveries of a channel came to a status, with its reason.
        unknown_arrived: of the unknown ones, how many the provider got, by channel.
        repeated: of those on a channel where a resend is safe, how many came more than once.
    """

    deliveries: int
    faults: list[str] = field(default_factory=list)
    ends: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    unknown_arrived: Counter[str] = field(default_factory=Counter)
    repeated: int = 0


async def audit(proof: asyncpg.Connection, acknowledged: Collection[str], taken: Mapping[str, int]) -> Audit:
    """Compare. One statement."""
    rows = await proof.fetch(QUERIES["deliveries"])
    deliveries = [_delivery(row, taken) for row in rows]
    return judged(deliveries, acknowledged)


def judged(deliveries: Sequence[Delivery], acknowledged: Collection[str]) -> Audit:
    """What to say of them."""
    found = Audit(len(deliveries))
    recorded = {delivery.task_id for delivery in deliveries}
    found.faults = [
        f"{task_id}: acknowledged, but not recorded" for task_id in acknowledged if task_id not in recorded
    ]
    for delivery in deliveries:
        found.ends[delivery.channel, delivery.status or "none", delivery.reason or ""] += 1
        if delivery.fault is not None:
            found.faults.append(f"{delivery.task_id} ({delivery.channel}): {delivery.fault}")
        if delivery.status == "unknown" and delivery.times:
            found.unknown_arrived[delivery.channel] += 1
        if delivery.channel in _SAFE and delivery.times > 1:
            found.repeated += 1
    return found


def _delivery(row: asyncpg.Record, taken: Mapping[str, int]) -> Delivery:
    key = row["delivery_key"] or ""
    return Delivery(
        row["task_id"],
        row["task_status"],
        row["channel"],
        row["delivery_status"],
        row["reason"],
        taken.get(key[:REFERENCE_LENGTH], 0),
    )
