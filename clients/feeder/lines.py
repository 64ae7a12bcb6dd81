"""Ticks as NDJSON, from a pipe or a file: one JSON object a line."""

from __future__ import annotations

import asyncio
import gzip
import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from feeder.bars import BadFile
from feeder.json_ticks import Fields, read_json, tick_of
from feeder.ticks import Fault, Sequenced

_CHUNK_BYTES: Final = 1 << 16
_CHUNKS: Final = 16
_LONGEST_LINE: Final = 1 << 16
_Chunk = bytes | Exception


def open_lines(path: Path | None) -> Callable[[], bytes]:
    """Reads what is there of a file, gzipped where it ends in `.gz`, or of standard input: blocks until there is
    something; no bytes at the end.

    Raises:
        OSError: the file can not be read.
    """
    if path is None:
        # Not through the buffer of sys.stdin: its lock would be held by a thread that waits when the process ends.
        return partial(os.read, sys.stdin.fileno(), _CHUNK_BYTES)
    stream = gzip.open(path) if path.suffix == ".gz" else path.open("rb", buffering=0)
    return partial(stream.read, _CHUNK_BYTES)


class JsonLines:
    """A source of lines. They are read no faster than they are taken: a pipe makes its writer wait.

    A line's sequence is its number, or with `own_sequences` what it says itself.

    Args:
        read: as `open_lines` returns it; it is called in a thread.
        after: sequence of the last tick that is not wanted.
        on_fault: is told of lines that hold no tick.
    """

    def __init__(
        self,
        read: Callable[[], bytes],
        *,
        fields: Fields,
        after: int,
        own_sequences: bool,
        on_fault: Callable[[Fault], None],
    ) -> None:
        self._read = read
        self._fields = fields
        self._after = self._last = after
        self._own_sequences = own_sequences
        self._on_fault = on_fault
        self._chunks: asyncio.Queue[_Chunk] = asyncio.Queue(_CHUNKS)
        self._ready: deque[Sequenced] = deque()
        self._cut = LineCutter()
        self._ended = False
        self._thread: threading.Thread | None = None

    @property
    def total(self) -> None:
        """Not known before the end."""
        return None

    async def take(self, limit: int) -> list[Sequenced]:
        """The next ones that are there.

        Raises:
            BadFile: it can not be read on.
        """
        if self._thread is None:
            loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._pump, args=(loop,), daemon=True, name="feeder-lines")
            self._thread.start()
        while not self._ended and (
            not self._ready or (len(self._ready) < limit and not self._chunks.empty())
        ):
            self._parse(await self._chunks.get())
        return [self._ready.popleft() for _ in range(min(limit, len(self._ready)))]

    def stop(self) -> None:
        """No more is read; what was read and not taken is left to the next run."""
        self._ended = True
        self._ready.clear()

    def _pump(self, loop: asyncio.AbstractEventLoop) -> None:
        """In the thread: hand chunks over, waiting where they are not taken."""
        chunk: _Chunk = b" "
        while chunk and not isinstance(chunk, Exception):
            try:
                chunk = self._read()
            except (OSError, EOFError) as error:
                chunk = error
            try:
                asyncio.run_coroutine_threadsafe(self._chunks.put(chunk), loop).result()
            except RuntimeError:
                return  # the loop is gone: nobody wants more

    def _parse(self, chunk: _Chunk) -> None:
        if isinstance(chunk, Exception):
            raise BadFile(f"the lines can not be read on: {chunk}") from chunk
        self._ended = not chunk
        for number, line in self._cut.lines(chunk):
            try:
                self._parse_line(number, line)
            except ValueError as error:
                self._on_fault(Fault(f"line {number}", str(error)))

    def _parse_line(self, number: int, line: bytes | None) -> None:
        if line is None:
            raise ValueError(f"it is longer than {_LONGEST_LINE:,} bytes")
        if not line.strip() or (number <= self._last and not self._own_sequences):
            return
        found = tick_of(read_json(line), self._fields)
        sequence = (found.sequence or number) if self._own_sequences else number
        if sequence <= self._after:
            return
        if sequence <= self._last:
            raise ValueError(f"sequence {sequence} does not come after {self._last}")
        self._ready.append((sequence, found.tick))
        self._last = sequence


class LineCutter:
    """Cuts bytes into lines, and holds no more of one than a line may have."""

    def __init__(self) -> None:
        self._rest = b""
        self._number = 0
        self._too_long = False

    def lines(self, chunk: bytes) -> list[tuple[int, bytes | None]]:
        """The lines that end here, with their numbers from 1; None for one that is too long.

        Args:
            chunk: what follows; no bytes at the end, which gives the last line where it has no end of its own.
        """
        *complete, rest = (self._rest + chunk).split(b"\n")
        if not chunk and rest:
            complete, rest = [*complete, rest], b""
        found = [self._line(line) for line in complete]
        self._too_long = self._too_long or len(rest) > _LONGEST_LINE
        self._rest = b"" if self._too_long else rest
        if not chunk and self._too_long:
            found.append(self._line(b""))
        return found

    def _line(self, line: bytes) -> tuple[int, bytes | None]:
        self._number += 1
        too_long, self._too_long = self._too_long or len(line) > _LONGEST_LINE, False
        return self._number, None if too_long else line
