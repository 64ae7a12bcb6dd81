"""Worker processes, started as users start them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from server.embedded.database_setup import DatabaseUrls
from tests.dispatch.conftest import Log
from tests.dispatch.decided import Decisions
from tests.dispatch.scripted_smtp import ScriptedSmtp

_PATIENCE_SECONDS = 120.0


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what another process does. Fails after two minutes; how long it takes is not asserted."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not await condition():
        assert time.monotonic() < deadline, "it did not happen within two minutes"
        await asyncio.sleep(0.05)


@dataclass(slots=True)
class WorkerProcess:
    """`leo worker`."""

    process: subprocess.Popen[bytes]
    log_path: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def lines(self) -> list[dict[str, Any]]:
        """What it logged."""
        lines = self.log_path.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def events(self) -> list[str]:
        """The names of the events that it logged."""
        return [line["event"] for line in self.lines()]

    async def ready(self) -> None:
        """Wait until it takes wake-ups."""

        async def working() -> bool:
            assert self.process.poll() is None, self.log_path.read_text()
            return "working" in self.events()

        await until(working)

    def kill(self) -> None:
        """As the kernel would when memory runs out."""
        self.process.kill()
        self.process.wait(30)

    def stop(self) -> int:
        """Ask it to end, and wait until it did."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@dataclass(slots=True)
class Workers:
    """Starts workers over one environment."""

    environment: dict[str, str]
    directory: Path
    started: list[WorkerProcess] = field(default_factory=list)

    def start(self, **variables: str) -> WorkerProcess:
        """A worker; variables are settings without their prefix."""
        log_path = self.directory / f"worker-{len(self.started)}.log"
        overrides = {f"LEO_{name.upper()}": value for name, value in variables.items()}
        with open(log_path, "wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "server.cli.main", "worker"],
                env={**os.environ, **self.environment, **overrides},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        worker = WorkerProcess(process, log_path)
        self.started.append(worker)
        return worker


@pytest.fixture
def workers(database: DatabaseUrls, redis_url: str, broker_url: str, tmp_path: Path) -> Iterator[Workers]:
    """Starts `leo worker` processes on the test's own database, Redis and broker."""
    fleet = Workers(
        environment={
            "LEO_DATABASE_URL": database.worker_url,
            "LEO_REDIS_URL": redis_url,
            "LEO_BROKER_URL": broker_url,
            "LEO_WORKER_THREADS": "4",
            "LEO_RETRY_SECONDS": "0.1",
        },
        directory=tmp_path,
    )
    yield fleet
    for worker in fleet.started:
        if worker.process.poll() is None:
            worker.kill()


@pytest.fixture
def decisions(app: asyncpg.Connection) -> Decisions:
    """Writes what decisions leave."""
    return Decisions(app)


@pytest.fixture
def smtp() -> Iterator[ScriptedSmtp]:
    """An SMTP server that does as it is told."""
    server = ScriptedSmtp()
    server.start()
    yield server
    server.end()


@pytest.fixture
def log(proof: asyncpg.Connection) -> Log:
    """Reads what was recorded."""
    return Log(proof)
