"""How far a collection has been read, and where the next run begins. Pure.

A document may become visible after others that are as new or newer: its writer took the time before it wrote, or has
a clock that is behind. `overlap` is the most that this can be. So a run begins that much before the newest time that
was read. Once that time has been known for longer than the overlap, and a run has read the window again since, nothing
can turn up in it any more: the position is settled, and the next run begins right after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from server.sync.sources.arango.settings import TimeFormat
from server.sync.sources.arango.times import Stamp, lowest, moment_of, written_like


class Timing(NamedTuple):
    """How times are written, and by how much a document may become visible late."""

    form: TimeFormat
    overlap: timedelta


class Start(NamedTuple):
    """After which document reading begins: those with this time and a later key, and all with a later time."""

    since: Stamp
    after: str


@dataclass(frozen=True, slots=True)
class Position:
    """The newest document that was read.

    Args:
        at: its time, as the document has it; None before the first.
        key: its key, the last of those with that time; it counts only once the position is settled.
        seen_at: when a document of that time was first read.
        settled: that no document as old as that can turn up any more.
    """

    at: Stamp | None = None
    key: str = ""
    seen_at: datetime | None = None
    settled: bool = False

    @classmethod
    def read(cls, document: Mapping[str, Any], form: TimeFormat) -> Position:
        """The position that a cursor holds; the beginning where it holds none that is good."""
        seen_at = moment_of(document.get("seen_at"), "iso")
        if seen_at is None or moment_of(document.get("at"), form) is None:
            return cls()
        return cls(document["at"], str(document.get("key", "")), seen_at, document.get("settled") is True)

    def document(self) -> dict[str, Any]:
        """As a cursor holds it."""
        seen_at = None if self.seen_at is None else self.seen_at.isoformat()
        return {"at": self.at, "key": self.key, "seen_at": seen_at, "settled": self.settled}

    def start(self, timing: Timing) -> Start:
        """Where a run begins."""
        moment = moment_of(self.at, timing.form)
        if self.at is None or moment is None:
            return Start(lowest(timing.form), "")
        if self.settled:
            return Start(self.at, self.key)
        return Start(written_like(self.at, moment - timing.overlap, timing.form), "")

    def after(self, at: Any, key: str, now: datetime, timing: Timing) -> Position:
        """The position once a document was read: no other for one in the overlap, or one whose time is none yet."""
        moment, known = moment_of(at, timing.form), moment_of(self.at, timing.form)
        if moment is None or moment > now + timing.overlap or (known is not None and moment < known):
            return self
        if moment == known:
            return replace(self, at=at, key=key, settled=False)
        return Position(at, key, now)

    def caught_up(self, started_at: datetime, timing: Timing) -> Position:
        """The position after a run that read everything there was when it started."""
        if self.seen_at is None or started_at <= self.seen_at + timing.overlap:
            return self
        return replace(self, settled=True)
