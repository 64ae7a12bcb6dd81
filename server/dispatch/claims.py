"""What a worker knows of the tasks that it claimed, and what it writes about them. Pure data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """The status of a delivery that a worker records, as it stands in `delivery_log`."""

    QUEUED = "queued"
    SENDING = "sending"
    DEFERRED = "deferred"
    UNKNOWN = "unknown"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"
    FAILED = "failed"
    SENT = "sent"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    READ = "read"


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


@dataclass(frozen=True, slots=True)
class Attempt:
    """A message that is about to be sent.

    Args:
        destinations: at least one address; more where the channel sends to all of them.
        data: the rendered metadata of the template, as far as the channel reads it.
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


@dataclass(frozen=True, slots=True)
class TaskEnd:
    """Where a task goes from here.

    Args:
        due_at: when a task that stays pending is due; None leaves it as it is.
    """

    task_id: str
    status: TaskStatus
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What to do with a claimed task: record facts, then send, or move the task on.

    Args:
        facts: about channels that were passed over, and the one that it came to.
        attempt: what is to be sent; None when nothing is.
        end: where the task goes when nothing is sent.
        dead: addresses to take from profiles.
    """

    facts: Sequence[Fact] = ()
    attempt: Attempt | None = None
    end: TaskEnd | None = None
    dead: Sequence[DeadAddress] = ()
