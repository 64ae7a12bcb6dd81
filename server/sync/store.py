"""Sources in PostgreSQL: one method for each statement of `db/queries/sync.sql`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import UUID

import asyncpg
import orjson

from server.paging import Key
from server.platform.postgres import Connection
from server.platform.queries import Queries
from server.sync.documents import SYNCED_FROM
from server.sync.model import Condition, Counts, DataSource, Definition, Health, Outcome, SourceType

MOST_SOURCES: Final = 100
"""Of one tenant."""


class Claim(NamedTuple):
    """A source that a run has leased."""

    tenant_id: UUID
    source_id: str
    owner: str


class Stored(NamedTuple):
    """A source as it is stored, with its password as ciphertext."""

    source: DataSource
    secret: str | None


class Observed(NamedTuple):
    """How many active sources of all tenants are in which state, and how far the last of them lags behind."""

    healthy: int
    degraded: int
    failing: int
    unknown: int
    stale: int
    lag_seconds: float


class NameColumn(StrEnum):
    """The column of profiles that names the document of a source."""

    EXT_ID = "ext_id"
    PROFILE_ID = "profile_id"


class SourceStore:
    """One round trip a method; all but `claim`, `observe` and `list_tenants` inside the tenant's transaction."""

    def __init__(self) -> None:
        self._queries = Queries.load("sync")

    async def claim(self, connection: Connection, *, limit: int, lease: timedelta, owner: str) -> list[Claim]:
        """Lease sources that are due, of any tenant."""
        rows = await connection.fetch(self._queries["claim_data_sources"], limit, lease, owner)
        return [Claim(row["tenant_id"], row["source_id"], owner) for row in rows]

    async def observe(self, connection: Connection) -> Observed:
        """The states of all sources together."""
        row = await connection.fetchrow(self._queries["observe_data_sources"])
        assert row is not None, "an aggregate has a row"
        return Observed(**row)

    async def list_tenants(self, connection: Connection) -> list[UUID]:
        """Every active tenant."""
        return [row["tenant_id"] for row in await connection.fetch(self._queries["list_tenants"])]

    async def lock(self, connection: Connection, tenant_id: UUID, source_id: str) -> Stored | None:
        """One source, locked until the transaction ends."""
        return _stored(await connection.fetchrow(self._queries["lock_source"], tenant_id, source_id))

    async def get(self, connection: Connection, tenant_id: UUID, source_id: str) -> Stored | None:
        """One source."""
        return _stored(await connection.fetchrow(self._queries["get_source"], tenant_id, source_id))

    async def list(
        self, connection: Connection, tenant_id: UUID, *, after: Key, limit: int
    ) -> list[DataSource]:
        """Sources after a key, by id."""
        rows = await connection.fetch(self._queries["list_sources"], tenant_id, *after, limit)
        return [_source(row) for row in rows]

    async def lock_all(self, connection: Connection, tenant_id: UUID) -> None:
        """Let those who add sources to the tenant wait for each other until the transaction ends."""
        await connection.execute(self._queries["lock_sources"], tenant_id)

    async def insert(
        self, connection: Connection, tenant_id: UUID, definition: Definition, secret: str | None
    ) -> bool:
        """Whether it was stored: it is new, and the tenant has not as many as it may. Call `lock_all` before."""
        values = (*_values(definition, secret), MOST_SOURCES)
        return await connection.fetchval(self._queries["insert_source"], tenant_id, *values) is not None

    async def update(
        self,
        connection: Connection,
        tenant_id: UUID,
        definition: Definition,
        secret: str | None,
        *,
        reads_anew: bool,
    ) -> None:
        """Another definition of a locked source."""
        await connection.execute(
            self._queries["update_source"], tenant_id, *_values(definition, secret), reads_anew
        )

    async def set_status(
        self, connection: Connection, tenant_id: UUID, source_id: str, *, paused: bool
    ) -> None:
        """Pause it, or let it go on."""
        await connection.execute(self._queries["set_source_status"], tenant_id, source_id, paused)

    async def request(self, connection: Connection, tenant_id: UUID, source_id: str) -> None:
        """Make it due at once."""
        await connection.execute(self._queries["request_sync"], tenant_id, source_id)

    async def delete(self, connection: Connection, tenant_id: UUID, source_id: str) -> bool:
        """Whether there was one."""
        return await connection.fetchval(self._queries["delete_source"], tenant_id, source_id) is not None

    async def store_secret(
        self, connection: Connection, tenant_id: UUID, source_id: str, secret: str
    ) -> None:
        """Replace the ciphertext."""
        await connection.execute(self._queries["store_secret"], tenant_id, source_id, secret)

    async def begin_run(self, connection: Connection, claim: Claim) -> Stored | None:
        """What the run needs; None where the source is not its any more."""
        return _stored(await connection.fetchrow(self._queries["begin_run"], *claim))

    async def write_page(
        self,
        connection: Connection,
        claim: Claim,
        *,
        cursor: Mapping[str, Any],
        lease: timedelta,
        synced_until: datetime | None,
        page: Counts,
        run: Counts,
    ) -> bool:
        """Note what a page came to; False where the source is not the run's any more: then nothing may be written.

        Args:
            page, run: counts of this page, and of the whole run with it.
        """
        written = await connection.fetchval(
            self._queries["write_page"],
            *claim,
            orjson.dumps(cursor).decode(),
            lease,
            synced_until,
            page.read,
            page.written,
            page.rejected,
            page.suppressed,
            page.deleted,
            orjson.dumps(asdict(run)).decode(),
        )
        return written is not None

    async def end_run(
        self, connection: Connection, claim: Claim, outcome: Outcome, *, succeeded: bool
    ) -> None:
        """Give the lease back; nothing happens where it is another's."""
        await connection.execute(
            self._queries["end_run"],
            *claim,
            outcome.health.value,
            outcome.failures,
            outcome.error,
            succeeded,
            outcome.pause_seconds,
        )

    async def known_names(
        self,
        connection: Connection,
        tenant_id: UUID,
        column: NameColumn,
        *,
        source_id: str,
        prefix: str,
        after: str,
        limit: int,
    ) -> Sequence[str]:
        """Names after one, without the prefix that they all have, of profiles that a source brought and has not
        deleted."""
        marks = orjson.dumps({SYNCED_FROM: source_id}).decode()
        query = self._queries[f"known_{column.value}s"]
        rows = await connection.fetch(query, tenant_id, prefix + after, marks, limit, prefix)
        return [row["name"].removeprefix(prefix) for row in rows]

    async def leave_run(self, connection: Connection, claim: Claim) -> None:
        """Give the lease back in the middle of a run."""
        await connection.execute(self._queries["leave_run"], *claim)


