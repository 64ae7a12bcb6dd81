"""The life of a delivery as a whole, whatever happens to it: the rules of workers played against chance, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, Final
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from server.dispatch.admission import Prepared
from server.dispatch.channels.channel import Accepted, AddressKind, ErrorClass, Refused, SendResult
from server.dispatch.claims import (
    Attempt,
    ClaimedTask,
    Fact,
    KnownFact,
    Status,
    Step,
    Subject,
    TaskStatus,
    Template,
)
from server.dispatch.outcomes import RetryPolicy, after_send, expired
from server.dispatch.rendering import TemplateShelf
from server.dispatch.sending import Sender
from server.dispatch.steps import MOST_RESENDS, TAKEN, next_step

TENANT: Final = UUID(int=7)
NOW: Final = datetime(2026, 1, 21, 8, 30, tzinfo=UTC)
POLICY: Final = RetryPolicy(attempts=3, first_seconds=10.0)
SUBJECT: Final = Subject("task", "event", None, "lan", "snapshot")
CHANNELS: Final = ("zalo", "push", "email")
RANKS: Final = {
    status: rank
    for rank, statuses in enumerate(
        (
            (Status.QUEUED,),
            (Status.SENDING, Status.DEFERRED),
            (Status.UNKNOWN,),
            (Status.SUPPRESSED,),
            (Status.CANCELLED,),
            (Status.EXPIRED,),
            (Status.FAILED,),
            (Status.SENT,),
            (Status.DELIVERED,),
            (Status.BOUNCED,),
            (Status.READ,),
        )
    )
    for status in statuses
}
TERMINAL: Final = frozenset(RANKS) - {Status.QUEUED, Status.SENDING, Status.DEFERRED}
RESULTS: Final[tuple[SendResult, ...]] = (
    Accepted("id"),
    *(Refused(error, "R", retry_after_seconds=wish) for error in ErrorClass for wish in (None, 35.0)),
)


class DIED:
    """The worker vanished in the middle of sending."""


def channel(name: str) -> Any:
    """A channel as the rules see it: Zalo has receipts, push may be sent again, and each takes every address."""
    return SimpleNamespace(
        name=name,
        needs=AddressKind.EMAIL,
        multicast=False,
        metadata=(),
        accept_address=str,
        receipts=name == "zalo",
        resend_safe=name == "push",
    )


ADAPTERS: Final[dict[str, Any]] = {name: channel(name) for name in CHANNELS}
SHELF: Final = TemplateShelf(
    [Template("t", name, "default", "", "body", "jinja2", "text/plain", {}) for name in CHANNELS]
)
TASK: Final = ClaimedTask(
    subject=SUBJECT,
    channels=CHANNELS,
    template_name="t",
    campaign_status="active",
    marketing_event_status="active",
    definitions_version=1,
    profile={"primary_email": "lan@example.com"},
    addresses={},
    language=None,
    consented=frozenset(CHANNELS),
    event={},
    definitions={},
    facts=(),
)


@dataclass(slots=True)
class Life:
    """One task with its log and its clock, driven as workers drive it."""

    task: ClaimedTask
    now: datetime = NOW
    facts: list[KnownFact] = field(default_factory=list)
    status: TaskStatus = TaskStatus.PENDING
    attempts: list[Attempt] = field(default_factory=list)

    def claim(self, result: SendResult | type[DIED], jitter: float) -> None:
        """One claim from beginning to end."""
        step = next_step(
            TENANT,
            replace(self.task, facts=tuple(self.facts)),
            channels=ADAPTERS,
            templates=SHELF,
            now=self.now,
        )
        if step.attempt is not None:
            self._note(step.facts)
            step = self._send(step.attempt, result, jitter)
        self._note(step.facts)
        if step.end is not None:
            self.status = step.end.status
            self.now = max(self.now, step.end.due_at or self.now)
        else:
            self.now += timedelta(minutes=1)

    def standing(self, name: str) -> KnownFact:
        """Where a delivery stands, as `delivery_current` says."""
        known = [fact for fact in self.facts if fact.channel == name]
        taken = [fact for fact in known if fact.status in TAKEN]
        latest = max(fact.series for fact in known)
        counted = taken or [fact for fact in known if fact.series == latest]
        return max(counted, key=lambda fact: (RANKS[fact.status], fact.attempt))

    def _send(self, attempt: Attempt, result: SendResult | type[DIED], jitter: float) -> Step:
        self.attempts.append(attempt)
        self._add(attempt.channel, attempt.attempt, Status.SENDING, attempt.series)
        if not isinstance(result, Accepted | Refused):
            return Step()
        if attempt.valid_until is not None and attempt.valid_until <= self.now:
            return expired(attempt)
        return after_send(
            attempt,
            result,
            channels=CHANNELS,
            policy=POLICY,
            now=self.now,
            jitter=lambda: jitter,
            resend_safe=ADAPTERS[attempt.channel].resend_safe,
        )

    def _note(self, facts: Any) -> None:
        for fact in facts:
            assert isinstance(fact, Fact)
            self._add(fact.channel, fact.attempt, fact.status, fact.series, fact.sent_at)

    def _add(
        self, name: str, attempt: int, status: Status, series: int, sent_at: datetime | None = None
    ) -> None:
        known = [fact for fact in self.facts if fact.channel == name and fact.series == series]
        terminal = [fact.status for fact in known if fact.status in TERMINAL]
        if status in (Status.QUEUED, Status.SENDING, Status.DEFERRED):
            assert not terminal, f"{status} after {terminal}"
        for before in terminal:
            assert RANKS[status] >= RANKS[before], "a status went backwards"
        self.facts.append(KnownFact(name, attempt, status, series, sent_at))


OUTCOMES = st.lists(st.tuples(st.sampled_from((*RESULTS, DIED)), st.floats(0, 1)), min_size=1, max_size=60)


@given(
    outcomes=OUTCOMES,
    valid_for=st.none() | st.integers(1, 7200),
    receipt_seconds=st.none() | st.integers(1, 600),
    consented=st.frozensets(st.sampled_from(CHANNELS)),
)
def test_a_task_ends_and_no_status_goes_backwards(
    outcomes: list[tuple[Any, float]],
    valid_for: int | None,
    receipt_seconds: int | None,
    consented: frozenset[str],
) -> None:
    until = None if valid_for is None else NOW + timedelta(seconds=valid_for)
    life = Life(replace(TASK, consented=consented, valid_until=until, receipt_seconds=receipt_seconds))
    bound = (POLICY.attempts + MOST_RESENDS) * len(CHANNELS) * 2

    for position in range(bound):
        if life.status is not TaskStatus.PENDING:
            break
        life.claim(*outcomes[position % len(outcomes)])

    assert life.status is not TaskStatus.PENDING
    assert all(attempt.channel in consented for attempt in life.attempts)
    for name in {fact.channel for fact in life.facts}:
        assert life.standing(name).status in TERMINAL


@given(outcomes=OUTCOMES)
def test_what_may_have_been_sent_is_not_sent_again_where_that_would_be_a_double(
    outcomes: list[tuple[Any, float]],
) -> None:
    life = Life(TASK)
    for result, jitter in outcomes:
        if life.status is not TaskStatus.PENDING:
            break
        before = len(life.attempts)
        life.claim(result, jitter)
        doubtful = result is DIED or (isinstance(result, Refused) and result.error is ErrorClass.AMBIGUOUS)
        if len(life.attempts) > before and doubtful and life.attempts[-1].channel != "push":
            while life.status is TaskStatus.PENDING:
                life.claim(Accepted("id"), jitter)
            assert len(life.attempts) == before + 1
            return


@given(outcomes=OUTCOMES, valid_for=st.integers(1, 3600))
def test_nothing_is_begun_after_it_expired(outcomes: list[tuple[Any, float]], valid_for: int) -> None:
    until = NOW + timedelta(seconds=valid_for)
    life = Life(replace(TASK, valid_until=until))
    for result, jitter in outcomes:
        if life.status is not TaskStatus.PENDING:
            break
        begun, moment = len(life.attempts), life.now
        life.claim(result, jitter)
        assert len(life.attempts) == begun or moment < until


def test_a_new_series_begins_where_the_last_one_ended() -> None:
    """A failed delivery that is queued again gets all its attempts, under numbers that go on."""
    refusal = Refused(ErrorClass.TRANSIENT, "R")
    life = Life(replace(TASK, channels=("email",)))
    while life.status is TaskStatus.PENDING:
        life.claim(refusal, 1.0)
    assert life.standing("email").status is Status.FAILED

    life.facts.append(KnownFact("email", POLICY.attempts, Status.QUEUED, 2))
    life.status = TaskStatus.PENDING
    while life.status is TaskStatus.PENDING:
        life.claim(refusal, 1.0)

    assert [attempt.attempt for attempt in life.attempts] == [1, 2, 3, 4, 5, 6]
    assert [attempt.number for attempt in life.attempts] == [1, 2, 3, 1, 2, 3]
    assert life.standing("email").status is Status.FAILED


async def test_what_expired_while_it_waited_for_its_turn_is_not_handed_over() -> None:
    """The sender looks at the clock once more: neither route nor directory is touched."""
    late = Attempt(SUBJECT, "email", "key", 1, ("a@b.example",), "", "", "text/plain", {}, valid_until=NOW)
    nothing: Any = object()
    sender = Sender(directory=nothing, gate=nothing, policy=POLICY)

    step = await sender.send(TENANT, Prepared(Step((), late), CHANNELS, nothing), 30.0)

    assert [(fact.status, fact.attempt) for fact in step.facts] == [(Status.EXPIRED, 1)]
    assert step.end is not None
    assert step.end.status is TaskStatus.CANCELLED


def test_without_a_receipt_the_next_channel_is_tried() -> None:
    life = Life(replace(TASK, receipt_seconds=90))
    life.claim(Accepted("id"), 0.0)
    assert life.now == NOW + timedelta(seconds=90)

    life.claim(Accepted("id"), 0.0)

    assert [attempt.channel for attempt in life.attempts] == ["zalo", "push"]
    assert life.status is TaskStatus.COMPLETED


def test_a_receipt_in_time_is_the_end() -> None:
    life = Life(replace(TASK, receipt_seconds=90))
    life.claim(Accepted("id"), 0.0)
    life.facts.append(KnownFact("zalo", 1, Status.DELIVERED))

    life.claim(Accepted("id"), 0.0)

    assert life.status is TaskStatus.COMPLETED
    assert len(life.attempts) == 1


def test_what_bounced_goes_over_the_next_channel() -> None:
    life = Life(replace(TASK, receipt_seconds=90))
    life.claim(Accepted("id"), 0.0)
    life.facts.append(KnownFact("zalo", 1, Status.BOUNCED))
    life.now = NOW + timedelta(seconds=1)

    life.claim(Accepted("id"), 0.0)

    assert [attempt.channel for attempt in life.attempts] == ["zalo", "push"]
