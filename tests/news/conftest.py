"""News on a real server, in few words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from leo.activation.v1 import news_service_pb2 as wire
from leo_client import LeoClient

from server.embedded.database_setup import DatabaseUrls
from server.embeddings.hashing import HashingEmbedder
from server.embeddings.jobs import EmbeddingJobs
from server.embeddings.model import Patience
from server.embeddings.store import EmbeddingStore
from server.platform.clock import utc_now
from server.platform.postgres import Database
from tests.fixtures.server import ClientFor
from tests.fixtures.tenants import Tenant

SCOPES = ("news.read", "news.write")
NOON = 1_700_000_000


def item(title: str, content: str = "", *, at: int = NOON, **fields: object) -> wire.NewsItem:
    """A news item without URL."""
    return wire.NewsItem(
        title=title,
        content=content,
        published_at=Timestamp(seconds=at),
        **fields,  # type: ignore[arg-type]
    )


@dataclass(slots=True)
class Caller:
    """A tenant's client, in the words of these tests."""

    client: LeoClient

    async def ingest(self, *items: wire.NewsItem, shared: bool = False) -> list[wire.NewsWriteResult]:
        """Answers of IngestNews."""
        request = wire.IngestNewsRequest(items=items, **{"global": shared})
        return list((await self.client.news.IngestNews(request)).results)

    async def search(self, query: str = "", **filters: object) -> wire.SearchNewsResponse:
        """Answer of SearchNews."""
        request = wire.SearchNewsRequest(query=query, **filters)  # type: ignore[arg-type]
        answer: wire.SearchNewsResponse = await self.client.news.SearchNews(request)
        return answer

    async def titles(self, query: str = "", **filters: object) -> list[str]:
        """Headlines that a search finds, the best first."""
        return [hit.news.title for hit in (await self.search(query, **filters)).hits]


@pytest.fixture
def ann(client_for: ClientFor, tenant_a: Tenant) -> Caller:
    """A caller of tenant a, who may bring global news as well."""
    return Caller(client_for(tenant_a, [*SCOPES, "news.global"]))


@pytest.fixture
def bob(client_for: ClientFor, tenant_b: Tenant) -> Caller:
    """A caller of tenant b."""
    return Caller(client_for(tenant_b, SCOPES))


async def add_instruments(
    proof: asyncpg.Connection, owner: Tenant | None, instruments: Sequence[tuple[str, str, str]]
) -> None:
    """Symbols, names and metadata."""
    await proof.executemany(
        "insert into instruments (tenant_id, symbol, instrument_name, type, metadata)"
        " values ($1, $2, $3, 'STOCK', $4::jsonb)",
        [(None if owner is None else UUID(int=owner.int), *instrument) for instrument in instruments],
    )


async def embed_all(database: DatabaseUrls) -> None:
    """What a worker does."""
    opened = await Database.connect(
        database.worker_url, minimum_connections=1, maximum_connections=2, application_name="test"
    )
    jobs = EmbeddingJobs(
        database=opened,
        store=EmbeddingStore(),
        embedder=HashingEmbedder(),
        patience=Patience(attempts=3),
        lease=timedelta(minutes=1),
        clock=utc_now,
        worker="test",
    )
    await jobs.run()
    await opened.close()
