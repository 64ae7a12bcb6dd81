"""Firings as they were recorded, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto


class FiringStatus(Enum):
    """What became of a firing."""

    PENDING = auto()
    SEND = auto()
    SUPPRESSED = auto()
    SILENCED = auto()
    FAILED = auto()
    CANCELLED = auto()


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """That somebody has seen a firing.

    Args:
        acknowledged_by: subject of the caller's token.
    """

    acknowledged_by: str
    acknowledged_at: datetime
    note: str


@dataclass(frozen=True, slots=True)
class RecordedFiring:
    """A firing and where it stands.

    Args:
        xid: the transaction that recorded it: firings are in the order of (xid, task_id).
        attributes: facts of its event: a JSON object; `{}` where the owner was erased.
        symbol, price_nanos, previous_price_nanos: out of the attributes; empty, 0 and None where those are.
        reason: why it stands there; empty while it is pending.
        silence_id: the silence that was in force; empty where none was.
    """

    task_id: str
    xid: int
    rule_id: str
    generation: int
    profile_id: str
    symbol: str
    price_nanos: int
    previous_price_nanos: int | None
    fired_at: datetime
    source_event_id: str
    attributes: bytes
    status: FiringStatus
    reason: str
    silence_id: str
    acknowledgement: Acknowledgement | None
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class FiringFilter:
    """Which firings are wanted; None stands for all."""

    profile_id: str | None = None
    symbol: str | None = None
    rule_id: str | None = None

    def wants(self, firing: RecordedFiring) -> bool:
        """Whether a firing is one of them."""
        return (
            self.profile_id in (None, firing.profile_id)
            and self.symbol in (None, firing.symbol)
            and self.rule_id in (None, firing.rule_id)
        )


def status_of(
    *, task_status: str, task_reason: str | None, outcome: str | None, decision_reason: str | None
) -> tuple[FiringStatus, str]:
    """Where a firing stands, and why.

    Args:
        task_status: of the firing's own task.
        task_reason: why that ended, where it was not decided.
        outcome: of the decision, where there is one.
    """
    if task_reason == SILENCED:
        return FiringStatus.SILENCED, SILENCED
    if outcome is not None:
        status = FiringStatus.SEND if outcome == "send" else FiringStatus.SUPPRESSED
        return status, decision_reason or ""
    ended = {"failed": FiringStatus.FAILED, "cancelled": FiringStatus.CANCELLED}
    return ended.get(task_status, FiringStatus.PENDING), task_reason or ""


SILENCED = "SILENCED"
