"""What the provider's answer means for a delivery and its task. Pure: no clock, no I/O, no chance of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from server.dispatch.channels.channel import RETRIED, Accepted, ErrorClass, Refused, SendResult
from server.dispatch.claims import Attempt, Fact, Status, Step, TaskEnd, TaskStatus


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and when a delivery that was refused for the moment is tried again.

    Args:
        attempts: the last attempt that is made.
        first_seconds: about how long the second attempt waits; each further one waits twice as long.
        longest_seconds: no wait is longer.
    """

    attempts: int
    first_seconds: float
    longest_seconds: float = 3600.0

    def delay(self, attempt: int, jitter: float) -> timedelta:
        """How long to wait after this attempt.

        Args:
            jitter: 0 to 1; spreads deliveries that failed together over the second half of the wait.
        """
        full = min(self.first_seconds * 2.0 ** (attempt - 1), self.longest_seconds)
        return timedelta(seconds=full * (0.5 + jitter / 2))


def after_send(
    attempt: Attempt,
    result: SendResult,
    *,
    channels: tuple[str, ...],
    policy: RetryPolicy,
    now: datetime,
    jitter: Callable[[], float],
) -> Step:
    """What the provider's answer means for delivery and task.

    Args:
        channels: those of the task, in order of preference.
    """
    task_id = attempt.subject.task_id
    if isinstance(result, Accepted):
        fact = _fact_of(attempt, Status.SENT, None, result.response, result.provider_message_id, now)
        return Step([fact], None, TaskEnd(task_id, TaskStatus.COMPLETED))
    if result.error is ErrorClass.AMBIGUOUS:
        fact = _fact_of(attempt, Status.UNKNOWN, result.reason, result.response)
        return Step([fact], None, TaskEnd(task_id, TaskStatus.COMPLETED))
    if result.error in RETRIED and attempt.attempt < policy.attempts:
        fact = _fact_of(attempt, Status.DEFERRED, result.reason, result.response)
        due_at = now + policy.delay(attempt.attempt, jitter())
        return Step([fact], None, TaskEnd(task_id, TaskStatus.PENDING, due_at))
    return _failed(attempt, result, channels, now)


def _failed(attempt: Attempt, result: Refused, channels: tuple[str, ...], now: datetime) -> Step:
    """This channel is out of question; the next one, if there is one, is due at once."""
    reason = "ATTEMPTS_EXHAUSTED" if result.error in RETRIED else result.reason
    fact = _fact_of(attempt, Status.FAILED, reason, result.response)
    if attempt.channel != channels[-1]:
        return Step([fact], None, TaskEnd(attempt.subject.task_id, TaskStatus.PENDING, now))
    return Step([fact], None, TaskEnd(attempt.subject.task_id, TaskStatus.FAILED))


def _fact_of(
    attempt: Attempt,
    status: Status,
    reason: str | None,
    response: Mapping[str, Any],
    provider_message_id: str | None = None,
    sent_at: datetime | None = None,
) -> Fact:
    return Fact(
        subject=attempt.subject,
        channel=attempt.channel,
        delivery_key=attempt.delivery_key,
        attempt=attempt.attempt,
        status=status,
        reason=reason,
        provider_message_id=provider_message_id,
        provider_response=response,
        sent_at=sent_at,
    )
