"""How a run is told to people: a bar on a terminal, plain lines everywhere else."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from feeder.feeding import Summary

_EVERY_SECONDS: Final = 5.0


class Reporter:
    """Shows how far a feed has come while its block runs.

    Args:
        console: where to; standard error, so that standard output stays for results.
        total: sequence of the last tick, where it is known.
    """

    def __init__(self, console: Console, total: int | None) -> None:
        self._console = console
        self._total = total
        self._told_at = time.monotonic()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[fired]} fired"),
            TimeElapsedColumn(),
        )
        self._bar = Progress(*columns, console=console) if console.is_terminal else None
        self._task = self._bar.add_task("ticks", total=total, fired=0) if self._bar else None

    def __enter__(self) -> Reporter:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def tell(self, line: str) -> None:
        """A line of its own, above the bar where there is one."""
        self._console.print(Text(line), soft_wrap=True)

    def update(self, acknowledged: int, summary: Summary) -> None:
        """How far it is; without a terminal, told every five seconds."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=acknowledged, fired=f"{summary.fired:,}")
        elif time.monotonic() - self._told_at >= _EVERY_SECONDS:
            self._told_at = time.monotonic()
            of_all = f" of {self._total:,}" if self._total is not None else ""
            self.tell(f"{acknowledged:,}{of_all} ticks acknowledged, {summary.fired:,} alerts fired")
