"""The statements of `db/queries/erasure.sql`, one method each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import orjson

from server.platform.postgres import Connection
from server.platform.queries import Queries


class Erased(NamedTuple):
    """How far an erasure has come.

    Args:
        task_id: keeps who asked, when and why.
        erased_at: when it was begun.
        complete: whether nothing is left to redact.
        rows: how many rows were redacted so far, by table.
    """

    profile_id: str
    task_id: str
    erased_at: datetime
    complete: bool
    rows: Mapping[str, int]


class ErasureStore:
    """Erasures and the list of erased people, inside the tenant's transaction. One round trip a method."""

    def __init__(self) -> None:
        self._queries = Queries.load("erasure")

    async def has_erased(self, connection: Connection, tenant_id: UUID) -> bool:
        """Whether anybody of the tenant was erased."""
        found: bool = await connection.fetchval(self._queries["has_erased"], tenant_id)
        return found

    async def find_erased(
        self, connection: Connection, tenant_id: UUID, profile_ids: Sequence[str]
    ) -> frozenset[str]:
        """Those of these profiles that were erased."""
        rows = await connection.fetch(self._queries["find_erased"], tenant_id, list(profile_ids))
        return frozenset(row["profile_id"] for row in rows)

    async def find_suppressed(
        self, connection: Connection, tenant_id: UUID, hashes: Sequence[str]
    ) -> dict[str, str]:
        """The erased profile of each of these hashes that is on the list."""
        rows = await connection.fetch(self._queries["find_suppressed"], tenant_id, list(hashes))
        return {row["name"]: row["profile_id"] for row in rows}

    async def erase_profile(
        self,
        connection: Connection,
        profile_id: str,
        *,
        asked_by: str,
        reason: str,
        hashes: Sequence[str],
        rows: int,
    ) -> Erased | None:
        """Begin or go on; None where nothing is stored of such a person. Waits for writers that run now.

        Args:
            hashes: what is kept of the person's names.
            rows: how many of each table are redacted now.
        """
        row = await connection.fetchrow(
            self._queries["erase_profile"], profile_id, asked_by, reason, list(hashes), rows
        )
        if row is None:
            return None
        return Erased(
            profile_id,
            row["task_id"],
            row["erased_at"],
            row["complete"],
            orjson.loads(row["counts"] or b"{}"),
        )

    async def readmit_profile(
        self, connection: Connection, profile_id: str, *, asked_by: str, reason: str
    ) -> bool:
        """Whether there was such an erased person."""
        found: bool = await connection.fetchval(
            self._queries["readmit_profile"], profile_id, asked_by, reason
        )
        return found

    async def claim_erasures(
        self, connection: Connection, *, limit: int, lease: timedelta, owner: str
    ) -> list[tuple[UUID, str]]:
        """Lease erasures that were begun and are not complete: tenant and task. No tenant needs to be in context."""
        rows = await connection.fetch(self._queries["claim_erasures"], limit, lease, owner)
        return [(row["tenant_id"], row["task_id"]) for row in rows]

    async def load_erasure(self, connection: Connection, tenant_id: UUID, task_id: str) -> str:
        """The profile of an erasure."""
        profile_id: str = await connection.fetchval(self._queries["load_erasure"], tenant_id, task_id)
        return profile_id
