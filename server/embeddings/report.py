"""What people are told of the queue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class JobCount:
    """Jobs of one kind and status, and of one model.

    Args:
        model: what made their vectors; empty where none did yet.
        oldest_due_at: since when the oldest of them has been due.
    """

    kind: str
    status: str
    model: str
    jobs: int
    oldest_due_at: datetime


@dataclass(frozen=True, slots=True)
class FailedJob:
    """A dead job: nobody tries again until it is requeued."""

    kind: str
    entity_id: str
    attempts: int
    error: str
    failed_at: datetime
