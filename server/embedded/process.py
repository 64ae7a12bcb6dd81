"""A server process that outlives nothing: started, stopped, and found again after a crash of its parent."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from server.embedded.account import Account

_POLL_SECONDS = 0.02


class ServerProcess:
    """One server, its pid file and its log.

    Args:
        arguments: the command; one argument has to name a path below the state directory, so that the
            process can be told from a stranger that got the same pid.
        marker: that path.
        pid_path: holds the pid while the process runs; a left-over leads to an orphan.
        stop_signal: asks for a quick, clean end.
    """

    def __init__(
        self,
        *,
        arguments: Sequence[str],
        marker: Path,
        directory: Path,
        pid_path: Path,
        log_path: Path,
        account: Account,
        environment: Mapping[str, str],
        stop_signal: signal.Signals,
    ) -> None:
        self._arguments = list(arguments)
        self._marker = marker
        self._directory = directory
        self._pid_path = pid_path
        self._log_path = log_path
        self._account = account
        self._environment = dict(environment)
        self._stop_signal = stop_signal
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The pid of the running process, or None."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start the process in a session of its own, so that the terminal's Ctrl-C reaches only us."""
        with open(self._log_path, "ab", opener=_private) as log:
            self._process = subprocess.Popen(
                self._arguments,
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                umask=0o077,
                **self._account.for_subprocess(),
            )
        self._pid_path.write_text(str(self._process.pid))

    def stop(self, timeout_seconds: float = 30.0) -> None:
        """Stop the process; one that does not end in time is killed."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(self._stop_signal)
            self._wait_or_kill(timeout_seconds)
        self._process = None
        self._pid_path.unlink(missing_ok=True)

    def kill(self) -> None:
        """End the process as a crash would (SIGKILL); `start` may follow."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def stop_orphan(self) -> None:
        """Stop what a killed parent left running, if anything."""
        stop_orphan(self._pid_path, marker=self._marker, stop_signal=self._stop_signal)

    def _wait_or_kill(self, timeout_seconds: float) -> None:
        assert self._process is not None
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.kill()


def stop_orphan(
    pid_path: Path, *, marker: Path, stop_signal: signal.Signals, timeout_seconds: float = 30.0
) -> None:
    """Stop the process that a pid file names, when its command line names the marker; remove the file."""
    pid = _recorded_pid(pid_path)
    if pid is not None and str(marker) in command_line(pid):
        _signal(pid, stop_signal)
        if not _wait_for_end(pid, marker, timeout_seconds):
            _signal(pid, signal.SIGKILL)
            _wait_for_end(pid, marker, timeout_seconds)
    pid_path.unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def command_line(pid: int) -> str:
    """The command line of a process; empty when there is none, or when it is a zombie."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    listing = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True)
    return listing.stdout


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _recorded_pid(pid_path: Path) -> int | None:
    try:
        return int(pid_path.read_text())
    except (OSError, ValueError):
        return None


def _wait_for_end(pid: int, marker: Path, timeout_seconds: float) -> bool:
    deadline = time.monotonic() + timeout_seconds
    while str(marker) in command_line(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True
