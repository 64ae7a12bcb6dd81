"""May a delivery that failed be queued again, and as what? Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from server.dispatch.claims import Fact, KnownFact, Status, Subject, TaskStatus
from server.dispatch.steps import TAKEN

REQUEUED: Final = "REQUEUED"
"""The reason of a row that begins a further series."""

_SENT_OR_DOUBTFUL: Final = TAKEN | {Status.UNKNOWN}


class Obstacle(StrEnum):
    """Why a delivery is not queued again."""

    NOT_FAILED = "NOT_FAILED"
    STILL_TRAVELLING = "STILL_TRAVELLING"
    SENT_ELSEWHERE = "SENT_ELSEWHERE"
    MAY_HAVE_BEEN_SENT = "MAY_HAVE_BEEN_SENT"
    RESEND_UNSAFE = "RESEND_UNSAFE"


@dataclass(frozen=True, slots=True)
class Ended:
    """A delivery whose fate is asked for, with all that its task knows.

    Args:
        status: where it stands.
        series: its last one.
        resend_safe: whether its channel may send again what may have been sent.
        facts: everything recorded about the task, over all its channels.
    """

    subject: Subject
    channel: str
    delivery_key: str
    status: Status
    series: int
    task_status: TaskStatus
    resend_safe: bool
    facts: Sequence[KnownFact]


def obstacle(ended: Ended, *, resend_unknown: bool) -> Obstacle | None:
    """What is in the way of a further series; None when nothing is.

    Args:
        resend_unknown: whether a delivery of which nobody knows may be sent again.
    """
    if ended.task_status is TaskStatus.PENDING:
        return Obstacle.STILL_TRAVELLING
    others = (fact.status for fact in ended.facts if fact.channel != ended.channel)
    if any(status in _SENT_OR_DOUBTFUL for status in others):
        return Obstacle.SENT_ELSEWHERE
    if ended.status is Status.UNKNOWN:
        if not resend_unknown:
            return Obstacle.MAY_HAVE_BEEN_SENT
        return None if ended.resend_safe else Obstacle.RESEND_UNSAFE
    return None if ended.status is Status.FAILED else Obstacle.NOT_FAILED


def next_series(ended: Ended) -> Fact:
    """The row that begins it. Numbers of attempts go on."""
    made = [fact.attempt for fact in ended.facts if fact.channel == ended.channel]
    return Fact(
        subject=ended.subject,
        channel=ended.channel,
        delivery_key=ended.delivery_key,
        attempt=max(made, default=0),
        status=Status.QUEUED,
        reason=REQUEUED,
        series=ended.series + 1,
    )
