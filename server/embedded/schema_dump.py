"""Writes `db/schema.sql`: what the migrations amount to, to be read and compared."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

import asyncpg

from server.embedded.account import server_account
from server.embedded.database_setup import prepare_database
from server.embedded.errors import StackError
from server.embedded.postgres_server import PostgresServer
from server.embedded.state import StateDirectory
from server.platform.queries import Queries

_SHARED_BUFFERS_MB = 64
_NOISE = re.compile(r"^(-- Dumped (from|by) |\\(un)?restrict ).*\n", re.MULTILINE)


_HEADER = "-- Written by `make migrate` from db/migrations, without partitions: they repeat their parents.\n"


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
        partitions = asyncio.run(_partitions(url))
        target.write_text(_HEADER + _normalised(_pg_dump(server, url, partitions)))
    finally:
        server.stop()
        shutil.rmtree(scratch_directory, ignore_errors=True)
    return target


async def _partitions(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        return [row["name"] for row in await connection.fetch(Queries.load("embedded")["partitions"])]
    finally:
        await connection.close()


def _pg_dump(server: PostgresServer, url: str, left_out: list[str]) -> str:
    parts = urlsplit(url)
    result = subprocess.run(
        [
            str(server.binaries.program("pg_dump")),
            "--schema-only",
            f"--host={parts.hostname}",
            f"--port={parts.port}",
            f"--username={parts.username}",
            f"--dbname={parts.path[1:]}",
            *(f"--exclude-table={name}" for name in left_out),
        ],
        env={**server.binaries.environment(), "PGPASSWORD": unquote(parts.password or "")},
        capture_output=True,
        text=True,
    )
    if result.returncode != 0:
        raise StackError(f"pg_dump failed: {result.stderr.strip()}")
    return result.stdout


def _normalised(dump: str) -> str:
    return _NOISE.sub("", dump + "\n").strip() + "\n"
