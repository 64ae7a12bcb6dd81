"""`leo serve` processes on one database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.workers.conftest import until


@dataclass(slots=True)
class ServerProcess:
    """A running `leo serve`."""

    process: subprocess.Popen[bytes]
    log_path: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def events(self, name: str) -> list[dict[str, object]]:
        """What it logged under a name."""
        lines = [line for line in self.log_path.read_text().splitlines() if line.startswith("{")]
        return [event for event in map(json.loads, lines) if event["event"] == name]

    async def address(self) -> str:
        """Where it serves, once it does."""

        async def serving() -> bool:
            assert self.process.poll() is None, self.log_path.read_text()
            return bool(self.events("serving"))

        await until(serving)
        return str(self.events("serving")[0]["address"])

    def kill(self) -> None:
        """As the kernel would when memory runs out."""
        self.process.kill()
        self.process.wait(30)


@dataclass(slots=True)
class Servers:
    """Starts servers over one environment."""

    environment: dict[str, str]
    directory: Path
    started: list[ServerProcess] = field(default_factory=list)

    def start(self, **variables: str) -> ServerProcess:
        """A server; variables are settings without their prefix."""
        log_path = self.directory / f"server-{len(self.started)}.log"
        overrides = {f"LEO_{name.upper()}": value for name, value in variables.items()}
        with open(log_path, "wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "server.cli.main", "serve"],
                env={**os.environ, **self.environment, **overrides},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.started.append(ServerProcess(process, log_path))
        return self.started[-1]

    def stop(self) -> None:
        """End all that run."""
        for server in self.started:
            if server.process.poll() is None:
                server.kill()
