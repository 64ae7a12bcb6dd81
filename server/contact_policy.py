"""How often and when a customer may be contacted: rules that tenants and campaigns have in common. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from typing import Any, Final

from server.validation import Violations

LONGEST_WINDOW_SECONDS: Final = 366 * 86_400
LONGEST_TOPIC: Final = 100
_MOST_CAPS: Final = 20
_DAYS_OF_WEEK: Final = 7
_TIME: Final = re.compile(r"([01]\d|2[0-3]):[0-5]\d", re.ASCII)


@dataclass(frozen=True, slots=True)
class FrequencyCap:
    """At most `maximum` messages to a profile within any window of event time.

    Args:
        channel: whose messages are counted; None counts those of every channel.
        topic: whose messages are counted; None counts those of every topic and of none.
        window_seconds: length of the sliding window.
    """

    channel: str | None
    topic: str | None
    window_seconds: int
    maximum: int


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Local wall times "HH:MM" between which nothing is sent.

    Args:
        end: at or before `start`, it is on the next day.
        days: ISO weekdays (1 is Monday) on which they begin; none means every day.
    """

    start: str
    end: str
    days: tuple[int, ...] = ()

    @property
    def starts_at(self) -> time:
        """The wall time of the beginning.

        Raises:
            ValueError: `check` would have refused it.
        """
        return time.fromisoformat(self.start)

    @property
    def ends_at(self) -> time:
        """The wall time of the end.

        Raises:
            ValueError: `check` would have refused it.
        """
        return time.fromisoformat(self.end)

    @property
    def has_end(self) -> bool:
        """False for 24 hours of every day."""
        return self.start != self.end or 0 < len(set(self.days)) < _DAYS_OF_WEEK

    def check(self, violations: Violations) -> None:
        """Note every fault, under `start`, `end` and `days[i]`."""
        for field, value in (("start", self.start), ("end", self.end)):
            if not _TIME.fullmatch(value):
                violations.add(field, 'must be a local time "HH:MM", 00:00 to 23:59')
        violations.count("days", self.days, lowest=0, highest=_DAYS_OF_WEEK)
        for place, day in enumerate(self.days[:_DAYS_OF_WEEK]):
            if not 1 <= day <= _DAYS_OF_WEEK:
                violations.add(f"days[{place}]", "must be a day of the week")
            elif day in self.days[:place]:
                violations.add(f"days[{place}]", "is there twice; name each day once")
        if not self.has_end:
            violations.add("end", "must differ from start, unless days names some days and not all")

    def document(self) -> dict[str, Any]:
        """As it is stored."""
        return {"start": self.start, "end": self.end, "days": list(self.days)}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> QuietHours:
        """Out of what is stored; documents of before there were days lack them."""
        return cls(document["start"], document["end"], tuple(document.get("days", ())))


@dataclass(frozen=True, slots=True)
class ContactPolicy:
    """Caps and quiet hours of one tenant or campaign."""

    frequency_caps: tuple[FrequencyCap, ...] = ()
    quiet_hours: QuietHours | None = None

    def check(self, violations: Violations) -> None:
        """Note every fault, under `frequency_caps[i]` and `quiet_hours`."""
        violations.count("frequency_caps", self.frequency_caps, lowest=0, highest=_MOST_CAPS)
        for position, cap in enumerate(self.frequency_caps[:_MOST_CAPS]):
            _check_cap(cap, violations.under(f"frequency_caps[{position}]"))
        if self.quiet_hours is not None:
            self.quiet_hours.check(violations.under("quiet_hours"))

    def caps_document(self) -> list[dict[str, Any]]:
        """The caps as they are stored."""
        return [
            {
                "channel": cap.channel,
                "topic": cap.topic,
                "window_seconds": cap.window_seconds,
                "maximum": cap.maximum,
            }
            for cap in self.frequency_caps
        ]

    def quiet_hours_document(self) -> dict[str, Any] | None:
        """The quiet hours as they are stored."""
        return self.quiet_hours.document() if self.quiet_hours else None

    @classmethod
    def from_documents(
        cls, caps: Sequence[Mapping[str, Any]] | None, quiet_hours: Mapping[str, Any] | None
    ) -> ContactPolicy:
        """The policy out of what is stored; caps of before there were topics lack them."""
        return cls(
            tuple(
                FrequencyCap(cap.get("channel"), cap.get("topic"), cap["window_seconds"], cap["maximum"])
                for cap in caps or ()
            ),
            QuietHours.from_document(quiet_hours) if quiet_hours else None,
        )


def _check_cap(cap: FrequencyCap, violations: Violations) -> None:
    if cap.channel is not None:
        violations.channel("channel", cap.channel)
    if cap.topic is not None:
        violations.text("topic", cap.topic, maximum=LONGEST_TOPIC)
    violations.between("window_seconds", cap.window_seconds, 60, LONGEST_WINDOW_SECONDS)
    violations.between("maximum", cap.maximum, 1, 10_000)
