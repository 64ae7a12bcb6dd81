"""An export of a person as one JSON document, written as it arrives."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import BinaryIO

from google.protobuf.timestamp_pb2 import Timestamp
from leo.activation.v1 import profile_service_pb2 as wire


class ExportIncomplete(Exception):
    """The stream ended early, or what arrived is not what was sent; ask for the export again."""


@dataclass(slots=True)
class ExportSummary:
    """What was written.

    Args:
        profile_id: of whom.
        task_id: the task that records the export.
        erased_at: when the personal data of the profile was erased; None when it was not.
        counts: how many rows, by section.
    """

    profile_id: str
    task_id: str
    erased_at: datetime | None
    counts: dict[str, int] = field(default_factory=dict)


def write_export(parts: Iterable[wire.ExportProfileResponse], output: BinaryIO) -> ExportSummary:
    """Write the answers of `ExportProfile` as one JSON object; memory does not grow with their number.

    The object has what the export is of, one list for each section, and at its end `counts` and `sha256`. What was
    written is of no use where this raises.

    Args:
        parts: what `client.profiles.ExportProfile(request)` of the synchronous client answers.
        output: gets UTF-8.

    Raises:
        ExportIncomplete: the end is missing, or differs from what arrived.
        LeoApiError: the call failed.
    """
    writing: _Writing | None = None
    for part in parts:
        if part.HasField("begin"):
            writing = _Writing(part.begin, output)
        elif writing is None:
            break
        elif part.HasField("documents"):
            writing.add(part.documents)
        elif part.HasField("end"):
            return writing.finish(part.end)
    raise ExportIncomplete("the export ended before it was whole: ask for it again")


class _Writing:
    """One document under way."""

    def __init__(self, begin: wire.ExportBegin, output: BinaryIO) -> None:
        self._output = output
        self._hash = hashlib.sha256()
        erased_at = begin.erased_at.ToDatetime(UTC) if begin.HasField("erased_at") else None
        self._summary = ExportSummary(begin.profile_id, begin.task_id, erased_at)
        self._put("{")
        self._member("profile_id", begin.profile_id)
        self._member("exported_at", _text(begin.exported_at))
        self._member("task_id", begin.task_id)
        self._member("erased_at", _text(begin.erased_at) if erased_at else None)

    def add(self, part: wire.ExportDocuments) -> None:
        counts = self._summary.counts
        if part.section not in counts:
            self._open(part.section)
        for document in part.documents:
            self._hash.update(document + b"\n")
            self._put(",\n  " if counts[part.section] else "\n  ")
            self._output.write(document)
            counts[part.section] += 1

    def finish(self, end: wire.ExportEnd) -> ExportSummary:
        told = {section.section: section.documents for section in end.sections}
        counts = self._summary.counts
        if counts != {name: count for name, count in told.items() if count}:
            raise ExportIncomplete("rows are missing: ask for the export again")
        if self._hash.hexdigest() != end.sha256:
            raise ExportIncomplete("what arrived is not what was sent: ask for the export again")
        for name in [name for name in told if name not in counts]:
            self._open(name)
        self._close_list()
        self._member("counts", told)
        self._put(f'"sha256": {json.dumps(end.sha256)}\n}}\n')
        return self._summary

    def _open(self, section: str) -> None:
        self._close_list()
        self._summary.counts[section] = 0
        self._put(f"{json.dumps(section)}: [")

    def _close_list(self) -> None:
        if self._summary.counts:
            self._put("],\n")

    def _member(self, name: str, value: object) -> None:
        self._put(f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)},\n")

    def _put(self, text: str) -> None:
        self._output.write(text.encode())


def _text(moment: Timestamp) -> str:
    return moment.ToDatetime(UTC).isoformat()
