"""A caller as the drill sees it: a process that may be killed, and has a successor."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from loadtest.faults.decisions.lanes import STREAM
from loadtest.faults.decisions.ledger import LedgerReader


@dataclass(slots=True)
class CallerProcess:
    """A caller and all that its predecessors of the same name wrote."""

    name: str
    directory: Path
    configuration: Path
    ledgers: list[LedgerReader] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or its successor, with a ledger of its own."""
        number = len(self.ledgers) + 1
        old = [str(self.ledgers[-1].path)] if self.ledgers else []
        self.ledgers.append(LedgerReader(self.directory / f"ledger-{self.name}-{number}.ndjson"))
        arguments = [str(self.configuration), f"{self.name}-{number}", str(self.ledgers[-1].path), *old]
        with (self.directory / "callers.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "loadtest.faults.decisions.caller", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def has_message_under_way(self) -> bool:
        """Whether a message of a stream has no answer yet, as far as the ledger was read."""
        return any(call.lane.endswith(STREAM) for call in self.ledgers[-1].open_calls.values())

    def kill(self) -> int:
        """End it as a crash would; its pid."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        return self.process.pid

    def ask_to_end(self) -> None:
        """It begins nothing new."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> int | None:
        """Its status, or None when it was still waiting for answers and had to be killed."""
        assert self.process is not None
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return None
