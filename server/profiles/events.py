"""From a behavioural event as a caller sent it to its row, or to every fault that it has. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from server.errors import FieldViolation
from server.platform.ids import key_id
from server.profiles.rows import EventRow
from server.validation import EARLIEST, Violations, plain_document

_LONGEST_ID: Final = 200
_LONGEST_TYPE: Final = 100
_LARGEST_ATTRIBUTES: Final = 16 * 1024
_RESERVED_TYPE: Final = "leo.dispatch"
_SENTIMENTS: Final = (None, -1, 0, 1)


class IncomingEvent(NamedTuple):
    """An event as the caller sent it. `attributes` is a JSON object in UTF-8, or empty."""

    source_event_id: str
    profile_id: str
    event_type: str
    occurred_at: datetime | None
    entity_type: str
    entity_id: str
    sentiment: int | None
    attributes: bytes


class EventIntake:
    """Takes in the events of one request: `rows` of the good ones, `refused` by place with their faults.

    Args:
        latest: nothing can have happened after this moment.
    """

    def __init__(self, tenant_id: UUID, *, latest: datetime) -> None:
        self.rows: list[EventRow] = []
        self.refused: dict[int, tuple[FieldViolation, ...]] = {}
        self._tenant_id = tenant_id
        self._latest = latest
        self._seen: set[str] = set()

    def take(self, place: int, event: IncomingEvent) -> None:
        """Check an event; paths of its faults begin at `events[place]`."""
        plain = plain_document(event.attributes, maximum=_LARGEST_ATTRIBUTES)
        if plain is None or not _is_sound(event, self._latest) or event.source_event_id in self._seen:
            faults = self._faults(place, event)
            if faults:
                self.refused[place] = faults
                return
        self._seen.add(event.source_event_id)
        self.rows.append(self._row(event))

    def refuse_erased(self, events: Sequence[IncomingEvent], erased: Collection[str]) -> None:
        """Refuse the good ones among all events of the request that are of erased people."""
        places = [place for place in range(len(events)) if place not in self.refused]
        rows = zip(places, self.rows, strict=True)
        self.rows = [row for place, row in rows if events[place].profile_id not in erased]
        for place in places:
            if events[place].profile_id in erased:
                fault = FieldViolation(f"events[{place}].profile_id", "was erased: nothing of it is kept")
                self.refused[place] = (fault,)

    def _row(self, event: IncomingEvent) -> EventRow:
        (
            source_event_id,
            profile_id,
            event_type,
            occurred_at,
            entity_type,
            entity_id,
            sentiment,
            attributes,
        ) = event
        assert occurred_at is not None, "both ways to check refuse its absence"
        return (
            self._tenant_id,
            key_id("event", self._tenant_id, source_event_id),
            profile_id,
            source_event_id,
            event_type,
            entity_type or None,
            entity_id or None,
            sentiment,
            attributes or b"{}",
            occurred_at,
        )

    def _faults(self, place: int, event: IncomingEvent) -> tuple[FieldViolation, ...]:
        violations = Violations(f"events[{place}]")
        violations.text("source_event_id", event.source_event_id, maximum=_LONGEST_ID)
        violations.text("profile_id", event.profile_id, maximum=_LONGEST_ID)
        violations.text("event_type", event.event_type, maximum=_LONGEST_TYPE)
        violations.text("entity_type", event.entity_type, maximum=_LONGEST_TYPE, required=False)
        violations.text("entity_id", event.entity_id, maximum=_LONGEST_ID, required=False)
        violations.moment("occurred_at", event.occurred_at, latest=self._latest)
        violations.document("attributes", event.attributes, maximum=_LARGEST_ATTRIBUTES)
        if event.occurred_at is None:
            violations.add("occurred_at", "is required: when the event happened")
        if event.event_type == _RESERVED_TYPE:
            violations.add("event_type", f'"{_RESERVED_TYPE}" is what dispatches use; choose another')
        if event.sentiment not in _SENTIMENTS:
            violations.add("sentiment", "must be -1, 0 or 1")
        if event.source_event_id in self._seen:
            violations.add("source_event_id", "is in the request twice")
        return violations.found


def _is_sound(event: IncomingEvent, latest: datetime) -> bool:
    """Whether there is nothing to complain of, without collecting what: the usual case, for a third of the time."""
    source_event_id, profile_id, event_type, occurred_at, entity_type, entity_id, sentiment, _ = event
    return (
        bool(source_event_id.strip() and profile_id.strip() and event_type.strip())
        and len(source_event_id) <= _LONGEST_ID
        and len(profile_id) <= _LONGEST_ID
        and len(event_type) <= _LONGEST_TYPE
        and len(entity_type) <= _LONGEST_TYPE
        and len(entity_id) <= _LONGEST_ID
        and "\0" not in source_event_id + profile_id + event_type + entity_type + entity_id
        and event_type != _RESERVED_TYPE
        and sentiment in _SENTIMENTS
        and occurred_at is not None
        and EARLIEST <= occurred_at <= latest
    )
