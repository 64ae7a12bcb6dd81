"""A place for a worker: it is started there, struck, and started again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from loadtest.faults.workers.provider import Desk
from loadtest.faults.workers.steps import RANDOM, Step, Strike
from tests.workers.holding_proxy import HoldingProxy

LEASE_SECONDS: Final = 6
SEND_SECONDS: Final = 3
_REACH_SECONDS: Final = 600.0
_LOOK_SECONDS: Final = 0.02
_GOES_ON_SECONDS: Final = 1.0
_WORKING: Final = '"event":"working"'


class NotReached(Exception):
    """A worker did not come to a step in time, or ended before anybody killed it."""


@dataclass(slots=True)
class Slot:
    """One worker at a time, behind a proxy and a provider of its own.

    Args:
        variables: its settings.
        struck: how many were killed at each step.
    """

    name: str
    proxy: HoldingProxy
    desk: Desk
    variables: Mapping[str, str]
    directory: Path
    struck: Counter[str] = field(default_factory=Counter)
    _step: str = ""
    _process: subprocess.Popen[bytes] | None = None
    _log_from: int = 0

    async def play(self, strikes: Iterator[Strike]) -> None:
        """Strike until there is nothing left to strike.

        Raises:
            NotReached: see there.
        """
        for strike in strikes:
            self._arm(strike.step)
            self._start()
            await self._reach(strike)
            self.kill()
            self.struck[strike.step.name] += 1
            self.proxy.let_pass()
            self.desk.silent = False

    def serve(self) -> None:
        """Start a worker that nobody strikes."""
        self._start()

    def kill(self) -> None:
        """End the worker as the kernel would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _arm(self, step: Step) -> None:
        self._step = step.name
        if step.statement is not None:
            self.proxy.hold(step.text, committed=step.committed)
        self.desk.arrived.clear()

    def _start(self) -> None:
        log_path = self._log_path
        self._log_from = log_path.stat().st_size if log_path.exists() else 0
        with log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "server.cli.main", "worker"],
                env={**self.variables, "LEO_DATABASE_URL": self.proxy.url, **self._providers()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _providers(self) -> dict[str, str]:
        url = self.desk.url
        urls = {"sms_gateway": f"{url}/sms", "firebase": url, "google_oauth": f"{url}/token"}
        return {"LEO_PROVIDER_URLS": json.dumps(urls)}

    async def _reach(self, strike: Strike) -> None:
        step = strike.step
        if step is RANDOM:
            await self._until(self._works())
            await asyncio.sleep(strike.work_seconds)
        elif step.statement is not None:
            await self._until(self._held())
        else:
            self.desk.silent = True
            await self._until(self.desk.arrived.wait())
        if step.outlives:
            await self._outlive()
        elif step is not RANDOM:
            # The other channel, which is claimed a moment later, comes to the step as well.
            await asyncio.sleep(strike.work_seconds)
        self._check_alive()

    async def _outlive(self) -> None:
        """Stand still until the lease is over, as on a host that is out of breath, and go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(LEASE_SECONDS + 1)
        self.desk.silent = False
        self._process.send_signal(signal.SIGCONT)
        await asyncio.sleep(_GOES_ON_SECONDS)

    async def _until(self, reached: Awaitable[object]) -> None:
        waiting = asyncio.ensure_future(reached)
        try:
            async with asyncio.timeout(_REACH_SECONDS):
                while not (await asyncio.wait([waiting], timeout=_LOOK_SECONDS))[0]:
                    self._check_alive()
        except TimeoutError:
            raise NotReached(
                f"{self.name} did not come to {self._step!r}; its log is {self._log_path}"
            ) from None
        finally:
            waiting.cancel()

    def _check_alive(self) -> None:
        assert self._process is not None
        if self._process.poll() is not None:
            raise NotReached(f"{self.name} ended, and nobody had killed it; its log is {self._log_path}")

    async def _works(self) -> None:
        while _WORKING not in self._log():  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(_LOOK_SECONDS)

    async def _held(self) -> None:
        while not self.proxy.held:  # noqa: ASYNC110 - the proxy counts
            await asyncio.sleep(_LOOK_SECONDS)

    def _log(self) -> str:
        with self._log_path.open("rb") as log:
            log.seek(self._log_from, os.SEEK_SET)
            return log.read().decode(errors="replace")

    @property
    def _log_path(self) -> Path:
        return self.directory / f"{self.name}.log"
