"""A search by vector finds what is nearest, also for a small tenant among large ones."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from uuid import UUID

import asyncpg
import pytest

from loadtest.bench.news_recall import Corpus, exact, fill_news, recall_of
from server.embedded.database_setup import DatabaseUrls
from server.embeddings.hashing import HashingEmbedder
from server.embeddings.query_vectors import QueryVectors
from server.news.model import NewsFilter, NewsQuery
from server.news.search import NewsSearch, SearchLimits
from server.news.store import NewsStore
from server.platform.clock import utc_now
from server.platform.postgres import Database
from tests.fixtures.tenants import Tenant, register_tenant

ITEMS = 1_500


@pytest.fixture
async def opened(database: DatabaseUrls) -> AsyncIterator[Database]:
    opened = await Database.connect(
        database.app_url, minimum_connections=1, maximum_connections=2, application_name="test"
    )
    yield opened
    await opened.close()


def search_of(opened: Database, limits: SearchLimits) -> NewsSearch:
    vectors = QueryVectors(embedder=HashingEmbedder(), clock=utc_now)
    return NewsSearch(database=opened, store=NewsStore(), vectors=vectors, limits=limits)


async def nearest_of(search: NewsSearch, tenant_id: UUID, query: str) -> list[int]:
    """What a search finds by vector."""
    result = await search.search_news(tenant_id, NewsQuery(query, NewsFilter(), 100))
    places = {hit.place.vector: hit.news.news_id for hit in result.hits if hit.place.vector}
    return [places[place] for place in sorted(places)]


async def test_a_small_tenant_among_large_ones_gets_its_full_top_ten(
    opened: Database, database: DatabaseUrls, proof: asyncpg.Connection, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    """By the index alone, which goes on until it has found enough, and as it is set: few are compared one by one."""
    corpus = Corpus(7)
    small = await register_tenant(database, Tenant("tenant-c"))
    shares: list[tuple[Tenant | None, float]] = [
        (tenant_a, 0.7),
        (tenant_b, 0.24),
        (None, 0.05),
        (small, 0.01),
    ]
    for owner, share in shares:
        owner_id = None if owner is None else UUID(int=owner.int)
        await fill_news(proof, owner_id, [corpus.headline() for _ in range(round(ITEMS * share))])
    queries = [corpus.headline(5) for _ in range(8)]

    for tenant in (tenant_a, tenant_b, small):
        nearest = await exact(proof, tenant, queries)
        for limits in (SearchLimits(exact=0), SearchLimits()):
            search = partial(nearest_of, search_of(opened, limits), UUID(int=tenant.int))
            assert await recall_of(queries, nearest, search) >= 0.95
