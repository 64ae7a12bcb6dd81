"""The statements of `db/queries/profile_export.sql`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from server.platform.postgres import Connection
from server.platform.queries import Queries

SECTIONS: Final = (
    "profile",
    "consents",
    "tasks",
    "deliveries",
    "events",
    "snapshots",
    "alert_rules",
    "outcomes",
    "embedding_jobs",
)
"""What an export consists of, in its order."""

_ROWS_AT_ONCE: Final = 100


class ExportRequest(NamedTuple):
    """Who asked for an export of whom, when and why."""

    tenant_id: UUID
    task_id: str
    profile_id: str
    reason: str
    inputs: str
    requested_at: datetime


class ExportStore:
    """What is stored about one person, inside the tenant's transaction. One round trip a method, but for sections."""

    def __init__(self) -> None:
        self._queries = Queries.load("profile_export")

    async def find_subject(self, connection: Connection, tenant_id: UUID, profile_id: str) -> bool:
        """Whether there is anything about this id."""
        found: bool = await connection.fetchval(self._queries["find_subject"], tenant_id, profile_id)
        return found

    async def record_export(self, connection: Connection, request: ExportRequest) -> None:
        """Record the request as a task."""
        await connection.execute(self._queries["record_export"], *request)

    async def record_handover(
        self, connection: Connection, tenant_id: UUID, task_id: str, result: str, sha256: str
    ) -> None:
        """Record what was handed over, with the task."""
        await connection.execute(self._queries["record_handover"], tenant_id, task_id, result, sha256)

    async def begin_export(
        self, connection: Connection, tenant_id: UUID, profile_id: str
    ) -> tuple[datetime, datetime | None]:
        """The moment of the open transaction, and when the profile was erased."""
        row = await connection.fetchrow(self._queries["begin_export"], tenant_id, profile_id)
        assert row is not None
        return row["exported_at"], row["erased_at"]

    async def documents(
        self, connection: Connection, section: str, tenant_id: UUID, profile_id: str
    ) -> AsyncIterator[bytes]:
        """The rows of a section, one of `SECTIONS`, as JSON. One round trip for every hundred rows."""
        query = self._queries[f"export_{section}"]
        async for row in connection.cursor(query, tenant_id, profile_id, prefetch=_ROWS_AT_ONCE):
            yield row["document"].encode()
