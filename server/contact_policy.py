"""How often and when a customer may be contacted: rules that tenants and campaigns have in common. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from server.validation import Violations

LONGEST_WINDOW_SECONDS: Final = 366 * 86_400
_MOST_CAPS: Final = 20
_TIME: Final = re.compile(r"([01]\d|2[0-3]):[0-5]\d", re.ASCII)


@dataclass(frozen=True, slots=True)
class FrequencyCap:
    """At most `maximum` messages to a profile within any window of event time.

    Args:
        channel: whose messages are counted; None counts those of every channel.
        window_seconds: length of the sliding window.
    """

    channel: str | None
    window_seconds: int
    maximum: int


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Local wall times "HH:MM" between which nothing is sent; an end before the start is on the next day."""

    start: str
    end: str


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
            _check_quiet_hours(self.quiet_hours, violations.under("quiet_hours"))

    def caps_document(self) -> list[dict[str, Any]]:
        """The caps as they are stored."""
        return [
            {"channel": cap.channel, "window_seconds": cap.window_seconds, "maximum": cap.maximum}
            for cap in self.frequency_caps
        ]

    def quiet_hours_document(self) -> dict[str, Any] | None:
        """The quiet hours as they are stored."""
        return {"start": self.quiet_hours.start, "end": self.quiet_hours.end} if self.quiet_hours else None

    @classmethod
    def from_documents(
        cls, caps: Sequence[Mapping[str, Any]] | None, quiet_hours: Mapping[str, Any] | None
    ) -> ContactPolicy:
        """The policy out of what is stored."""
        return cls(
            tuple(
                FrequencyCap(cap.get("channel"), cap["window_seconds"], cap["maximum"]) for cap in caps or ()
            ),
            QuietHours(quiet_hours["start"], quiet_hours["end"]) if quiet_hours else None,
        )


def _check_cap(cap: FrequencyCap, violations: Violations) -> None:
    if cap.channel is not None:
        violations.channel("channel", cap.channel)
    violations.between("window_seconds", cap.window_seconds, 60, LONGEST_WINDOW_SECONDS)
    violations.between("maximum", cap.maximum, 1, 10_000)


def _check_quiet_hours(quiet_hours: QuietHours, violations: Violations) -> None:
    for field, value in (("start", quiet_hours.start), ("end", quiet_hours.end)):
        if not _TIME.fullmatch(value):
            violations.add(field, 'must be a local time "HH:MM", 00:00 to 23:59')
    if quiet_hours.start == quiet_hours.end:
        violations.add("end", "must differ from start")
