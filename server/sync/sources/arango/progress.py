"""The cursor of a collection: how far changes were read, and what is done now and then besides. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from server.sync.sources.arango.position import Position
from server.sync.sources.arango.settings import TimeFormat
from server.sync.sources.arango.times import moment_of


@dataclass(frozen=True, slots=True)
class Round:
    """Something that goes over everything, again and again.

    Args:
        done_at: when it last came to its end.
        after: how far it is; empty between two rounds.
    """

    done_at: datetime | None = None
    after: str = ""

    @classmethod
    def read(cls, document: Any) -> Round:
        """As a cursor holds it; a new one where it holds none."""
        if not isinstance(document, Mapping):
            return cls()
        return cls(moment_of(document.get("done_at"), "iso"), str(document.get("after", "")))

    def document(self) -> dict[str, Any]:
        """As a cursor holds it."""
        return {"done_at": None if self.done_at is None else self.done_at.isoformat(), "after": self.after}

    def is_due(self, now: datetime, every_seconds: int) -> bool:
        """Whether it is under way, or its time has come."""
        is_over = self.done_at is None or now >= self.done_at + timedelta(seconds=every_seconds)
        return bool(self.after) or is_over


@dataclass(frozen=True, slots=True)
class Progress:
    """All of it."""

    position: Position = field(default=Position())
    undated: Round = field(default=Round())
    sweep: Round = field(default=Round())

    @classmethod
    def read(cls, cursor: Mapping[str, Any], form: TimeFormat) -> Progress:
        """What a cursor holds; the beginning where it is empty."""
        position = Position.read(cursor, form)
        return cls(position, Round.read(cursor.get("undated")), Round.read(cursor.get("sweep")))

    def document(self) -> dict[str, Any]:
        """As a cursor holds it."""
        return {
            **self.position.document(),
            "undated": self.undated.document(),
            "sweep": self.sweep.document(),
        }
