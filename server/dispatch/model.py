"""Dispatches and deliveries as callers see them. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from server.validation import Violations

DISPATCH_QUEUE: Final = "dispatch"
"""The work queue of plans; the other queues bear the names of channels."""

ONE_PROFILE: Final = "profile"
"""The segment name of an audience of one that a dispatch froze; its version is the same everywhere."""

_LONGEST_ID: Final = 200
_LONGEST_REASON: Final = 1000


@dataclass(frozen=True, slots=True)
class DispatchRequest:
    """What to send to whom; one of `profile_id` and `snapshot_id` is set.

    Args:
        source_request_id: the caller's idempotency key.
        reason: for people; recorded with the plan.
        valid_until: nothing is sent from this time on; None for ever.
    """

    source_request_id: str
    marketing_event_id: str
    profile_id: str | None
    snapshot_id: str | None
    reason: str
    valid_until: datetime | None = None

    def check(self) -> None:
        """Raises:
        InvalidInput: with every fault.
        """
        violations = Violations()
        violations.text("source_request_id", self.source_request_id, maximum=_LONGEST_ID)
        violations.sha256("marketing_event_id", self.marketing_event_id)
        violations.text("reason", self.reason, maximum=_LONGEST_REASON, required=False)
        if self.profile_id is not None:
            violations.text("profile_id", self.profile_id, maximum=_LONGEST_ID)
        elif self.snapshot_id is not None:
            violations.sha256("snapshot_id", self.snapshot_id)
        else:
            violations.add("profile_id", "set exactly one of profile_id and snapshot_id")
        violations.raise_if_any()

    def body(self) -> dict[str, Any]:
        """What must stay the same when the request is repeated; what is optional and not set is left out."""
        until = None if self.valid_until is None else self.valid_until.astimezone(UTC).isoformat()
        return {
            **({} if until is None else {"valid_until": until}),
            "marketing_event_id": self.marketing_event_id,
            "profile_id": self.profile_id,
            "snapshot_id": self.snapshot_id,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Target:
    """What a request refers to, as it stands now; None where there is no such thing."""

    campaign_id: str | None
    marketing_event_status: str | None
    profile_exists: bool
    member_count: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """A dispatch and how far it has come.

    Args:
        status: pending, paused, completed, failed or cancelled.
        input_sha256: fingerprint of the request's body.
        result: what was counted when it ended; None while it is under way.
    """

    plan_task_id: str
    status: str
    marketing_event_id: str
    snapshot_id: str
    member_count: int
    planned_at: datetime
    input_sha256: str
    result: Mapping[str, Any] | None
    decided_count: int = 0
    send_count: int = 0
    duplicate: bool = False
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery as it stands now, in its last series of attempts; `position` is where it comes in a list."""

    position: int
    delivery_key: str
    task_id: str
    plan_task_id: str | None
    marketing_event_id: str
    campaign_id: str | None
    profile_id: str
    snapshot_id: str
    channel: str
    status: str
    reason: str | None
    attempt: int
    series: int
    provider_message_id: str | None
    due_at: datetime | None
    queued_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """One recorded fact about a delivery; `provider_response` is a JSON object."""

    delivery_id: int
    delivery_key: str
    channel: str
    status: str
    attempt: int
    series: int
    reason: str | None
    destination: str | None
    subject: str | None
    body: str | None
    provider_message_id: str | None
    provider_response: str | None
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class DeliveryDetails:
    """A delivery, and everything that was recorded about it, oldest first."""

    delivery: Delivery
    records: tuple[DeliveryRecord, ...]


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries are wanted; None matches everything."""

    campaign_id: str | None = None
    marketing_event_id: str | None = None
    profile_id: str | None = None
    plan_task_id: str | None = None
    status: str | None = None

    def check(self) -> None:
        """Raises:
        InvalidInput: with every fault.
        """
        violations = Violations()
        if self.campaign_id is not None:
            violations.identifier("campaign_id", self.campaign_id)
        if self.marketing_event_id is not None:
            violations.sha256("marketing_event_id", self.marketing_event_id)
        if self.profile_id is not None:
            violations.text("profile_id", self.profile_id, maximum=_LONGEST_ID)
        if self.plan_task_id is not None:
            violations.sha256("plan_task_id", self.plan_task_id)
        violations.raise_if_any()

    def words(self) -> list[str]:
        """The filter as part of a list's name."""
        values = (
            self.campaign_id,
            self.marketing_event_id,
            self.profile_id,
            self.plan_task_id,
            self.status,
        )
        return [value or "" for value in values]