def _values(definition: Definition, secret: str | None) -> tuple[object, ...]:
    return (
        definition.source_id,
        definition.source_name,
        definition.type.value,
        orjson.dumps(definition.connection).decode(),
        orjson.dumps(definition.mapping).decode(),
        definition.sync_frequency_seconds,
        definition.stale_after_seconds,
        definition.paused,
        secret,
    )


def _stored(row: asyncpg.Record | None) -> Stored | None:
    return None if row is None else Stored(_source(row), row["secret"])


def _source(row: asyncpg.Record) -> DataSource:
    return DataSource(_definition(row), _condition(row), row["has_password"])


def _definition(row: asyncpg.Record) -> Definition:
    return Definition(
        source_id=row["source_id"],
        source_name=row["source_name"],
        type=SourceType(row["source_type"]),
        connection=orjson.loads(row["connection"]),
        mapping=orjson.loads(row["mapping"]),
        sync_frequency_seconds=row["sync_frequency_seconds"],
        stale_after_seconds=row["stale_after_seconds"],
        paused=row["status"] == "paused",
    )


def _condition(row: asyncpg.Record) -> Condition:
    total = Counts(
        row["read_count"],
        row["ingested_count"],
        row["rejected_count"],
        row["suppressed_count"],
        row["deleted_count"],
    )
    return Condition(
        created_at=row["created_at"],
        health=Health(row["health"]),
        is_running=row["is_running"],
        failures=row["failures"],
        last_error=row["last_error"],
        last_sync_at=row["last_sync_at"],
        last_success_at=row["last_success_at"],
        due_at=row["due_at"],
        synced_until=row["synced_until"],
        cursor=orjson.loads(row["sync_cursor"]),
        total=total,
        last_run=Counts(**orjson.loads(row["last_run"])),
    )
