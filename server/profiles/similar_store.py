"""Look-alikes in PostgreSQL: one method for each named query of db/queries/similar_profiles.sql."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias
from uuid import UUID

import orjson

from server.platform.postgres import Connection
from server.platform.queries import Queries

Vector: TypeAlias = Sequence[float]


class Origin(NamedTuple):
    """What profiles are compared with.

    Args:
        vector: None where there is none yet.
        members: profiles that it was made of.
    """

    vector: Vector | None
    model: str | None
    members: int


class SimilarProfile(NamedTuple):
    """A look-alike.

    Args:
        similarity: cosine of the two vectors, -1 to 1.
    """

    profile_id: str
    similarity: float


class Compared(NamedTuple):
    """Which profiles are compared.

    Args:
        profile_id: one that is left out; None leaves nobody out.
        segment: one whose members are left out; None leaves nobody out.
    """

    model: str
    profile_id: str | None
    segment: str | None


class SimilarStore:
    """Every method is one statement and one round trip, inside the caller's open transaction."""

    def __init__(self) -> None:
        self._queries = Queries.load("similar_profiles")

    async def prepare_search(self, connection: Connection, *, candidates: int, visits: int) -> None:
        """Let the open transaction search."""
        await connection.execute(self._queries["prepare_search"], str(candidates), str(visits))

    async def vector_of_profile(
        self, connection: Connection, tenant_id: UUID, profile_id: str
    ) -> Origin | None:
        """The profile's own vector; None where there is no such profile."""
        row = await connection.fetchrow(self._queries["vector_of_profile"], tenant_id, profile_id)
        return Origin(row["vector"], row["model"], 1) if row else None

    async def vector_of_segment(
        self, connection: Connection, tenant_id: UUID, segment: str, model: str, *, most: int
    ) -> Origin:
        """The mean of its members' vectors."""
        row = await connection.fetchrow(
            self._queries["vector_of_segment"], tenant_id, _named(segment), model, most
        )
        assert row is not None
        return Origin(row["vector"], model, row["members"])

    async def count_compared(
        self, connection: Connection, tenant_id: UUID, model: str, *, most: int
    ) -> tuple[int, int]:
        """Of the first profiles of a tenant: how many there are, and how many have a vector of the model."""
        row = await connection.fetchrow(self._queries["count_compared"], tenant_id, model, most)
        assert row is not None
        return row["profiles"], row["compared"]

    async def nearest_of_few(
        self, connection: Connection, tenant_id: UUID, compared: Compared, vector: Vector, limit: int
    ) -> list[SimilarProfile]:
        """The nearest, by comparing all."""
        rows = await connection.fetch(
            self._queries["nearest_of_few"], tenant_id, *_arguments(compared, vector), limit
        )
        return [SimilarProfile(*row) for row in rows]

    async def nearest_of_many(
        self,
        connection: Connection,
        tenant_id: UUID,
        compared: Compared,
        vector: Vector,
        limit: int,
        *,
        candidates: int,
    ) -> list[SimilarProfile]:
        """The nearest, by the index."""
        rows = await connection.fetch(
            self._queries["nearest_of_many"], tenant_id, *_arguments(compared, vector), limit, candidates
        )
        return [SimilarProfile(*row) for row in rows]


def _arguments(compared: Compared, vector: Vector) -> tuple[object, ...]:
    segment = None if compared.segment is None else _named(compared.segment)
    return compared.model, vector, compared.profile_id, segment


def _named(segment: str) -> str:
    return orjson.dumps([segment]).decode()
