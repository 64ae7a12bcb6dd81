"""What a worker knows of the tasks that it claimed, and what it writes about them. Pure data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

CONSENT_ENDED: Final = "LE002"
"""What PostgreSQL answers when a delivery is queued or begun whose consent has ended."""


class Status(StrEnum):
    """The status of a delivery that a worker records, as it stands in `delivery_log`."""

    QUEUED = "queued"
    SENDING = "sending"
    DEFERRED = "deferred"
    UNKNOWN = "unknown"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    FAILED = "failed"
    SENT = "sent"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    READ = "read"


class Holder(StrEnum):
    """Who holds a delivery back that is due, as it stands in `agent_task.held_by`."""

    CAMPAIGN = "campaign"
    DISPATCH = "dispatch"
    TENANT = "tenant"


class TaskStatus(StrEnum):
    """The status of a task."""

    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Subject:
    """What every row about a delivery names."""

    task_id: str
    marketing_event_id: str
    campaign_id: str | None
    profile_id: str
    snapshot_id: str


@dataclass(frozen=True, slots=True)
class KnownFact:
    """A row of the log, as far as the next step depends on it."""

    channel: str
    attempt: int
    status: Status
    series: int = 1
    sent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ClaimedTask:
    """A decision to send, with the world as it is now.

    Args:
        channels: in order of preference.
        profile: columns and raw attributes, for addresses and templates; empty when the profile is gone.
        addresses: `channel_addresses` of the profile.
        event: the event that was decided on, as templates see it.
        definitions: campaign, marketing event and tenant, as templates see them.
        facts: everything that was recorded about its deliveries.
        tenant_status: as it is now; only an active tenant sends.
        plan_status: of the dispatch that it belongs to; None when an event led to it.
        valid_until: it is not sent from this time on; None for ever.
        receipt_seconds: how long a receipt is waited for before the next channel is tried; None: not at all.
        held_until_us: until when quiet hours held an alert back, in microseconds since 1970; None for everything else.
        digest: the events that one message is about; empty where it is about its own alone.
    """

    subject: Subject
    channels: Sequence[str]
    template_name: str | None
    campaign_status: str | None
    marketing_event_status: str | None
    definitions_version: int
    profile: Mapping[str, Any]
    addresses: Mapping[str, Any]
    language: str | None
    consented: frozenset[str]
    event: Mapping[str, Any]
    definitions: Mapping[str, Any]
    facts: Sequence[KnownFact]
    tenant_status: str | None = "active"
    plan_status: str | None = None
    valid_until: datetime | None = None
    receipt_seconds: int | None = None
    held_until_us: int | None = None
    digest: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Template:
    """An active template of one channel and language; `metadata` is what the channel gets beside the text."""

    template_name: str
    channel: str
    language: str
    subject_template: str | None
    body_template: str
    engine: str
    content_type: str
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DeadAddress:
    """An address of a profile that exists no more, as a provider says."""

    profile_id: str
    channel: str
    address: str


@dataclass(frozen=True, slots=True)
class Fact:
    """One row that says what became of a delivery.

    Args:
        attempt: which attempt it is about; 0 when there was none.
        reason: a code in capitals; None where the status says it all.
        series: which series of attempts; a delivery that is queued again begins a new one.
    """

    subject: Subject
    channel: str
    delivery_key: str
    attempt: int
    status: Status
    reason: str | None = None
    provider_message_id: str | None = None
    provider_response: Mapping[str, Any] | None = None
    sent_at: datetime | None = None
    series: int = 1


@dataclass(frozen=True, slots=True)
class Attempt:
    """A message that is about to be sent.

    Args:
        destinations: at least one address; more where the channel sends to all of them.
        data: the rendered metadata of the template, as far as the channel reads it.
        series: which series of attempts it belongs to.
        before: how many attempts earlier series made.
        valid_until: it is not sent from this time on; None for ever.
        receipt_seconds: after how long without a receipt the next channel is tried; None where it is not.
        members: further deliveries that are in this message (`digests.py`).
    """

    subject: Subject
    channel: str
    delivery_key: str
    attempt: int
    destinations: tuple[str, ...]
    subject_line: str
    body: str
    content_type: str
    data: Mapping[str, Any]
    series: int = 1
    before: int = 0
    valid_until: datetime | None = None
    receipt_seconds: int | None = None
    members: tuple[Attempt, ...] = ()

    @property
    def number(self) -> int:
        """Which attempt of its series it is, from 1."""
        return self.attempt - self.before


@dataclass(frozen=True, slots=True)
class TaskEnd:
    """Where a task goes from here.

    Args:
        due_at: when a task that stays pending is due; None leaves it as it is.
        held_by: who has to let it go on before.
    """

    task_id: str
    status: TaskStatus
    due_at: datetime | None = None
    held_by: Holder | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What to do with a claimed task: record facts, then send, or move the task on.

    Args:
        facts: about channels that were passed over, and the one that it came to.
        attempt: what is to be sent; None when nothing is.
        end: where the task goes when nothing is sent.
        dead: addresses to take from profiles.
        others: the steps of further tasks that what happened is about.
    """

    facts: Sequence[Fact] = ()
    attempt: Attempt | None = None
    end: TaskEnd | None = None
    dead: Sequence[DeadAddress] = ()
    others: Sequence[Step] = ()


def no_later(due_at: datetime, valid_until: datetime | None) -> datetime:
    """When a delivery is looked at again: not after it has expired."""
    return due_at if valid_until is None else min(due_at, valid_until)
