"""Sources as they are described and as they fare: health, lag, staleness, when they are tried again. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

_FIRST_PAUSE_SECONDS: Final = 5.0
_LONGEST_PAUSE_SECONDS: Final = 300.0
_MOST_REASONS: Final = 50
_OTHER_REASONS: Final = "OTHER"
_MISSED_RUNS: Final = 3
_LEAST_STALE_SECONDS: Final = 300


class SourceType(StrEnum):
    """The kinds of source."""

    ARANGODB = "arangodb"
    POSTGRESQL = "postgresql"
    FILE = "file"


class Health(StrEnum):
    """How a source fares.

    `degraded`: it can not be reached, or nothing of it was good. `failing`: it refuses, until somebody cures that.
    """

    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    FAILING = "failing"


@dataclass(frozen=True, slots=True)
class Definition:
    """What a tenant says of a source.

    Args:
        connection: how to reach it, as its kind understands it; no password.
        mapping: how its documents become profiles.
        sync_frequency_seconds: between two runs; None: only on request.
        stale_after_seconds: without a success; None: never.
    """

    source_id: str
    source_name: str
    type: SourceType
    connection: Mapping[str, Any]
    mapping: Mapping[str, Any]
    sync_frequency_seconds: int | None
    stale_after_seconds: int | None
    paused: bool = False

    def reads_the_same(self, other: Definition) -> bool:
        """Whether the cursor of one is good for the other: they read the same documents in the same way."""
        return (self.type, self.connection, self.mapping) == (other.type, other.connection, other.mapping)


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of documents.

    Args:
        read: all of them.
        written: those that created or changed a profile.
        rejected: those that were not good; `reasons` tells why, by code.
        suppressed: those of people who were erased.
        deleted: deletions that ended a profile's consents.
    """

    read: int = 0
    written: int = 0
    rejected: int = 0
    suppressed: int = 0
    deleted: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)

    def plus(self, other: Counts) -> Counts:
        """Both together. What is not among the first codes is counted under one of its own."""
        reasons = Counter(self.reasons)
        for reason, count in other.reasons.items():
            reasons[reason if reason in reasons or len(reasons) < _MOST_REASONS else _OTHER_REASONS] += count
        return Counts(
            self.read + other.read,
            self.written + other.written,
            self.rejected + other.rejected,
            self.suppressed + other.suppressed,
            self.deleted + other.deleted,
            dict(reasons),
        )

    @property
    def nothing_good(self) -> bool:
        """That documents came and every one was rejected: the mapping is of something else."""
        return 0 < self.read == self.rejected


@dataclass(frozen=True, slots=True)
class Condition:
    """How a source fares, as it is stored.

    Args:
        synced_until: what the source knew until then has been taken in; None before the first page.
        total, last_run: counts of all runs, and of the one that is under way or was the last.
    """

    created_at: datetime
    health: Health = Health.UNKNOWN
    is_running: bool = False
    failures: int = 0
    last_error: str | None = None
    last_sync_at: datetime | None = None
    last_success_at: datetime | None = None
    due_at: datetime | None = None
    synced_until: datetime | None = None
    cursor: Mapping[str, Any] = field(default_factory=dict)
    total: Counts = Counts()
    last_run: Counts = Counts()


@dataclass(frozen=True, slots=True)
class DataSource:
    """A source, and how it fares."""

    definition: Definition
    condition: Condition
    has_password: bool = False

    def lag_seconds(self, now: datetime) -> float | None:
        """How far behind the source its profiles are at most; None before anything was read."""
        until = self.condition.synced_until
        return None if until is None else max((now - until).total_seconds(), 0.0)

    def is_stale(self, now: datetime) -> bool:
        """Whether it has gone without a success for longer than it may; a paused one may."""
        allowed = self.definition.stale_after_seconds
        if allowed is None or self.definition.paused:
            return False
        since = self.condition.last_success_at or self.condition.created_at
        return since + timedelta(seconds=allowed) < now


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    Args:
        error: for operators; None after a success.
        pause_seconds: until the next run; None: only on request.
    """

    health: Health
    failures: int
    error: str | None
    pause_seconds: float | None


def after_success(counts: Counts, frequency_seconds: int | None) -> Outcome:
    """It was read to its end."""
    pause = None if frequency_seconds is None else float(frequency_seconds)
    if not counts.nothing_good:
        return Outcome(Health.HEALTHY, 0, None, pause)
    reasons = ", ".join(f"{reason} ({count:,})" for reason, count in sorted(counts.reasons.items()))
    return Outcome(Health.DEGRADED, 0, f"all {counts.read:,} documents were rejected: {reasons}", pause)


def after_absence(error: str, failures: int) -> Outcome:
    """It could not be reached: it is tried again soon, and then less and less often.

    Args:
        failures: runs before this one that failed since the last success.
    """
    return Outcome(Health.DEGRADED, failures + 1, error, pause_after(failures + 1))


def after_refusal(error: str, failures: int, frequency_seconds: int | None) -> Outcome:
    """It refused: trying sooner than usual would not cure that."""
    pause = None if frequency_seconds is None else max(float(frequency_seconds), pause_after(failures + 1))
    return Outcome(Health.FAILING, failures + 1, error, pause)


def pause_after(failures: int) -> float:
    """Seconds to wait after so many failures in a row, at least one: doubled each time, up to five minutes."""
    doublings = min(failures - 1, 16)
    return min(_FIRST_PAUSE_SECONDS * 2.0**doublings, _LONGEST_PAUSE_SECONDS)


def advanced(until: datetime | None, newest_at: datetime | None, now: datetime) -> datetime | None:
    """How far a source has been taken in once a page is written; never back, and never into the future."""
    known = [moment for moment in (until, min(newest_at, now) if newest_at else None) if moment is not None]
    return max(known, default=None)


def with_usual_staleness(definition: Definition) -> Definition:
    """With a bound where none was given: three runs that did not come, and at least five minutes."""
    frequency = definition.sync_frequency_seconds
    if definition.stale_after_seconds is not None or frequency is None:
        return definition
    return replace(definition, stale_after_seconds=max(_MISSED_RUNS * frequency, _LEAST_STALE_SECONDS))
