"""What happens next to a delivery: the rules that workers follow. Pure: no clock, no I/O.

A task travels over its channels in their order. On each it is tried until the provider has taken it, until
the channel is out of question, or until nobody knows any more. Where receipts are waited for, it goes on to the
next channel also when none came.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from server.dispatch.channels.channel import Channel
from server.dispatch.claims import (
    Attempt,
    ClaimedTask,
    Fact,
    Holder,
    KnownFact,
    Status,
    Step,
    TaskEnd,
    TaskStatus,
    no_later,
)
from server.dispatch.destinations import NoDestination, destinations_of
from server.dispatch.rendering import CannotRender, TemplateShelf, render_message, variables_of
from server.platform.ids import key_id

PAUSE_SECONDS: Final = 300
"""How long a delivery that is held back waits before it is looked at again, unless it is let go before."""

MOST_RESENDS: Final = 5
"""How many attempts of which nobody came back may be made where a resend is safe."""

TAKEN: Final = frozenset({Status.SENT, Status.DELIVERED, Status.READ, Status.BOUNCED})
"""A provider has the message, or had it."""

_ARRIVED: Final = frozenset({Status.DELIVERED, Status.READ})
_PASSED: Final = frozenset({Status.FAILED, Status.SUPPRESSED})
_OVER: Final = frozenset({Status.UNKNOWN, Status.CANCELLED, Status.EXPIRED})


def next_step(
    tenant_id: UUID,
    task: ClaimedTask,
    *,
    channels: Mapping[str, Channel],
    templates: TemplateShelf,
    now: datetime,
) -> Step:
    """What to do with a task that was just claimed."""
    facts: list[Fact] = []
    why_queued = "FALLBACK"
    for name in task.channels:
        travel = _Travel(tenant_id, task, name, channels.get(name))
        if travel.passed:
            continue
        if travel.without_receipt(now):
            why_queued = "NO_RECEIPT"
            continue
        settled = travel.settled() or travel.called_off() or travel.held(now)
        if settled is not None:
            return Step((*facts, *settled.facts), None, settled.end)
        try:
            attempt = travel.attempt(templates)
        except _OutOfQuestion as reason:
            facts.append(travel.fact(reason.status, reason.code))
            continue
        queued = [] if travel.known else [travel.fact(Status.QUEUED, why_queued, attempt=0)]
        return Step((*facts, *queued), attempt)
    return Step(facts, None, TaskEnd(task.subject.task_id, _exhausted(task, facts)))


class _OutOfQuestion(Exception):
    """This channel cannot be used for this task."""

    def __init__(self, status: Status, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


class _Travel:
    """One task over one channel. Only the last series of attempts counts, and what a provider took in any."""

    def __init__(self, tenant_id: UUID, task: ClaimedTask, name: str, channel: Channel | None) -> None:
        self._task = task
        self._task_id = task.subject.task_id
        self._name = name
        self._channel = channel
        self._key = key_id("delivery", tenant_id, self._task_id, name)
        self.known = [fact for fact in task.facts if fact.channel == name]
        self._series = max((fact.series for fact in self.known), default=1)
        self._latest = [fact for fact in self.known if fact.series == self._series]
        self._before = _last_attempt(fact for fact in self.known if fact.series < self._series)
        self._begun = max(_last_attempt(self._latest), self._before)

    @property
    def passed(self) -> bool:
        """Whether this channel was found out of question before."""
        if any(fact.status in TAKEN for fact in self.known):
            return self._may_fall_back and any(fact.status is Status.BOUNCED for fact in self.known)
        return any(fact.status in _PASSED for fact in self._latest)

    def without_receipt(self, now: datetime) -> bool:
        """Whether the provider took the message, and said nothing more in the time that it has."""
        until = self._receipt_until()
        return until is not None and until <= now

    def settled(self) -> Step | None:
        """The end, when the log has it already, or when somebody began and never came back, unless it can be
        sent again without harm; or the wait for a receipt.
        """
        until = self._receipt_until()
        if until is not None:
            return Step((), None, TaskEnd(self._task_id, TaskStatus.PENDING, until))
        if any(fact.status in TAKEN for fact in self.known):
            return Step((), None, TaskEnd(self._task_id, TaskStatus.COMPLETED))
        over = {fact.status for fact in self._latest} & _OVER
        if over:
            status = TaskStatus.COMPLETED if Status.UNKNOWN in over else TaskStatus.CANCELLED
            return Step((), None, TaskEnd(self._task_id, status))
        return self._lost()

    def called_off(self) -> Step | None:
        """The end, when what it belongs to is not in force any more."""
        if self._task.plan_status == "cancelled":
            return self._ended(Status.CANCELLED, "DISPATCH_CANCELLED")
        if self._task.marketing_event_status == "cancelled":
            return self._ended(Status.CANCELLED, "MARKETING_EVENT_CANCELLED")
        if self._task.campaign_status not in ("active", "paused"):
            return self._ended(Status.CANCELLED, "CAMPAIGN_NOT_ACTIVE")
        return None

    def held(self, now: datetime) -> Step | None:
        """The end, when it came too late; or the wait for what holds it back."""
        task = self._task
        if task.valid_until is not None and task.valid_until <= now:
            return self._ended(Status.EXPIRED, "VALIDITY_ENDED")
        holder = _holder(task)
        if holder is None:
            return None
        due_at = no_later(now + timedelta(seconds=PAUSE_SECONDS), task.valid_until)
        later = TaskEnd(self._task_id, TaskStatus.PENDING, due_at, holder)
        return Step([self.fact(Status.DEFERRED, HELD_REASONS[holder])], None, later)

    def attempt(self, templates: TemplateShelf) -> Attempt:
        """The message to send now.

        Raises:
            _OutOfQuestion: there is none for this channel.
        """
        task, channel = self._task, self._channel
        if channel is None:
            raise _OutOfQuestion(Status.FAILED, "CHANNEL_NOT_SERVED")
        if self._name not in task.consented:
            raise _OutOfQuestion(Status.SUPPRESSED, "NO_CONSENT")
        template = templates.find(task.template_name, self._name, task.language)
        try:
            destinations = destinations_of(task, channel)
            if template is None:
                raise _OutOfQuestion(Status.FAILED, "TEMPLATE_MISSING")
            rendered = render_message(template, variables_of(task), channel.metadata)
        except (NoDestination, CannotRender) as error:
            raise _OutOfQuestion(Status.FAILED, error.reason) from error
        return Attempt(
            subject=task.subject,
            channel=self._name,
            delivery_key=self._key,
            attempt=self._begun + 1,
            destinations=destinations,
            subject_line=rendered.subject,
            body=rendered.body,
            content_type=rendered.content_type,
            data=rendered.data,
            series=self._series,
            before=self._before,
            valid_until=task.valid_until,
            receipt_seconds=task.receipt_seconds if self._may_fall_back else None,
        )

    def fact(self, status: Status, reason: str, *, attempt: int | None = None) -> Fact:
        """A fact about this delivery; about its last attempt unless another is named."""
        number = self._begun if attempt is None else attempt
        subject = self._task.subject
        return Fact(subject, self._name, self._key, number, status, reason, series=self._series)

    @property
    def _may_fall_back(self) -> bool:
        """Whether this channel's receipts decide on a further one."""
        return (
            self._task.receipt_seconds is not None
            and self._name != self._task.channels[-1]
            and self._channel is not None
            and self._channel.receipts
        )

    def _receipt_until(self) -> datetime | None:
        """Until when a receipt is waited for; None where nothing is waited for."""
        statuses = {fact.status for fact in self.known}
        sent = [fact.sent_at for fact in self.known if fact.sent_at is not None]
        if not sent or not self._may_fall_back or Status.SENT not in statuses or statuses & _ARRIVED:
            return None
        assert self._task.receipt_seconds is not None
        return max(sent) + timedelta(seconds=self._task.receipt_seconds)

    def _lost(self) -> Step | None:
        """What becomes of an attempt of which nobody came back."""
        made = self._begun - self._before
        if not made or any(map(self._answers_last_attempt, self._latest)):
            return None
        if self._channel is not None and self._channel.resend_safe and made < MOST_RESENDS:
            return None
        lost = self.fact(Status.UNKNOWN, "WORKER_LOST")
        return Step([lost], None, TaskEnd(self._task_id, TaskStatus.COMPLETED))

    def _ended(self, status: Status, reason: str) -> Step:
        """Called off, unless an earlier channel has done the work already: then nothing was to follow."""
        if any(fact.status in TAKEN for fact in self._task.facts):
            facts = [self.fact(status, reason)] if self.known else []
            return Step(facts, None, TaskEnd(self._task_id, TaskStatus.COMPLETED))
        return Step([self.fact(status, reason)], None, TaskEnd(self._task_id, TaskStatus.CANCELLED))

    def _answers_last_attempt(self, fact: KnownFact) -> bool:
        return fact.attempt == self._begun and fact.status is Status.DEFERRED


HELD_REASONS: Final[Mapping[Holder, str]] = {
    Holder.TENANT: "TENANT_SUSPENDED",
    Holder.CAMPAIGN: "CAMPAIGN_PAUSED",
    Holder.DISPATCH: "DISPATCH_PAUSED",
}


def _holder(task: ClaimedTask) -> Holder | None:
    """What holds the task back that may let it go again."""
    if task.tenant_status != "active":
        return Holder.TENANT
    if task.campaign_status == "paused":
        return Holder.CAMPAIGN
    return Holder.DISPATCH if task.plan_status == "paused" else None


def _last_attempt(facts: Iterable[KnownFact]) -> int:
    return max((fact.attempt for fact in facts if fact.status is Status.SENDING), default=0)


def _exhausted(task: ClaimedTask, facts: Sequence[Fact]) -> TaskStatus:
    """How a task ends that no channel is left for: called off when only consent was in the way."""
    statuses = {fact.status for fact in task.facts} | {fact.status for fact in facts}
    if statuses & TAKEN:
        return TaskStatus.COMPLETED
    return TaskStatus.CANCELLED if statuses & _PASSED == {Status.SUPPRESSED} else TaskStatus.FAILED
