"""Writes `db/schema.sql`: what the migrations amount to, to be read and compared."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

from server.embedded.account import server_account
from server.embedded.database_setup import prepare_database
from server.embedded.errors import StackError
from server.embedded.postgres_server import PostgresServer
from server.embedded.state import StateDirectory

_SHARED_BUFFERS_MB = 64
_VERSION_LINES = re.compile(r"^-- Dumped (from|by) .*\n", re.MULTILINE)


def dump_schema(scratch_directory: Path, target: Path) -> Path:
    """Migrate a scratch cluster from nothing and write its schema; returns the target.

    The cluster is the wheel's, so that server and pg_dump have one version on every machine.
    """
    account = server_account()
    state = StateDirectory(scratch_directory, account)
    state.open()
    state.lock()
    server = PostgresServer(state=state, account=account, shared_buffers_mb=_SHARED_BUFFERS_MB)
    try:
        server.start()
        url = server.url("leo")
        asyncio.run(prepare_database(url))
        target.write_text(_normalised(_pg_dump(server, url)))
    finally:
        server.stop()
        shutil.rmtree(scratch_directory, ignore_errors=True)
    return target


def _pg_dump(server: PostgresServer, url: str) -> str:
    parts = urlsplit(url)
    result = subprocess.run(
        [
            str(server.binaries.program("pg_dump")),
            "--schema-only",
            "--restrict-key=leo",
            f"--host={parts.hostname}",
            f"--port={parts.port}",
            f"--username={parts.username}",
            f"--dbname={parts.path[1:]}",
        ],
        env={**server.binaries.environment(), "PGPASSWORD": unquote(parts.password or "")},
        capture_output=True,
        text=True,
    )
    if result.returncode != 0:
        raise StackError(f"pg_dump failed: {result.stderr.strip()}")
    return result.stdout


def _normalised(dump: str) -> str:
    return _VERSION_LINES.sub("", dump).strip() + "\n"
