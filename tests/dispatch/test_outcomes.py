"""What a provider's answer means for what comes next: pure, so told by times and classes alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from server.dispatch.channels.channel import Accepted, ErrorClass, Refused, SendResult
from server.dispatch.claims import Attempt, DeadAddress, Status, Step, Subject, TaskStatus
from server.dispatch.outcomes import RetryPolicy, after_send

NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
POLICY = RetryPolicy(attempts=3, first_seconds=10.0)
SUBJECT = Subject("task", "event", None, "lan", "snapshot")


def after(result: SendResult, *, attempt: int = 1, jitter: float = 0.0, resend_safe: bool = False) -> Step:
    """What follows on a channel that is not the last one."""
    sent = Attempt(SUBJECT, "push", "key", attempt, ("a", "b"), "", "body", "text/plain", {})
    return after_send(
        sent,
        result,
        channels=("push", "email"),
        policy=POLICY,
        now=NOW,
        jitter=lambda: jitter,
        resend_safe=resend_safe,
    )


def waits(step: Step) -> float:
    """Seconds until the task is due again."""
    assert step.end is not None
    assert step.end.due_at is not None
    return (step.end.due_at - NOW).total_seconds()


@pytest.mark.parametrize("error", [ErrorClass.QUOTA, ErrorClass.TRANSIENT, ErrorClass.AUTHENTICATION])
@pytest.mark.parametrize("jitter", [0.0, 1.0])
def test_the_providers_wish_is_waited_for_in_full(error: ErrorClass, jitter: float) -> None:
    step = after(Refused(error, "R", retry_after_seconds=35.0), jitter=jitter)

    assert step.facts[0].status is Status.DEFERRED
    assert waits(step) >= 35.0


def test_a_short_wish_does_not_shorten_the_wait() -> None:
    assert waits(after(Refused(ErrorClass.QUOTA, "R", retry_after_seconds=0.0))) == 5.0


def test_no_wish_is_longer_than_a_day() -> None:
    step = after(Refused(ErrorClass.QUOTA, "R", retry_after_seconds=1e9))
    assert waits(step) == timedelta(days=1).total_seconds()


@pytest.mark.parametrize(
    ("resend_safe", "attempt", "status", "end"),
    [
        (False, 1, Status.UNKNOWN, TaskStatus.COMPLETED),
        (True, 1, Status.DEFERRED, TaskStatus.PENDING),
        (True, 3, Status.UNKNOWN, TaskStatus.COMPLETED),
    ],
)
def test_what_may_have_been_sent_is_sent_again_only_where_that_is_safe(
    resend_safe: bool, attempt: int, status: Status, end: TaskStatus
) -> None:
    step = after(Refused(ErrorClass.AMBIGUOUS, "R"), attempt=attempt, resend_safe=resend_safe)

    assert step.end is not None
    assert (step.facts[0].status, step.end.status) == (status, end)


@pytest.mark.parametrize(
    "result",
    [Accepted("id", dead_addresses=("b",)), Refused(ErrorClass.RECIPIENT, "R", dead_addresses=("b",))],
)
def test_dead_addresses_go_with_the_result(result: SendResult) -> None:
    assert list(after(result).dead) == [DeadAddress("lan", "push", "b")]
