"""How far an import came: a file beside the imported one, and the rows that were refused, in another.

The rejects of a part are written before the position that covers it, and the position says how long they are: rejects
of a part that was not covered when the command ended are cut off again. So each refused row is in the file once.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Final

import orjson

from server.cli.failure import CommandFailed
from server.cli.importing.patches import Reject
from server.mapping.rows import as_json

_COMPARED_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Position:
    """How far an import came.

    Args:
        of: what is imported how: a hash of the file's size and beginning, and of the mapping.
        last_row: number of the last row that was committed.
        sequence: the part that it was in.
        rejects_bytes: length of the rejects up to it.
    """

    of: str
    last_row: int = 0
    sequence: int = 0
    rejects_bytes: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    def after(self, *, last_row: int, sequence: int, rejects_bytes: int, counts: dict[str, int]) -> Position:
        """The position once another part is committed."""
        together = {
            name: self.counts.get(name, 0) + counts.get(name, 0) for name in {**self.counts, **counts}
        }
        return replace(
            self, last_row=last_row, sequence=sequence, rejects_bytes=rejects_bytes, counts=together
        )


class Progress:
    """Reads and writes position and rejects.

    Raises:
        CommandFailed: a position is there of another file or mapping.
    """

    def __init__(self, path: Path, rejects: Path, *, of: str, restart: bool) -> None:
        self._path = path
        self.rejects_path = rejects
        if restart:
            path.unlink(missing_ok=True)
        self.position = _read(path, of)
        self._rejects: BinaryIO = rejects.open("r+b" if rejects.exists() else "w+b")
        self._rejects.truncate(self.position.rejects_bytes)
        self._rejects.seek(self.position.rejects_bytes)

    def note(
        self, *, last_row: int, sequence: int, rejects: Iterable[Reject], counts: dict[str, int]
    ) -> None:
        """A part was committed."""
        for reject in rejects:
            self._rejects.write(_line(reject))
        self._rejects.flush()
        os.fsync(self._rejects.fileno())
        self.position = self.position.after(
            last_row=last_row, sequence=sequence, rejects_bytes=self._rejects.tell(), counts=counts
        )
        _write(self._path, orjson.dumps(asdict(self.position)))

    def close(self, *, finished: bool) -> None:
        """Leave the position only where there is something to go on with, and rejects where there are any."""
        self._rejects.close()
        if finished:
            self._path.unlink(missing_ok=True)
        if self.position.rejects_bytes == 0:
            self.rejects_path.unlink(missing_ok=True)


def identity_of(path: Path, mapping: bytes) -> str:
    """What makes two imports the same one."""
    with path.open("rb") as file:
        beginning = file.read(_COMPARED_BYTES)
    size = path.stat().st_size
    return hashlib.sha256(b"%d:%b:%b" % (size, hashlib.sha256(beginning).digest(), mapping)).hexdigest()


def _read(path: Path, of: str) -> Position:
    if not path.exists():
        return Position(of)
    try:
        position = Position(**orjson.loads(path.read_bytes()))
    except (ValueError, TypeError) as error:
        raise CommandFailed(f"{path} is no position of an import; --restart begins anew") from error
    if position.of != of:
        raise CommandFailed(f"{path} is of another file or mapping than these; --restart begins anew")
    return position


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all."""
    scratch = path.with_name(path.name + ".new")
    with scratch.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def _line(reject: Reject) -> bytes:
    document = {
        "line": reject.row.number,
        "faults": [{"field": fault.field, "description": fault.description} for fault in reject.faults],
        "row": as_json(reject.row.document),
    }
    return orjson.dumps(document) + b"\n"
