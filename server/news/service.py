"""Use cases of news."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from server.errors import PermissionDenied
from server.news.linkers import Linkers
from server.news.model import (
    GLOBAL_NEWS_SCOPE,
    MOST_ITEMS,
    Found,
    IngestResult,
    NewsHit,
    NewsItem,
    NewsQuery,
    Outcome,
    Place,
    SearchMode,
    SearchResult,
    fused,
)
from server.news.store import Kept, NewsStore
from server.platform.postgres import Connection, Database
from server.validation import Violations

WORK_QUEUE: Final = "embeddings"
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


class WakeUp(Protocol):
    """Tells workers that there is work."""

    async def notify(self, queue: str) -> None:
        """Returns at once."""
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
    candidates: int = 200
    visits: int = 100_000


class NewsService:
    """Takes news in and finds them.

    Args:
        wake_up: told that there are news to embed.
        clock: the present time, which news may be a day ahead of.
    """

    def __init__(
        self,
        *,
        database: Database,
        store: NewsStore,
        vectors: QueryVectors,
        wake_up: WakeUp,
        clock: Callable[[], datetime],
        limits: SearchLimits = SearchLimits(),
    ) -> None:
        self._database = database
        self._store = store
        self._vectors = vectors
        self._wake_up = wake_up
        self._clock = clock
        self._limits = limits
        self._linkers = Linkers(store)

    async def ingest_news(
        self, tenant_id: UUID, items: Sequence[NewsItem], *, shared: bool, may_share: bool
    ) -> list[IngestResult]:
        """Store items, each answered; all good ones in one transaction. PostgreSQL: 4 to 7 round trips.

        Texts are searched for instruments in a thread.

        Args:
            shared: whether they are for every tenant.
            may_share: whether the caller may bring such ones.

        Raises:
            PermissionDenied: they are shared, and the caller may not.
            InvalidInput: there are none, or too many.
        """
        if shared and not may_share:
            raise PermissionDenied(
                "SCOPE_MISSING",
                "global news need a scope of their own",
                {"required_scope": GLOBAL_NEWS_SCOPE},
            )
        refused = _refused(items, self._clock())
        good = {item.content_sha256: item for place, item in enumerate(items) if place not in refused}
        stored, created = await self._store_news(tenant_id, good, shared=shared) if good else ({}, set())
        if created:
            await self._wake_up.notify(WORK_QUEUE)
        return _results(items, refused, stored, created)

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

    async def _store_news(
        self, tenant_id: UUID, good: dict[str, NewsItem], *, shared: bool
    ) -> tuple[dict[str, Kept], set[str]]:
        """What is stored now by hash, and which of it is new."""
        owner = None if shared else tenant_id
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            linker = await self._linkers.get(connection, owner)
            known = await self._store.find_news(connection, owner, list(good))
        new = [(key, item) for key, item in good.items() if key not in known]
        if not new:
            return known, set()
        linked = await asyncio.to_thread(
            lambda: [
                (key, item, linker.symbols(item.title, item.content, item.tagged_symbols))
                for key, item in new
            ]
        )
        async with self._database.tenant_transaction(tenant_id) as connection:
            if shared:
                await self._store.allow_global_news(connection)
            created = await self._store.insert_news(connection, owner, linked)
            missed = [key for key, _ in new if key not in created]
            others = await self._store.find_news(connection, owner, missed) if missed else {}
        return known | created | others, set(created)

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


def _refused(items: Sequence[NewsItem], now: datetime) -> dict[int, IngestResult]:
    """The items with faults, by their place."""
    whole = Violations()
    whole.count("items", items, lowest=1, highest=MOST_ITEMS)
    whole.raise_if_any()
    refused = {}
    for place, item in enumerate(items):
        violations = Violations(f"items[{place}]")
        item.check(violations, now=now)
        if violations.found:
            refused[place] = IngestResult(Outcome.REFUSED, faults=violations.found)
    return refused


def _results(
    items: Sequence[NewsItem],
    refused: dict[int, IngestResult],
    stored: dict[str, Kept],
    created: set[str],
) -> list[IngestResult]:
    """An answer for each item: of several alike, the first is the new one."""
    results, unseen = [], set(created)
    for place, item in enumerate(items):
        if place in refused:
            results.append(refused[place])
            continue
        key = item.content_sha256
        outcome = Outcome.CREATED if key in unseen else Outcome.DUPLICATE
        unseen.discard(key)
        results.append(IngestResult(outcome, stored[key].news_id, stored[key].related_symbols))
    return results
