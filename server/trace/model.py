"""A customer's journey. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from server.paging import Key
from server.validation import Violations

_LONGEST_PROFILE_ID: Final = 200


@dataclass(frozen=True, slots=True)
class BehaviouralEvent:
    """What happened; `attributes` is a JSON object."""

    source_event_id: str
    event_type: str
    occurred_at: datetime
    attributes: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A marketing event that was considered, with the name of its reason."""

    marketing_event_id: str
    event_name: str
    reason: str
    explanation: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, and why; None where nothing is recorded.

    Args:
        status: state of the work that follows from it.
        created_at: when it was recorded, which orders the journey.
        happened_at: time of its event, which orders decisions of one commit.
        erased: whether the person was erased after it.
    """

    task_id: str
    parent_task_id: str | None
    agent_name: str
    outcome: str
    reason_code: str | None
    summary: str | None
    candidates: tuple[Candidate, ...]
    rule_bundle_id: str | None
    decided_at: datetime | None
    due_at: datetime | None
    status: str
    created_at: datetime
    happened_at: datetime
    erased: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The frozen audience of a decision, and whether the profile is in it."""

    snapshot_id: str
    segment_name: str
    segment_version: str
    reason: str
    audience_sha256: str
    member_count: int
    created_at: datetime
    is_member: bool


@dataclass(frozen=True, slots=True)
class Template:
    """A version of a message template."""

    template_id: str
    channel: str
    language: str
    version: int


@dataclass(frozen=True, slots=True)
class MarketingEvent:
    """The definition that was selected, with the versions of its template that are active now."""

    marketing_event_id: str
    event_name: str
    campaign_id: str
    channels: tuple[str, ...]
    template_name: str
    templates: tuple[Template, ...]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One row of the delivery log, without what was rendered. `destination` is personal data."""

    delivery_id: int
    delivery_key: str
    attempt: int
    channel: str
    status: str
    destination: str | None
    reason: str | None
    provider_message_id: str | None
    sent_at: datetime | None
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Step:
    """One decision, with all that led to it and all that followed."""

    event: BehaviouralEvent | None
    decision: Decision
    snapshot: Snapshot | None
    marketing_event: MarketingEvent | None
    deliveries: tuple[Delivery, ...]

    @property
    def key(self) -> Key:
        """Where it stands in the journey."""
        decision = self.decision
        return (decision.created_at.isoformat(), decision.happened_at.isoformat(), decision.task_id)


def check_profile_id(profile_id: str) -> None:
    """Raises:
    InvalidInput: it can not be the id of a profile.
    """
    violations = Violations()
    violations.text("profile_id", profile_id, maximum=_LONGEST_PROFILE_ID)
    violations.raise_if_any()


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a journey: the key of a step."""

    created_at: datetime
    happened_at: datetime
    task_id: str


def parse_position(key: Key) -> Position:
    """The place that a page token names.

    Raises:
        InvalidInput: the token was not made by this server.
    """
    created_at, happened_at, task_id = map(str, key)
    return Position(_moment(created_at), _moment(happened_at), task_id)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    violations = Violations()
    if moment is None or moment.tzinfo is None:
        violations.add("page.page_token", "is not a next_page_token of this list with these filters")
    violations.raise_if_any()
    assert moment is not None
    return moment
