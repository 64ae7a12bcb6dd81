"""From what the command was told to a source: a file of bars, lines, or a WebSocket."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

from feeder.bars import feed_name, read_bars
from feeder.json_ticks import Fields
from feeder.lines import JsonLines, open_lines
from feeder.pace import Paced, speed_factor
from feeder.position import Position
from feeder.sources import Recorded, Source
from feeder.ticks import Fault
from feeder.websocket import WebSocketTicks

STANDARD_INPUT: Final = "-"
_LINES: Final = (".ndjson", ".jsonl", ".ndjson.gz", ".jsonl.gz")


class UsageFault(Exception):
    """Options that do not go together."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to read, and how.

    Args:
        source: a path, `-`, or the URL of a WebSocket.
        feed: name of the feed; None for one that fits the source.
        position: file that keeps how far it came; None for one that fits the feed.
        capacity, subscribe, headers, patience_seconds: of a WebSocket.
    """

    source: str
    feed: str | None = None
    position: Path | None = None
    speed: str | None = None
    fields: str = ""
    subscribe: Sequence[str] = ()
    headers: Mapping[str, str] | None = None
    capacity: int = 100_000
    patience_seconds: float = 60.0

    @property
    def is_live(self) -> bool:
        """Whether it is a WebSocket."""
        return self.source.startswith(("ws://", "wss://"))

    @property
    def is_lines(self) -> bool:
        """Whether it is NDJSON."""
        return self.source == STANDARD_INPUT or self.source.endswith(_LINES)

    def check(self) -> None:
        """Raises:
        UsageFault: options do not go together.
        """
        if self.is_live and self.speed is not None:
            raise UsageFault("--speed is for what was recorded; a WebSocket has its own")
        if not self.is_live and (self.subscribe or self.headers):
            raise UsageFault("--subscribe and --header are for a WebSocket")
        if self.fields and not (self.is_live or self.is_lines):
            raise UsageFault(
                "--fields is for JSON; a CSV has the columns Ticker, Date, Open, High, Low, Close"
            )


@dataclass(frozen=True, slots=True)
class Opened:
    """A source that is ready, the name of its feed, and how far it came before."""

    source: Source
    feed: str
    position: Position


def open_source(wanted: Wanted, *, on_fault: Callable[[Fault], None], tell: Callable[[str], None]) -> Opened:
    """The source after its position.

    Raises:
        UsageFault: options do not go together.
        BadFile: a CSV holds no bars.
        ValueError: speed or fields say nothing.
        OSError: a file can not be read.
    """
    wanted.check()
    factor = speed_factor(wanted.speed or "max")
    feed = wanted.feed or _feed_of(wanted)
    position = Position(wanted.position or _position_path(wanted), feed)
    source = source_after(wanted, position.acknowledged, on_fault=on_fault, tell=tell)
    return Opened(source if factor is None else Paced(source, factor=factor), feed, position)


def source_after(
    wanted: Wanted, after: int, *, on_fault: Callable[[Fault], None], tell: Callable[[str], None]
) -> Source:
    """The ticks behind a sequence, at the speed of the source.

    Raises:
        BadFile: a CSV holds no bars.
        ValueError: the fields say nothing.
        OSError: a file can not be read.
    """
    fields, own_sequences = Fields.parse(wanted.fields), wanted.feed is not None
    if wanted.is_live:
        return WebSocketTicks(
            wanted.source,
            subscribe=wanted.subscribe,
            headers=wanted.headers,
            fields=fields,
            capacity=wanted.capacity,
            after=after,
            own_sequences=own_sequences,
            patience_seconds=wanted.patience_seconds,
            on_fault=on_fault,
            tell=tell,
        )
    if wanted.is_lines:
        path = None if wanted.source == STANDARD_INPUT else Path(wanted.source)
        return JsonLines(
            open_lines(path), fields=fields, after=after, own_sequences=own_sequences, on_fault=on_fault
        )
    return Recorded(read_bars(Path(wanted.source), on_fault), after=after)


def _feed_of(wanted: Wanted) -> str:
    """A file's content names its feed; what can not be read again is a new feed in each run."""
    if wanted.is_live or wanted.source == STANDARD_INPUT:
        return f"{'websocket' if wanted.is_live else 'lines'}:{uuid4().hex}"
    return feed_name(Path(wanted.source))


def _position_path(wanted: Wanted) -> Path | None:
    """Beside a file; in the current directory for a feed that was given a name; else nowhere."""
    if not wanted.is_live and wanted.source != STANDARD_INPUT:
        return Path(f"{wanted.source}.position")
    return Path(f"{wanted.feed.replace('/', '_')}.position") if wanted.feed else None
