"""Which Celery queue carries the wake-ups of which work. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class CeleryQueue(StrEnum):
    """The queues of the fleet, in the order in which a worker prefers them."""

    PRIORITY_HIGH = "priority_high"
    DEFAULT = "default"
    SYNC = "sync"
    AI = "ai"
    MAINTENANCE = "maintenance"


class TaskName(StrEnum):
    """The tasks of the fleet."""

    DELIVER = "leo.deliver"
    DECIDE_FIRINGS = "leo.decide_firings"
    END_SILENCES = "leo.end_silences"
    EXPIRE_RULES = "leo.expire_rules"
    CARRY_OUT_PLANS = "leo.carry_out_plans"
    SWEEP = "leo.sweep"
    ENSURE_MONTHS = "leo.ensure_months"
    DROP_MONTHS = "leo.drop_months"
    APPEND_SNAPSHOTS = "leo.append_snapshots"
    COUNT_EXPERIMENTS = "leo.count_experiments"
    RENEW_TOKENS = "leo.renew_tokens"
    MATCH_RECEIPTS = "leo.match_receipts"
    COUNT_DELIVERIES = "leo.count_deliveries"
    RECONCILE_COUNTS = "leo.reconcile_counts"
    EMBED = "leo.embed"
    QUEUE_ACTIVE_PROFILES = "leo.queue_active_profiles"
    EVALUATE_SEGMENTS = "leo.evaluate_segments"
    DECIDE_SEGMENT_CHANGES = "leo.decide_segment_changes"
    GO_ON_ERASING = "leo.go_on_erasing"
    SYNC_SOURCES = "leo.sync_sources"


PLANS: Final = "dispatch"
"""The work queue of plans."""

ALERTS: Final = "alerts"
"""The work queue of alerts that fired."""

SILENCES: Final = "silences"
"""The work queue of silences: each is due at its end."""

RECEIPTS: Final = "receipts"
"""The work queue of receipts that belong to no delivery yet; every other one holds deliveries."""

EMBEDDINGS: Final = "embeddings"
"""What is to be embedded: a queue of its own, outside the list of tasks."""

SEGMENTS: Final = "segments"
"""The work queue of profiles that entered or left a segment."""

ERASURES: Final = "erasures"
"""The work queue of erasures whose caller is gone."""

_URGENT: Final = frozenset({"push", "web_push", "pushalert", "telegram"})


def celery_queue_of(work_queue: str) -> CeleryQueue:
    """Where a wake-up for this work queue goes."""
    if work_queue in (RECEIPTS, SILENCES, ERASURES):
        return CeleryQueue.MAINTENANCE
    if work_queue == EMBEDDINGS:
        return CeleryQueue.AI
    return CeleryQueue.PRIORITY_HIGH if work_queue in _URGENT else CeleryQueue.DEFAULT


def wake_up_of(work_queue: str) -> tuple[TaskName, tuple[str, ...]]:
    """The task that serves this work queue, and its arguments."""
    if work_queue == PLANS:
        return TaskName.CARRY_OUT_PLANS, ()
    if work_queue == ALERTS:
        return TaskName.DECIDE_FIRINGS, ()
    if work_queue == SEGMENTS:
        return TaskName.DECIDE_SEGMENT_CHANGES, ()
    if work_queue == SILENCES:
        return TaskName.END_SILENCES, ()
    if work_queue == RECEIPTS:
        return TaskName.MATCH_RECEIPTS, ()
    if work_queue == EMBEDDINGS:
        return TaskName.EMBED, ()
    if work_queue == ERASURES:
        return TaskName.GO_ON_ERASING, ()
    return TaskName.DELIVER, (work_queue,)
