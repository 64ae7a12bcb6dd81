"""What the provider's answer means for a delivery and its task. Pure: no clock, no I/O, no chance of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from server.dispatch.channels.channel import RETRIED, Accepted, ErrorClass, Refused, SendResult
from server.dispatch.claims import (
    Attempt,
    DeadAddress,
    Fact,
    Status,
    Step,
    TaskEnd,
    TaskStatus,
    no_later,
)

_LONGEST_WISH: Final = timedelta(days=1)

# What is likely to last is asked less often: an account needs its token or its quota back.
_PATIENCE: Final[Mapping[ErrorClass, float]] = {ErrorClass.QUOTA: 3.0, ErrorClass.AUTHENTICATION: 6.0}


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and when a delivery that was refused for the moment is tried again.

    Args:
        attempts: the last attempt of a series that is made.
        first_seconds: the longest that the second attempt waits; each further one waits up to twice as long.
            Refusals for quota wait three times as long, and of the account six times.
        longest_seconds: no wait is longer.
    """

    attempts: int
    first_seconds: float
    longest_seconds: float = 3600.0

    def delay(self, attempt: int, error: ErrorClass, jitter: float) -> timedelta:
        """How long to wait after this attempt, from 1.

        Args:
            jitter: 0 to 1; spreads deliveries that failed together over the whole wait.
        """
        doubled = self.first_seconds * _PATIENCE.get(error, 1.0) * 2.0 ** min(attempt - 1, 60)
        return timedelta(seconds=min(doubled, self.longest_seconds) * jitter)


def after_send(
    attempt: Attempt,
    result: SendResult,
    *,
    channels: tuple[str, ...],
    policy: RetryPolicy,
    now: datetime,
    jitter: Callable[[], float],
    at_once: bool = False,
    resend_safe: bool = False,
) -> Step:
    """What the provider's answer means for delivery, task and profile.

    Args:
        channels: those of the task, in order of preference.
        at_once: whether what stood in the way is gone already, so that a further attempt need not wait.
        resend_safe: whether the channel may send again what may have been sent.
    """
    if isinstance(result, Accepted):
        step = _sent(attempt, result, now)
    elif _is_retried(result, resend_safe) and attempt.number < policy.attempts:
        # Jitter comes after the provider's wish: what it held back together does not come together.
        wait = timedelta() if at_once else policy.delay(attempt.number, result.error, jitter())
        step = _deferred(attempt, result, now + _asked(result) + wait)
    elif result.error is ErrorClass.AMBIGUOUS:
        fact = _fact_of(attempt, Status.UNKNOWN, result.reason, result.response)
        step = Step([fact], None, TaskEnd(attempt.subject.task_id, TaskStatus.COMPLETED))
    else:
        step = _failed(attempt, result, channels, now)
    return replace(step, dead=_dead(attempt, result))


def _sent(attempt: Attempt, result: Accepted, now: datetime) -> Step:
    fact = _fact_of(attempt, Status.SENT, None, result.response, result.provider_message_id, now)
    end = TaskEnd(attempt.subject.task_id, TaskStatus.COMPLETED)
    if attempt.receipt_seconds is not None:
        # The next channel is tried unless a receipt comes before.
        end = replace(end, status=TaskStatus.PENDING, due_at=now + timedelta(seconds=attempt.receipt_seconds))
    return Step([fact], None, end)


def expired(attempt: Attempt) -> Step:
    """What to record of an attempt whose time ran out before it was handed over."""
    fact = _fact_of(attempt, Status.EXPIRED, "VALIDITY_ENDED", None)
    return Step([fact], None, TaskEnd(attempt.subject.task_id, TaskStatus.CANCELLED))


def _is_retried(result: Refused, resend_safe: bool) -> bool:
    return result.error in RETRIED or (resend_safe and result.error is ErrorClass.AMBIGUOUS)


def _deferred(attempt: Attempt, result: Refused, due_at: datetime) -> Step:
    response = dict(result.response)
    if result.retry_after_seconds is not None:
        response["retry_after_seconds"] = result.retry_after_seconds
    fact = _fact_of(attempt, Status.DEFERRED, result.reason, response)
    due_at = no_later(due_at, attempt.valid_until)
    return Step([fact], None, TaskEnd(attempt.subject.task_id, TaskStatus.PENDING, due_at))


def _dead(attempt: Attempt, result: SendResult) -> list[DeadAddress]:
    profile_id = attempt.subject.profile_id
    return [DeadAddress(profile_id, attempt.channel, address) for address in result.dead_addresses]


def _asked(result: Refused) -> timedelta:
    """How long the provider wants us to wait; not longer than a day."""
    return min(timedelta(seconds=result.retry_after_seconds or 0.0), _LONGEST_WISH)


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
    response: Mapping[str, Any] | None,
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
        series=attempt.series,
    )
