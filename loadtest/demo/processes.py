"""What the demo runs on: a stack of its own, `leo serve` and `leo worker` as users start them.

What ends while the demo runs is started again, as a supervisor of the operating system would, so that any of the
processes can be killed in the middle. Their pids are in a file for those who try.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

from server.embedded.account import server_account
from server.embedded.addresses import StackAddresses
from server.embedded.errors import StackError
from server.embedded.options import StackOptions
from server.embedded.ports import free_port
from server.embedded.process import stop_orphan
from server.embedded.stack import Stack
from server.embedded.state import StateDirectory, write_private
from server.embedded.token_issuer import TokenIssuer

_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 30.0
_ORPHAN_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.1
_COMMANDS: Final = ("serve", "worker")
# What the command lines of both name, so that they are not taken for strangers.
_COMMAND: Final = Path("server.cli.main")
_SHARED_BUFFERS_MB: Final = 256
# What the user may set for the demo's processes; a lease is short, so that a killed worker is soon replaced.
_WORKER_DEFAULTS: Final = {"LEO_LEASE_SECONDS": "10", "LEO_SEND_SECONDS": "5", "LEO_RETRY_SECONDS": "1"}


class Kept(Protocol):
    """A process that the demo keeps running."""

    @property
    def pid(self) -> int | None: ...

    def start(self) -> None: ...


class LeoCommand:
    """One `leo` command as a process of its own; its log is a file.

    Args:
        name: `serve` or `worker`.
        environment: all variables of the process.
        directory: where its log is, and while it runs its pid.
    """

    def __init__(self, name: str, *, environment: Mapping[str, str], directory: Path) -> None:
        self._name = name
        self._environment = dict(environment)
        self._log_path = directory / f"{name}.log"
        self._pid_path = directory / f"{name}.pid"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The pid while it runs, or None."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start it, in a session of its own, so that Ctrl-C reaches it after us, as a request to end."""
        with open(self._log_path, "ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", str(_COMMAND), self._name],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._pid_path.write_text(str(self._process.pid))

    def stop(self) -> None:
        """Ask it to end and wait until it has."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._pid_path.unlink(missing_ok=True)


@dataclass(slots=True)
class Keeper:
    """Starts again what has ended, and writes down the pids.

    Args:
        kept: the processes by name.
        restarts: names of what was started again, in order.
    """

    kept: Mapping[str, Kept]
    pid_paths: tuple[Path, ...]
    restarts: list[str] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Keep them running within the block."""
        self._write_pids()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)
        self._thread.start()
        try:
            yield
        finally:
            self._ended.set()
            self._thread.join()
            for path in self.pid_paths:
                path.unlink(missing_ok=True)

    def _run(self) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            gone = [name for name, process in self.kept.items() if process.pid is None]
            for name in gone:
                self._restart(name)
            if gone:
                self._write_pids()

    def _restart(self, name: str) -> None:
        try:
            self.kept[name].start()
        except StackError:
            return  # It is tried again at the next look.
        self.restarts.append(name)

    def _write_pids(self) -> None:
        pids = {name: process.pid for name, process in self.kept.items()}
        for path in self.pid_paths:
            write_private(path, json.dumps({"demo": os.getpid(), **pids}) + "\n")


@dataclass(frozen=True, slots=True)
class Running:
    """The running stack with its server and worker.

    Args:
        listen: address of the server.
        directory: its state; the logs of server and worker lie in it.
    """

    addresses: StackAddresses
    issuer: TokenIssuer
    listen: str
    directory: Path
    processes: int
    keeper: Keeper


@contextmanager
def running_stack(*, processes: int, pid_path: Path | None) -> Iterator[Running]:
    """Everything that the demo runs on, from nothing: what an earlier demo left is removed.

    Args:
        processes: server processes that share the port.
        pid_path: where the pids are written besides `pids.json` in the state directory.

    Raises:
        StackError: something does not start, or another demo of this checkout runs.
    """
    options = fresh_options("demo")
    directory = options.state_directory
    with ExitStack() as running:
        stack = Stack(options)
        addresses = running.enter_context(stack)
        listen = f"127.0.0.1:{free_port()}"
        serve = _serve(addresses, listen, processes, directory)
        worker = _worker(addresses, directory)
        for command in (serve, worker):
            running.callback(command.stop)
            command.start()
        wait_until_listening(serve, listen, directory)
        embedded = {"postgres": stack.postgres, "redis": stack.redis, "broker": stack.broker}
        kept: dict[str, Kept] = {name: server for name, server in embedded.items() if server is not None}
        pid_paths = (directory / "pids.json", *([pid_path.absolute()] if pid_path else []))
        keeper = Keeper({"serve": serve, "worker": worker, **kept}, pid_paths)
        running.enter_context(keeper.running())
        yield Running(addresses, stack.token_issuer(), listen, directory, processes, keeper)


def fresh_options(name: str) -> StackOptions:
    """A state directory of this name below the user's, emptied. Mail always goes to its own mailbox."""
    options = StackOptions.from_variables(os.environ)
    # Opened first, so that the account which runs PostgreSQL as root's deputy may pass through it.
    StateDirectory(options.state_directory, server_account()).open()
    directory = options.state_directory / name
    options = replace(options, state_directory=directory, smtp_url=None, shared_buffers_mb=_SHARED_BUFFERS_MB)
    if any(directory.glob("*.pid")):
        # A demo still runs, which refuses us, or one was killed: then this stops what it left.
        with Stack(options):
            _stop_left_commands(directory)
    for left in ("postgres", "mailbox"):
        shutil.rmtree(directory / left, ignore_errors=True)
    for log in directory.glob("*.log"):
        log.unlink()
    return options


def _stop_left_commands(directory: Path) -> None:
    for name in _COMMANDS:
        stop_orphan(
            directory / f"{name}.pid",
            marker=_COMMAND,
            stop_signal=signal.SIGTERM,
            timeout_seconds=_ORPHAN_SECONDS,
        )


def _serve(addresses: StackAddresses, listen: str, processes: int, directory: Path) -> LeoCommand:
    variables = {"LEO_LISTEN": listen, "LEO_PROCESSES": str(processes)}
    environment = {**os.environ, **addresses.server_environment(), **variables}
    return LeoCommand("serve", environment=environment, directory=directory)


def _worker(addresses: StackAddresses, directory: Path) -> LeoCommand:
    environment = {**_WORKER_DEFAULTS, **os.environ, **addresses.worker_environment()}
    return LeoCommand("worker", environment=environment, directory=directory)


def wait_until_listening(serve: LeoCommand, listen: str, directory: Path) -> None:
    """Return once the server takes connections.

    Raises:
        StackError: it ended, or it took too long; with its log's path.
    """
    host, _, port = listen.rpartition(":")
    deadline = time.monotonic() + _START_SECONDS
    while serve.pid is not None and time.monotonic() < deadline:
        try:
            socket.create_connection((host, int(port)), timeout=1.0).close()
        except OSError:
            time.sleep(_LOOK_SECONDS)
        else:
            return
    raise StackError(f"leo serve does not start; its log is {directory / 'serve.log'}")
