"""What the provider's answer means for a delivery and its task. Pure: no clock, no I/O, no chance of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from server.dispatch.channels.channel import RETRIED, Accepted, ErrorClass, Refused, SendResult
from server.dispatch.claims import Attempt, DeadAddress, Fact, Status, Step, TaskEnd, TaskStatus

_LONGEST_WISH: Final = timedelta(days=1)


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
    elif _is_retried(result, resend_safe) and attempt.attempt < policy.attempts:
        wait = timedelta() if at_once else policy.delay(attempt.attempt, jitter())
        step = _deferred(attempt, result, now + max(wait, _asked(result)))
    elif result.error is ErrorClass.AMBIGUOUS:
        fact = _fact_of(attempt, Status.UNKNOWN, result.reason, result.response)
        step = Step([fact], None, TaskEnd(attempt.subject.task_id, TaskStatus.COMPLETED))
    else:
        step = _failed(attempt, result, channels, now)
    return replace(step, dead=_dead(attempt, result))


def _sent(attempt: Attempt, result: Accepted, now: datetime) -> Step:
    fact = _fact_of(attempt, Status.SENT, None, result.response, result.provider_message_id, now)
    return Step([fact], None, TaskEnd(attempt.subject.task_id, TaskStatus.COMPLETED))


def _is_retried(result: Refused, resend_safe: bool) -> bool:
    return result.error in RETRIED or (resend_safe and result.error is ErrorClass.AMBIGUOUS)


def _deferred(attempt: Attempt, result: Refused, due_at: datetime) -> Step:
    fact = _fact_of(attempt, Status.DEFERRED, result.reason, result.response)
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
