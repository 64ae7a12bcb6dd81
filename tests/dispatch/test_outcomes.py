"""What a provider's answer means for what comes next: pure, so told by times and classes alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from server.dispatch.channels.channel import Accepted, ErrorClass, Refused, SendResult
from server.dispatch.claims import Attempt, DeadAddress, Status, Step, Subject, TaskStatus
from server.dispatch.outcomes import RetryPolicy, after_send

NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
POLICY = RetryPolicy(attempts=3, first_seconds=10.0)
SUBJECT = Subject("task", "event", None, "lan", "snapshot")


ATTEMPT = Attempt(SUBJECT, "push", "key", 1, ("a", "b"), "", "body", "text/plain", {})


def decide(attempt: Attempt, result: SendResult, *, jitter: float = 0.0, resend_safe: bool = False) -> Step:
    """What follows on a channel that is not the last one."""
    return after_send(
        attempt,
        result,
        channels=("push", "email"),
        policy=POLICY,
        now=NOW,
        jitter=lambda: jitter,
        resend_safe=resend_safe,
    )


def after(result: SendResult, *, attempt: int = 1, jitter: float = 0.0, resend_safe: bool = False) -> Step:
    """What follows after this attempt."""
    return decide(replace(ATTEMPT, attempt=attempt), result, jitter=jitter, resend_safe=resend_safe)


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


@pytest.mark.parametrize(
    ("error", "attempt", "longest"),
    [
        (ErrorClass.TRANSIENT, 1, 10.0),
        (ErrorClass.TRANSIENT, 2, 20.0),
        (ErrorClass.QUOTA, 1, 30.0),
        (ErrorClass.AUTHENTICATION, 2, 120.0),
    ],
)
def test_jitter_spreads_over_the_whole_wait_of_the_class(
    error: ErrorClass, attempt: int, longest: float
) -> None:
    refused = Refused(error, "R", retry_after_seconds=0.0)

    assert waits(after(refused, attempt=attempt, jitter=0.0)) == 0.0
    assert waits(after(refused, attempt=attempt, jitter=1.0)) == longest


def test_what_one_wish_held_back_does_not_come_at_one_moment() -> None:
    assert waits(after(Refused(ErrorClass.QUOTA, "R", retry_after_seconds=35.0), jitter=0.5)) == 50.0


def test_attempts_are_counted_in_their_series() -> None:
    sent = replace(ATTEMPT, attempt=4, series=2, before=3)
    step = decide(sent, Refused(ErrorClass.TRANSIENT, "R"))

    assert (step.facts[0].status, step.facts[0].series) == (Status.DEFERRED, 2)


def test_nobody_looks_at_it_after_it_has_expired() -> None:
    until = NOW + timedelta(seconds=12)
    step = decide(
        replace(ATTEMPT, valid_until=until), Refused(ErrorClass.QUOTA, "R", retry_after_seconds=60.0)
    )

    assert step.end is not None
    assert step.end.due_at == until


def test_a_receipt_is_waited_for_before_the_next_channel() -> None:
    step = decide(replace(ATTEMPT, receipt_seconds=90), Accepted("id"))

    assert step.end is not None
    assert (step.end.status, waits(step)) == (TaskStatus.PENDING, 90.0)


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
