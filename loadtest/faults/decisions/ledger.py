"""What callers asked and were told: a file for each caller, a line before each call and after each answer.

A line is one write to a file that is only appended to, so that it outlives the caller's death.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from leo.activation.v1 import decision_service_pb2 as wire


class Told(NamedTuple):
    """A decision as it was acknowledged, or as it stands in the database."""

    task_id: str
    outcome: str
    reason: str
    summary: str
    marketing_event_id: str
    channels: tuple[str, ...]
    due_us: int | None
    decided_us: int


class Acknowledgement(NamedTuple):
    """One answer to one event.

    Args:
        duplicate: whether the server said that the event had been decided before.
    """

    tenant: str
    source_event_id: str
    told: Told
    duplicate: bool


class Refusal(NamedTuple):
    """Another body under an id that was decided; `fingerprint` is what the server calls the first body's."""

    tenant: str
    source_event_id: str
    fingerprint: str


def told_of(decision: wire.Decision) -> Told:
    """The decision as the wire has it."""
    return Told(
        task_id=decision.task_id,
        outcome=wire.DecisionOutcome.Name(decision.outcome).removeprefix("DECISION_OUTCOME_").lower(),
        reason=wire.DecisionReason.Name(decision.reason).removeprefix("DECISION_REASON_"),
        summary=decision.reason_summary,
        marketing_event_id=decision.marketing_event_id,
        channels=tuple(decision.channels),
        due_us=decision.due_at.ToMicroseconds() if decision.HasField("due_at") else None,
        decided_us=decision.decided_at.ToMicroseconds(),
    )


class LedgerWriter:
    """A caller's side. Every method is one write."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._calls = 0

    def asks(self, tenant: str, lane: str, source_event_ids: Sequence[str]) -> int:
        """A call is about to be made; its number."""
        self._calls += 1
        self._write(["asks", self._calls, tenant, lane, source_event_ids])
        return self._calls

    def told(self, call: int, tried_at: float, answers: Sequence[wire.Decision]) -> None:
        """The call's answers; `tried_at` is when its last try began."""
        decisions = [[answer.source_event_id, answer.duplicate, tuple(told_of(answer))] for answer in answers]
        self._write(["told", call, tried_at, time.monotonic(), decisions])

    def refused(self, call: int, source_event_id: str, fingerprint: str) -> None:
        """The call's body was refused, as it should be."""
        self._write(["refused", call, source_event_id, fingerprint])

    def failed(self, call: int, code: str) -> None:
        """One try failed as calls do in an outage; it is made again."""
        self._write(["failed", call, code])

    def wrong(self, call: int, text: str) -> None:
        """The answer is none that the server may give."""
        self._write(["wrong", call, text])

    def _write(self, line: list[Any]) -> None:
        os.write(self._file, orjson.dumps(line) + b"\n")


@dataclass(frozen=True, slots=True)
class Call:
    """What was asked in one call."""

    tenant: str
    lane: str
    source_event_ids: tuple[str, ...]


@dataclass(slots=True)
class LedgerReader:
    """The other side: reads one caller's file as it grows.

    Args:
        open_calls: those without an answer, by their number.
        last_told: when the last try that was answered began, and when its answer came.
        failures: tries that failed, by their status.
    """

    path: Path
    open_calls: dict[int, Call] = field(default_factory=dict)
    acknowledged: list[Acknowledgement] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)
    answers: list[tuple[float, float]] = field(default_factory=list)
    _calls: dict[int, Call] = field(default_factory=dict)
    _read: int = 0

    def read(self) -> None:
        """Take in what was appended since the last time."""
        if not self.path.exists():
            return
        for line in self._new_lines():
            getattr(self, f"_{line[0]}")(*line[1:])

    def _new_lines(self) -> Iterator[list[Any]]:
        with self.path.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        whole = data.rfind(b"\n") + 1
        self._read += whole
        yield from map(orjson.loads, data[:whole].splitlines())

    def _asks(self, call: int, tenant: str, lane: str, source_event_ids: list[str]) -> None:
        self.open_calls[call] = self._calls[call] = Call(tenant, lane, tuple(source_event_ids))

    def _told(self, call: int, tried_at: float, told_at: float, answers: list[Any]) -> None:
        self.open_calls.pop(call, None)
        self.answers.append((tried_at, told_at))
        tenant = self._calls[call].tenant
        for source_event_id, duplicate, fields in answers:
            told = Told(*fields)._replace(channels=tuple(fields[5]))
            self.acknowledged.append(Acknowledgement(tenant, source_event_id, told, duplicate))

    def _refused(self, call: int, source_event_id: str, fingerprint: str) -> None:
        self.open_calls.pop(call, None)
        self.refused.append(Refusal(self._calls[call].tenant, source_event_id, fingerprint))

    def _failed(self, _call: int, code: str) -> None:
        self.failures[code] = self.failures.get(code, 0) + 1

    def _wrong(self, call: int, text: str) -> None:
        self.open_calls.pop(call, None)
        self.wrong.append(f"{self.path.name}, call {call} ({self._calls[call].lane}): {text}")
