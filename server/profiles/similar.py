"""Use case of look-alikes: who resembles a customer, or the members of a segment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from server.errors import NotFound, PreconditionFailed
from server.platform.postgres import Connection, Database
from server.profiles.similar_store import Compared, Origin, SimilarProfile, SimilarStore
from server.validation import Violations

_DEFAULT_LIMIT: Final = 10
_LARGEST_LIMIT: Final = 1_000


@dataclass(frozen=True, slots=True)
class SimilarLimits:
    """How far a search goes.

    Args:
        exact: up to so many vectors are compared one by one; more are searched by the index, which is not exact.
        profiles: of a tenant with more, without a look at how many have vectors, the index is asked.
        candidates: what the index brings for each search, at least; the vectors themselves then order them.
        per_result: candidates for each wanted result.
        visits: entries of the index, of all tenants, that a search looks at before it gives up.
        members: of a segment whose vectors make its mean.
    """

    exact: int = 5_000
    profiles: int = 20_000
    candidates: int = 1_000
    per_result: int = 4
    visits: int = 100_000
    members: int = 5_000


@dataclass(frozen=True, slots=True)
class LookAlikes:
    """What a search answers.

    Args:
        profiles: the most similar first.
        members: profiles that they were compared with: 1, or so many members of the segment.
        exact: whether every profile was compared, rather than what the index brought.
    """

    profiles: tuple[SimilarProfile, ...]
    model: str
    members: int
    exact: bool


class SimilarProfiles:
    """Finds look-alikes by the vectors of their interests.

    Args:
        model: of the vectors that a segment is compared by.
    """

    def __init__(
        self, *, database: Database, store: SimilarStore, model: str, limits: SimilarLimits = SimilarLimits()
    ) -> None:
        self._database = database
        self._store = store
        self._model = model
        self._limits = limits

    async def of_profile(self, tenant_id: UUID, profile_id: str, limit: int) -> LookAlikes:
        """Who resembles a profile, but the profile itself. PostgreSQL: 6 round trips.

        Raises:
            InvalidInput: the limit is out of range.
            NotFound: there is no such profile.
            PreconditionFailed: it has no vector yet.
        """
        _check(limit)
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            origin = await self._store.vector_of_profile(connection, tenant_id, profile_id)
            if origin is None:
                raise NotFound("profile", profile_id)
            return await self._nearest(connection, tenant_id, origin, limit, profile_id=profile_id)

    async def of_segment(
        self, tenant_id: UUID, segment: str, limit: int, *, include_members: bool
    ) -> LookAlikes:
        """Who resembles the members of a segment on the whole. PostgreSQL: 6 round trips.

        Args:
            include_members: whether members are among those that are found.

        Raises:
            InvalidInput: the limit is out of range.
            PreconditionFailed: none of its members has a vector yet, or it has no members.
        """
        _check(limit)
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            origin = await self._store.vector_of_segment(
                connection, tenant_id, segment, self._model, most=self._limits.members
            )
            left_out = None if include_members else segment
            return await self._nearest(connection, tenant_id, origin, limit, segment=left_out)

    async def _nearest(
        self,
        connection: Connection,
        tenant_id: UUID,
        origin: Origin,
        limit: int,
        *,
        profile_id: str | None = None,
        segment: str | None = None,
    ) -> LookAlikes:
        if origin.vector is None or origin.model is None:
            raise PreconditionFailed(
                "REFERENCE_MISSING",
                "there is no vector yet to compare with",
                {"missing": "interest_embedding"},
            )
        limits, compared = self._limits, Compared(origin.model, profile_id, segment)
        candidates = max(limits.candidates, limits.per_result * (limit or _DEFAULT_LIMIT))
        await self._store.prepare_search(connection, candidates=min(candidates, 1_000), visits=limits.visits)
        few = await self._are_few(connection, tenant_id, origin.model)
        search = (connection, tenant_id, compared, origin.vector, limit or _DEFAULT_LIMIT)
        if few:
            found = await self._store.nearest_of_few(*search)
        else:
            found = await self._store.nearest_of_many(*search, candidates=candidates)
        return LookAlikes(tuple(found), origin.model, origin.members, few)

    async def _are_few(self, connection: Connection, tenant_id: UUID, model: str) -> bool:
        profiles, compared = await self._store.count_compared(
            connection, tenant_id, model, most=self._limits.profiles + 1
        )
        return profiles <= self._limits.profiles and compared <= self._limits.exact


def _check(limit: int) -> None:
    violations = Violations()
    violations.between("limit", limit, 0, _LARGEST_LIMIT)
    violations.raise_if_any()
