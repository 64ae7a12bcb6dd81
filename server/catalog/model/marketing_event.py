"""A marketing event: what may happen. Its id is its content, so a changed one is another one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from server.contact_policy import LONGEST_TOPIC, LONGEST_WINDOW_SECONDS
from server.validation import Violations

EVENT_TYPES: Final = ("BROADCAST", "TRIGGER", "API")
_MOST_CHANNELS: Final = 10
_HIGHEST_PRIORITY: Final = 1_000_000
_LONGEST_VALIDITY_SECONDS: Final = 31_536_000
_LONGEST_RECEIPT_SECONDS: Final = 604_800


@dataclass(frozen=True, slots=True)
class MarketingEvent:
    """A definition, as the caller wants it or as it is stored (then with id and times).

    Args:
        event_type: one of `EVENT_TYPES`, empty when the caller gave none.
        channels: in the order in which they are tried.
        trigger_event_type: the type of customers' events it is a candidate for; None for every type.
        topic: what it is about, for caps that count one topic; None is counted by none of them.
        valid_for_seconds: how long after the event its message may still be sent; None for ever.
        receipt_seconds: how long a receipt is waited for before the next channel is tried; None: not at all.
        condition: JSON, as the caller sent it or in its canonical form; None always holds.
    """

    campaign_id: str
    event_name: str
    event_type: str
    channels: tuple[str, ...]
    template_name: str
    trigger_event_type: str | None = None
    topic: str | None = None
    valid_for_seconds: int | None = None
    receipt_seconds: int | None = None
    condition: bytes | None = None
    priority: int = 0
    cooldown_seconds: int = 0
    start_at: datetime | None = None
    end_at: datetime | None = None
    description: str = ""
    status: str = "active"
    marketing_event_id: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None

    def check(self, violations: Violations) -> None:
        """Note every fault but those of the condition."""
        violations.identifier("campaign_id", self.campaign_id)
        violations.text("event_name", self.event_name, maximum=200)
        violations.one_of("event_type", self.event_type, EVENT_TYPES)
        if self.topic is not None:
            violations.text("topic", self.topic, maximum=LONGEST_TOPIC)
        violations.text("template_name", self.template_name, maximum=200)
        violations.text("description", self.description, maximum=4000, required=False)
        violations.between("priority", self.priority, -_HIGHEST_PRIORITY, _HIGHEST_PRIORITY)
        violations.between("cooldown_seconds", self.cooldown_seconds, 0, LONGEST_WINDOW_SECONDS)
        if self.valid_for_seconds is not None:
            violations.between("valid_for_seconds", self.valid_for_seconds, 1, _LONGEST_VALIDITY_SECONDS)
        if self.receipt_seconds is not None:
            violations.between("receipt_seconds", self.receipt_seconds, 1, _LONGEST_RECEIPT_SECONDS)
        violations.one_of("status", self.status, ("planned", "active"))
        violations.period(self.start_at, self.end_at)
        self._check_channels(violations)
        self._check_trigger(violations)

    def content(self, condition: dict[str, object] | None) -> dict[str, object]:
        """What the id is made of: everything but status and times.

        What is optional and not set is left out: a definition keeps the id that it had before there was such a field.

        Args:
            condition: the condition in its canonical form.
        """
        optional = {
            "topic": self.topic,
            "valid_for_seconds": self.valid_for_seconds,
            "receipt_seconds": self.receipt_seconds,
        }
        return {
            **{name: value for name, value in optional.items() if value is not None},
            "campaign_id": self.campaign_id,
            "event_name": self.event_name,
            "event_type": self.event_type,
            "channels": list(self.channels),
            "trigger_event_type": self.trigger_event_type,
            "condition": condition,
            "template_name": self.template_name,
            "priority": self.priority,
            "cooldown_seconds": self.cooldown_seconds,
            "start_at": _text(self.start_at),
            "end_at": _text(self.end_at),
            "description": self.description,
        }

    def _check_channels(self, violations: Violations) -> None:
        violations.count("channels", self.channels, lowest=1, highest=_MOST_CHANNELS)
        for place, channel in enumerate(self.channels[:_MOST_CHANNELS]):
            violations.channel(f"channels[{place}]", channel)
            if channel in self.channels[:place]:
                violations.add(f"channels[{place}]", "is there twice; name each channel once")

    def _check_trigger(self, violations: Violations) -> None:
        if self.trigger_event_type is None:
            return
        violations.text("trigger_event_type", self.trigger_event_type, maximum=100)
        if self.event_type != "TRIGGER":
            violations.add("trigger_event_type", "only a TRIGGER has one; leave it empty")


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()
