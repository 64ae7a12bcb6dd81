"""Waits for what PostgreSQL or a server is seen to do, never for time to pass."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

_DEADLINE_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.02


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Return once the condition holds; fails the test when it never does."""
    async with asyncio.timeout(_DEADLINE_SECONDS):
        while not await condition():  # noqa: ASYNC110 - what is awaited is in other processes
            await asyncio.sleep(_POLL_SECONDS)


async def waiting_for_locks(watcher: asyncpg.Connection, backends: int) -> None:
    """Return once so many backends of the database wait for a lock."""

    async def waits() -> bool:
        return len(await backends_in_lock_wait(watcher)) >= backends

    await until(waits)


async def backends_in_lock_wait(watcher: asyncpg.Connection) -> set[int]:
    """Pids of the database's backends that wait for a lock."""
    rows = await watcher.fetch(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return {row["pid"] for row in rows}


@asynccontextmanager
async def locked(url: str, table: str) -> AsyncIterator[None]:
    """Nobody writes the table while the block runs: recorders wait in their INSERT, after they reserved."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()
