"""What happens next to a delivery: the rules that workers follow. Pure: no clock, no I/O.

A task travels over its channels in their order. On each it is tried until the provider has taken it, until
the channel is out of question, or until nobody knows any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from server.dispatch.channels.channel import AddressKind, BadAddress, Channel
from server.dispatch.claims import Attempt, ClaimedTask, Fact, KnownFact, Status, Step, TaskEnd, TaskStatus
from server.dispatch.rendering import CannotRender, TemplateShelf, render_message, variables_of
from server.platform.ids import key_id

PAUSE_SECONDS: Final = 300
"""How long a delivery of a paused campaign waits before it is looked at again."""

MOST_RESENDS: Final = 5
"""How many attempts of which nobody came back may be made where a resend is safe."""

_PASSED: Final = frozenset({Status.FAILED, Status.SUPPRESSED})
_OVER: Final = frozenset(
    {Status.SENT, Status.DELIVERED, Status.READ, Status.BOUNCED, Status.UNKNOWN, Status.CANCELLED}
)
_COLUMN: Final = {AddressKind.EMAIL: "primary_email", AddressKind.PHONE: "mobile_number"}


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
    for channel in task.channels:
        travel = _Travel(tenant_id, task, channel)
        if travel.passed:
            continue
        settled = travel.settled(channels.get(channel)) or travel.held(now)
        if settled is not None:
            return Step((*facts, *settled.facts), None, settled.end)
        try:
            attempt = travel.attempt(channels.get(channel), templates)
        except _OutOfQuestion as reason:
            facts.append(travel.fact(reason.status, reason.code))
            continue
        queued = [] if travel.known else [travel.fact(Status.QUEUED, "FALLBACK", attempt=0)]
        return Step((*facts, *queued), attempt)
    return Step(facts, None, TaskEnd(task.subject.task_id, _exhausted(task, facts)))


class _OutOfQuestion(Exception):
    """This channel cannot be used for this task."""

    def __init__(self, status: Status, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


class _Travel:
    """One task over one channel."""

    def __init__(self, tenant_id: UUID, task: ClaimedTask, channel: str) -> None:
        self._task = task
        self._channel = channel
        self._key = key_id("delivery", tenant_id, task.subject.task_id, channel)
        self.known = [fact for fact in task.facts if fact.channel == channel]
        self._begun = max((f.attempt for f in self.known if f.status is Status.SENDING), default=0)

    @property
    def passed(self) -> bool:
        """Whether this channel was found out of question before."""
        return any(fact.status in _PASSED for fact in self.known)

    def settled(self, channel: Channel | None) -> Step | None:
        """The end, when the log has it already, or when somebody began and never came back, unless it can be
        sent again without harm.
        """
        task_id = self._task.subject.task_id
        over = [fact for fact in self.known if fact.status in _OVER]
        if over:
            cancelled = all(fact.status is Status.CANCELLED for fact in over)
            return Step((), None, TaskEnd(task_id, _ended(cancelled)))
        if self._begun and not any(map(self._answers_last_attempt, self.known)):
            if channel is not None and channel.resend_safe and self._begun < MOST_RESENDS:
                return None
            lost = self.fact(Status.UNKNOWN, "WORKER_LOST", attempt=self._begun)
            return Step([lost], None, TaskEnd(task_id, TaskStatus.COMPLETED))
        return None

    def held(self, now: datetime) -> Step | None:
        """Waiting, or the end, when the campaign or the marketing event is not in force."""
        task = self._task
        if task.marketing_event_status == "cancelled":
            return self._called_off("MARKETING_EVENT_CANCELLED")
        if task.campaign_status == "active":
            return None
        if task.campaign_status == "paused":
            later = TaskEnd(task.subject.task_id, TaskStatus.PENDING, now + timedelta(seconds=PAUSE_SECONDS))
            return Step([self.fact(Status.DEFERRED, "CAMPAIGN_PAUSED")], None, later)
        return self._called_off("CAMPAIGN_NOT_ACTIVE")

    def attempt(self, channel: Channel | None, templates: TemplateShelf) -> Attempt:
        """The message to send now.

        Raises:
            _OutOfQuestion: there is none for this channel.
        """
        task = self._task
        if channel is None:
            raise _OutOfQuestion(Status.FAILED, "CHANNEL_NOT_SERVED")
        if self._channel not in task.consented:
            raise _OutOfQuestion(Status.SUPPRESSED, "NO_CONSENT")
        destinations = _destinations(task, channel)
        template = templates.find(task.template_name, self._channel, task.language)
        if template is None:
            raise _OutOfQuestion(Status.FAILED, "TEMPLATE_MISSING")
        try:
            rendered = render_message(template, variables_of(task), channel.metadata)
        except CannotRender as error:
            raise _OutOfQuestion(Status.FAILED, error.reason) from error
        return Attempt(
            subject=task.subject,
            channel=self._channel,
            delivery_key=self._key,
            attempt=self._begun + 1,
            destinations=destinations,
            subject_line=rendered.subject,
            body=rendered.body,
            content_type=rendered.content_type,
            data=rendered.data,
        )

    def fact(self, status: Status, reason: str, *, attempt: int | None = None) -> Fact:
        """A fact about this delivery; about its last attempt unless another is named."""
        number = self._begun if attempt is None else attempt
        return Fact(self._task.subject, self._channel, self._key, number, status, reason)

    def _called_off(self, reason: str) -> Step:
        end = TaskEnd(self._task.subject.task_id, TaskStatus.CANCELLED)
        return Step([self.fact(Status.CANCELLED, reason)], None, end)

    def _answers_last_attempt(self, fact: KnownFact) -> bool:
        return fact.attempt == self._begun and fact.status is Status.DEFERRED


def _destinations(task: ClaimedTask, channel: Channel) -> tuple[str, ...]:
    """The address that the channel accepts; all of them where it sends to all.

    Raises:
        _OutOfQuestion: there is none, or none is an address.
    """
    addresses = _addresses(task, channel)
    if not addresses:
        raise _OutOfQuestion(Status.FAILED, "NO_ADDRESS")
    accepted = []
    for address in addresses if channel.multicast else addresses[:1]:
        with suppress(BadAddress):
            accepted.append(channel.accept_address(address))
    if not accepted:
        raise _OutOfQuestion(Status.FAILED, "BAD_ADDRESS")
    return tuple(dict.fromkeys(accepted))


def _addresses(task: ClaimedTask, channel: Channel) -> list[str]:
    """What the profile names for the channel; else the column that the channel needs."""
    named = task.addresses.get(channel.name)
    listed = named if isinstance(named, list) else [named]
    for found in (listed, [task.profile.get(_COLUMN.get(channel.needs, ""))]):
        addresses = [a.strip() for a in found if isinstance(a, str) and a.strip()]
        if addresses:
            return addresses
    return []


def _ended(cancelled: bool) -> TaskStatus:
    return TaskStatus.CANCELLED if cancelled else TaskStatus.COMPLETED


def _exhausted(task: ClaimedTask, facts: list[Fact]) -> TaskStatus:
    """How a task ends that no channel is left for: called off when only consent was in the way."""
    statuses = {fact.status for fact in task.facts} | {fact.status for fact in facts}
    return TaskStatus.CANCELLED if statuses & _PASSED == {Status.SUPPRESSED} else TaskStatus.FAILED
