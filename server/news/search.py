"""Finds news by words and by vector, within what a tenant may see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

from server.news.model import (
    Found,
    NewsHit,
    NewsQuery,
    Place,
    SearchMode,
    SearchResult,
    fused,
)
from server.news.store import NewsStore
from server.platform.postgres import Connection, Database

_DEFAULT_LIMIT: Final = 10
_SHOWN_CHARACTERS: Final = 2_000


class QueryVectors(Protocol):
    """Makes vectors of what people search for, by the model that also embeds the news."""

    @property
    def model(self) -> str:
        """Its name."""
        ...

    async def vector_of(self, text: str) -> Sequence[float] | None:
        """The vector; None where it can not be had in time."""
        ...


@dataclass(frozen=True, slots=True)
class SearchLimits:
    """How far a search by vector goes.

    Args:
        exact: up to so many items are compared one by one; more are searched by the index, which is not exact.
        depth: places of each order that are fused, at least.
        candidates: what the index keeps at a time; more find better, and cost more.
        visits: entries of the index, of all tenants, that a search looks at before it gives up.
    """

    exact: int = 2_000
    depth: int = 50
    candidates: int = 1_000
    visits: int = 100_000


class NewsSearch:
    """Searches.

    Args:
        vectors: of what people search for.
    """

    def __init__(
        self,
        *,
        database: Database,
        store: NewsStore,
        vectors: QueryVectors,
        limits: SearchLimits = SearchLimits(),
    ) -> None:
        self._database = database
        self._store = store
        self._vectors = vectors
        self._limits = limits

    async def search_news(self, tenant_id: UUID, query: NewsQuery) -> SearchResult:
        """The news that fit best. PostgreSQL: 4 round trips for the newest, 7 for a search.

        Raises:
            InvalidInput: with every fault.
        """
        query.check()
        limit = query.limit or _DEFAULT_LIMIT
        if not query.text.strip():
            return await self._newest(tenant_id, query, limit)
        vector = await self._vectors.vector_of(query.text)
        depth = max(self._limits.depth, limit)
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            await self._store.prepare_search(
                connection, candidates=self._limits.candidates, visits=self._limits.visits
            )
            by_text = await self._store.search_text(connection, tenant_id, query.text, query.wanted, depth)
            by_vector = (
                await self._nearest(connection, tenant_id, query, vector, depth) if vector is not None else []
            )
            places = fused(by_text, by_vector, limit)
            hits = await self._hits(connection, tenant_id, places)
        return SearchResult(hits, SearchMode.TEXT_ONLY if vector is None else SearchMode.HYBRID)

    async def _newest(self, tenant_id: UUID, query: NewsQuery, limit: int) -> SearchResult:
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            found = await self._store.search_newest(connection, tenant_id, query.wanted, limit)
            places = [Place(each.news_id, 0.0, 0, 0) for each in found]
            hits = await self._hits(connection, tenant_id, places)
        return SearchResult(hits, SearchMode.NEWEST)

    async def _nearest(
        self,
        connection: Connection,
        tenant_id: UUID,
        query: NewsQuery,
        vector: Sequence[float],
        depth: int,
    ) -> list[Found]:
        """Few are compared one by one: the index would visit those of all other tenants to find them."""
        model, most = self._vectors.model, self._limits.exact
        passing = await self._store.count_searched(connection, tenant_id, model, query.wanted, most + 1)
        return await self._store.search_vector(
            connection, tenant_id, model, vector, query.wanted, depth, few=passing <= most
        )

    async def _hits(
        self, connection: Connection, tenant_id: UUID, places: Sequence[Place]
    ) -> tuple[NewsHit, ...]:
        news = await self._store.load_news(
            connection, tenant_id, [place.news_id for place in places], characters=_SHOWN_CHARACTERS
        )
        return tuple(NewsHit(news[place.news_id], place) for place in places if place.news_id in news)
