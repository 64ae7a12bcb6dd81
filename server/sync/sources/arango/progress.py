"""The cursor of a collection: how far changes were read, and what is done now and then besides. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from server.sync.sources.arango.position import Position
from server.sync.sources.arango.settings import ArangoSettings
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
    """All of it.

    Args:
        of: what was read; with another collection or attribute nothing of it holds.
    """

    of: str
    position: Position = field(default=Position())
    undated: Round = field(default=Round())
    sweep: Round = field(default=Round())

    @classmethod
    def read(cls, cursor: Mapping[str, Any], settings: ArangoSettings) -> Progress:
        """What a cursor holds; the beginning where it is empty, or of something else."""
        if cursor.get("of") != settings.identity:
            return cls(settings.identity)
        position = Position.read(cursor, settings.time_form)
        return cls(
            settings.identity, position, Round.read(cursor.get("undated")), Round.read(cursor.get("sweep"))
        )

    def document(self) -> dict[str, Any]:
        """As a cursor holds it."""
        return {
            "of": self.of,
            **self.position.document(),
            "undated": self.undated.document(),
            "sweep": self.sweep.document(),
        }
