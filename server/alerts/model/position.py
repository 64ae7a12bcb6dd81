"""How far a watcher has read: firings are read by what their transactions had committed, so that none is missed.

Numbers of transactions do not tell in which order they were committed: one that began early may end late. So a
position is a snapshot of PostgreSQL, "everything that was committed then". Between two snapshots, firings are in the
order of (transaction, task), which no later commit changes.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import orjson

_SNAPSHOT: Final = re.compile(r"([0-9]{1,19}):([0-9]{1,19}):((?:[0-9]{1,19}(?:,[0-9]{1,19})*)?)")
_TASK: Final = re.compile(r"[0-9a-f]{64}|")
_LARGEST: Final = 2**63 - 1
_LONGEST_TOKEN: Final = 65_536


@dataclass(frozen=True, slots=True)
class Place:
    """Where a firing stands among others; an empty task stands before all of its transaction."""

    xid: int
    task_id: str


@dataclass(frozen=True, slots=True)
class Position:
    """All firings that `seen` shows were read, and of those that only `until` shows the ones up to `last`.

    Args:
        seen, until: snapshots in PostgreSQL's text form; the same one twice where nothing is half read.
    """

    seen: str
    until: str
    last: Place

    @classmethod
    def after(cls, snapshot: str) -> Position:
        """Everything that a snapshot shows was read."""
        return cls(snapshot, snapshot, Place(_xmin(snapshot), ""))

    @classmethod
    def parse(cls, token: str) -> Position | None:
        """The position of a token; None where it is none of ours."""
        match _parts(token):
            case [str(seen), str(until), int(xid), str(task_id)]:
                sound = is_snapshot(seen) and is_snapshot(until) and 0 <= xid <= _LARGEST
                place = Place(xid, task_id)
                return cls(seen, until, place) if sound and _TASK.fullmatch(task_id) else None
        return None

    @property
    def token(self) -> str:
        """What `parse` reads: opaque to callers."""
        parts = [self.seen, self.until, self.last.xid, self.last.task_id]
        return base64.urlsafe_b64encode(orjson.dumps(parts)).decode().rstrip("=")

    def at(self, place: Place) -> Position:
        """The same, read up to a firing."""
        return Position(self.seen, self.until, place)

    def towards(self, snapshot: str) -> Position:
        """Everything up to `until` was read, and nothing yet of what the next snapshot shows beside it."""
        return Position(self.until, snapshot, Place(_xmin(self.until), ""))


def is_snapshot(text: str) -> bool:
    """Whether PostgreSQL reads it as a snapshot."""
    match = _SNAPSHOT.fullmatch(text)
    if match is None:
        return False
    running = [int(xid) for xid in match[3].split(",")] if match[3] else []
    lowest, highest = int(match[1]), int(match[2])
    in_order = all(before < after for before, after in pairwise(running))
    within = not running or (lowest <= running[0] and running[-1] < highest)
    return 0 < lowest <= highest <= _LARGEST and in_order and within


def is_before(snapshot: str, later: str) -> bool:
    """Whether a snapshot may have been taken before another of the same database."""
    return _xmin(snapshot) <= _xmin(later) and int(snapshot.split(":")[1]) <= int(later.split(":")[1])


def _xmin(snapshot: str) -> int:
    return int(snapshot.partition(":")[0])


def _parts(token: str) -> list[object]:
    if len(token) > _LONGEST_TOKEN:
        return []
    try:
        parts = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (binascii.Error, orjson.JSONDecodeError, ValueError):
        return []
    return parts if isinstance(parts, list) else []
