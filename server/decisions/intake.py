"""From what a caller sent to an event that can be decided, or to every fault that it has. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from server.decisions.model import DispatchTarget, Event
from server.decisions.reservation.limits import microseconds
from server.errors import FieldViolation, InvalidInput
from server.platform.ids import key_id
from server.validation import EARLIEST, Violations, plain_document

LARGEST_ID: Final = 200
LARGEST_TYPE: Final = 100
LARGEST_ATTRIBUTES: Final = 16 * 1024
_AHEAD: Final = timedelta(days=1)
DISPATCH_EVENT_TYPE: Final = "leo.dispatch"


class IncomingEvent(NamedTuple):
    """An event as the caller sent it. `attributes` is a JSON object in UTF-8, or empty."""

    source_event_id: str
    profile_id: str
    event_type: str
    occurred_at: datetime | None
    attributes: bytes


def accept(tenant_id: UUID, incoming: IncomingEvent, path: str, now: datetime) -> Event:
    """Check an event and give it its identity.

    Args:
        path: where the event stands in the request, e.g. `events[3]`.
        now: the clock, which bounds `occurred_at`.

    Raises:
        InvalidInput: with every fault of the event.
    """
    attributes = plain_document(incoming.attributes, maximum=LARGEST_ATTRIBUTES)
    if attributes is None or not _is_sound(incoming, now):
        attributes = _checked_attributes(incoming, path, now)
    source_event_id, profile_id, event_type, occurred_at, _ = incoming
    assert occurred_at is not None, "both ways to check refuse its absence"
    canonical = orjson.dumps(attributes, option=orjson.OPT_SORT_KEYS)
    return Event(
        source_event_id,
        profile_id,
        event_type,
        occurred_at,
        attributes,
        canonical,
        task_id(tenant_id, source_event_id),
        key_id(
            "event_body",
            tenant_id,
            profile_id,
            event_type,
            str(microseconds(occurred_at)),
            canonical.decode(),
        ),
    )


def _is_sound(incoming: IncomingEvent, now: datetime) -> bool:
    """Whether there is nothing to complain of, without collecting what: the usual case, for a third of the time."""
    source_event_id, profile_id, event_type, occurred_at, _ = incoming
    return (
        bool(source_event_id.strip() and profile_id.strip() and event_type.strip())
        and len(source_event_id) <= LARGEST_ID
        and len(profile_id) <= LARGEST_ID
        and len(event_type) <= LARGEST_TYPE
        and "\0" not in source_event_id
        and "\0" not in profile_id
        and "\0" not in event_type
        and event_type != DISPATCH_EVENT_TYPE
        and occurred_at is not None
        and EARLIEST <= occurred_at <= now + _AHEAD
    )


def _checked_attributes(incoming: IncomingEvent, path: str, now: datetime) -> dict[str, Any]:
    """The attributes of an event without a fault.

    Raises:
        InvalidInput: with every fault of the event.
    """
    violations = Violations(path)
    violations.text("source_event_id", incoming.source_event_id, maximum=LARGEST_ID)
    violations.text("profile_id", incoming.profile_id, maximum=LARGEST_ID)
    violations.text("event_type", incoming.event_type, maximum=LARGEST_TYPE)
    violations.moment("occurred_at", incoming.occurred_at, latest=now + _AHEAD)
    attributes = violations.document("attributes", incoming.attributes, maximum=LARGEST_ATTRIBUTES)
    if incoming.occurred_at is None:
        violations.add("occurred_at", "is required: when the event happened")
    if incoming.event_type == DISPATCH_EVENT_TYPE:
        violations.add("event_type", f'"{DISPATCH_EVENT_TYPE}" is what dispatches use; choose another')
    violations.raise_if_any()
    return attributes


def task_id(tenant_id: UUID, source_event_id: str) -> str:
    """Id of the decision on an event."""
    return key_id("task", tenant_id, source_event_id)


def decision_id(tenant_id: UUID, *, task: str, source_event_id: str) -> str:
    """The id of the decision that a caller means, who knows its id or that of the event.

    Raises:
        InvalidInput: not exactly one of the two, or no id of a decision.
    """
    if bool(task) == bool(source_event_id):
        raise InvalidInput([FieldViolation("task_id", "set exactly one of task_id and source_event_id")])
    if task:
        violations = Violations()
        violations.sha256("task_id", task)
        violations.raise_if_any()
    return task or task_id(tenant_id, source_event_id)


def member_events(
    tenant_id: UUID, target: DispatchTarget, profile_ids: Sequence[str], occurred_at: datetime
) -> list[Event]:
    """The events by which a dispatch asks for a decision on each member of its audience."""
    return [_member_event(tenant_id, target, profile_id, occurred_at) for profile_id in profile_ids]


def _member_event(tenant_id: UUID, target: DispatchTarget, profile_id: str, occurred_at: datetime) -> Event:
    source_event_id = f"dispatch:{target.plan_task_id}:{profile_id}"
    return Event(
        source_event_id=source_event_id,
        profile_id=profile_id,
        event_type=DISPATCH_EVENT_TYPE,
        occurred_at=occurred_at,
        attributes={},
        attributes_json=b"{}",
        task_id=task_id(tenant_id, source_event_id),
        input_sha256=key_id(
            "dispatch_body", tenant_id, target.marketing_event_id, target.snapshot_id, profile_id
        ),
        dispatch=target,
    )
