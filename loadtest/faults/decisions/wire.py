"""Reads the steps of a batch off the wire between a server and PostgreSQL or Redis.

PostgreSQL's statements are known by the text of `db/queries/decisions.sql`, which a connection sends once and then
calls by a name of its own; the reservations' scripts by their hash. What ends a transaction in which decisions were
recorded is the step `COMMIT`: a statement that runs without a transaction of its own commits itself.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from loadtest.faults.decisions.plan import COMMIT, CUTS, FAULT_POINTS, RECORD
from server.platform.queries import Queries
from server.platform.redis_scripts import Scripts

_PROTOCOL_3: Final = 196_608
_WITHOUT_TRANSACTION: Final = b"I"
_NO_STEPS: Final[frozenset[str]] = frozenset()


class Piece(NamedTuple):
    """A part of what a server sends.

    Args:
        steps: those that begin with it.
        complete: whether everything that is needed to carry them out has been sent with it.
    """

    data: bytes
    steps: frozenset[str] = _NO_STEPS
    complete: bool = True


class Conversation(Protocol):
    """One connection's two directions."""

    def requests(self, data: bytes) -> Iterator[Piece]:
        """What the server sends; what is not a whole message yet is kept for the next time."""
        ...

    def answers(self, data: bytes) -> bool:
        """Whether this, coming back, ends the answer to the last request."""
        ...


def check_steps() -> None:
    """Raises KeyError when a fault point names a step that the servers do not have."""
    known = {
        "postgres": {COMMIT, *Queries.load("decisions")},
        "redis": set(Scripts.load("decisions/reservation")),
    }
    for point in (*FAULT_POINTS, *CUTS):
        if point.step not in known[point.link]:
            raise KeyError(f"{point.name}: the servers have no step {point.step}")


def _steps_by_text() -> Mapping[bytes, str]:
    return {sql.encode(): name for name, sql in Queries.load("decisions").items()}


def _steps_by_hash() -> Mapping[bytes, str]:
    return {script.sha1.encode(): name for name, script in Scripts.load("decisions/reservation").items()}


@dataclass(slots=True)
class PostgresConversation:
    """PostgreSQL's protocol 3: frames of a type, a length and a body; the first ones have no type."""

    _by_text: Mapping[bytes, str] = field(default_factory=_steps_by_text)
    _prepared: dict[bytes, str] = field(default_factory=dict)
    _left: bytes = b""
    _left_of_answer: bytes = b""
    _started: bool = False
    _bare_bytes: int = 0
    _transaction: bytes = _WITHOUT_TRANSACTION
    _records: bool = False

    def requests(self, data: bytes) -> Iterator[Piece]:
        """One piece for each frame."""
        self._left += data
        header = 5 if self._started else 4
        while len(self._left) >= header:
            (length,) = struct.unpack_from("!i", self._left, header - 4)
            size = length + header - 4
            if len(self._left) < size:
                return
            frame, self._left = self._left[:size], self._left[size:]
            yield self._typed(frame) if self._started else self._first(frame)
            header = 5 if self._started else 4

    def _first(self, frame: bytes) -> Piece:
        """A start, or a question for encryption, which is answered by a single byte."""
        if struct.unpack_from("!i", frame, 4) == (_PROTOCOL_3,):
            self._started = True
        else:
            self._bare_bytes += 1
        return Piece(frame)

    def _typed(self, frame: bytes) -> Piece:
        kind = frame[:1]
        if kind == b"P":
            name, text = frame[5:].split(b"\0", 2)[:2]
            self._prepared[name] = self._by_text.get(text, "")
        elif kind == b"B":
            name = frame[5:].split(b"\0", 2)[1]
            return Piece(frame, self._begun(self._prepared.get(name, "")), complete=False)
        elif kind == b"Q":
            return Piece(frame, self._of_text(frame[5:-1]))
        return Piece(frame, complete=kind == b"S")

    def _begun(self, step: str) -> frozenset[str]:
        if step == RECORD:
            self._records = True
            alone = self._transaction == _WITHOUT_TRANSACTION
            return frozenset({step, COMMIT}) if alone else frozenset({step})
        return frozenset({step}) if step else _NO_STEPS

    def _of_text(self, text: bytes) -> frozenset[str]:
        if text == b"COMMIT" and self._records:
            return frozenset({COMMIT})
        return self._begun(self._by_text.get(text, ""))

    def answers(self, data: bytes) -> bool:
        """Whether PostgreSQL is ready for the next query, and in which state it is."""
        self._left_of_answer += data
        if self._bare_bytes:
            answered = min(self._bare_bytes, len(self._left_of_answer))
            self._bare_bytes -= answered
            self._left_of_answer = self._left_of_answer[answered:]
        ready, position, whole = False, 0, self._left_of_answer
        while len(whole) >= position + 5:
            end = position + 1 + struct.unpack_from("!i", whole, position + 1)[0]
            if len(whole) < end:
                break
            if whole[position : position + 1] == b"Z":
                ready, self._transaction = True, whole[end - 1 : end]
                self._records = self._records and self._transaction != _WITHOUT_TRANSACTION
            position = end
        self._left_of_answer = whole[position:]
        return ready


@dataclass(slots=True)
class RedisConversation:
    """One command at a time: it begins a chunk, and what comes back is its answer."""

    _by_hash: Mapping[bytes, str] = field(default_factory=_steps_by_hash)

    def requests(self, data: bytes) -> Iterator[Piece]:
        """One piece, with the scripts that are called in it."""
        steps = {name for digest, name in self._by_hash.items() if digest in data}
        yield Piece(data, frozenset(steps))

    def answers(self, data: bytes) -> bool:
        """Whether it is one; an error, such as that of a script that Redis does not know yet, is none."""
        return not data.startswith(b"-")
