"""Reads of recorded decisions: one method for each named query of db/queries/replay.sql."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from server.platform.postgres import Connection
from server.platform.queries import Queries


class ReplayStore:
    """Every method is one statement and one round trip, inside the caller's open transaction."""

    def __init__(self) -> None:
        self._queries = Queries.load("replay")

    async def find_recorded(
        self, connection: Connection, tenant_id: UUID, task_id: str
    ) -> asyncpg.Record | None:
        """One decision, or None where the tenant has none of this id."""
        return await connection.fetchrow(self._queries["find_recorded"], tenant_id, task_id)

    async def find_bundle(self, connection: Connection, tenant_id: UUID, bundle_id: str) -> str | None:
        """The document of a stored rule bundle, or None."""
        document: str | None = await connection.fetchval(self._queries["find_bundle"], tenant_id, bundle_id)
        return document

    async def slice_decisions(
        self, connection: Connection, tenant_id: UUID, since: datetime, until: datetime, parts: int
    ) -> Sequence[asyncpg.Record]:
        """Even parts of the decisions made in [since, until): `begins_at`, `decisions`."""
        return await connection.fetch(self._queries["slice_decisions"], tenant_id, since, until, parts)

    async def page_decisions(
        self,
        connection: Connection,
        tenant_id: UUID,
        after: tuple[datetime, str],
        until: datetime,
        limit: int,
    ) -> Sequence[asyncpg.Record]:
        """The next decisions made before `until`.

        Args:
            after: time and task of the last one that is known; the span's beginning and "" at first.
        """
        return await connection.fetch(self._queries["page_decisions"], tenant_id, *after, until, limit)
