"""The statements of news use their indexes as the serving role, with two tenants and global news."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import asyncpg

from server.embedded.database_setup import DatabaseUrls
from server.embeddings.hashing import HashingEmbedder, hashed
from server.platform.postgres_codecs import register_codecs
from server.platform.queries import Queries
from tests.fixtures.tenants import Tenant

MODEL = HashingEmbedder.model
ANY = (None, None, None, None)
_NEWS = """
insert into news_feed (tenant_id, content_sha256, title, content, published_at, related_symbols, embedding_model,
    content_embedding)
select $1, 'h' || n, 'word' || n % 900 || ' news', 'of the market', now() - n * interval '1 minute',
    array['S' || n % 900], $3,
    case when n <= 300 then
        (select array_agg(sin(n * place)) from generate_series(1, 1536) as place)::vector
    end
from generate_series(1, $2::int) as n
"""
_JOBS = """
insert into embedding_job (tenant_id, entity_type, entity_id)
select tenant_id, 'news', news_id::text from news_feed
"""


async def indexes_of(connection: asyncpg.Connection, query: str, *arguments: Any) -> str:
    """The plan, as text."""
    rows = await connection.fetch(f"explain {query}", *arguments)
    return "\n".join(row[0] for row in rows)


async def test_every_search_uses_its_index(
    database: DatabaseUrls,
    app: asyncpg.Connection,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
    tenant_b: Tenant,
) -> None:
    for owner in (UUID(int=tenant_a.int), UUID(int=tenant_b.int), None):
        await proof.execute(_NEWS, owner, 6_000, MODEL)
    await proof.execute(_JOBS)
    superuser = await asyncpg.connect(database.superuser_url)
    await superuser.execute("analyze")
    await superuser.close()
    worker = await asyncpg.connect(database.worker_url)
    for connection in (app, worker):
        await register_codecs(connection)
        await connection.execute("select set_config('app.current_tenant_id', $1, false)", str(tenant_a))
    tenant, news = UUID(int=tenant_a.int), Queries.load("news")
    some = [await proof.fetchval("select news_id from news_feed where tenant_id = $1 limit 1", tenant)]
    asked: list[tuple[asyncpg.Connection, str, str, tuple[Any, ...]]] = [
        (app, "news_feed_content", news["find_news"], (tenant, ["h7", "h8"])),
        (app, "news_feed_search", news["search_text"], (tenant, "word77", None, *ANY, 10)),
        (app, "news_feed_embedding", news["search_many"], (tenant, MODEL, None, *ANY, 10, hashed("x"))),
        (app, "news_feed_symbols", news["search_newest"], (tenant, ["S77"], *ANY, 10)),
        (app, "news_feed_published", news["search_newest"], (tenant, None, *ANY, 10)),
        (app, "news_feed_symbols", news["count_searched"], (tenant, MODEL, ["S77"], *ANY, 2000)),
        (app, "news_feed_news", news["load_news"], (tenant, some, 100)),
        (worker, "embedding_job_entity", Queries.load("embeddings")["load_news"], (tenant, [str(some[0])])),
    ]
    missed = {}
    for connection, index, query, arguments in asked:
        async with connection.transaction():
            await connection.execute(news["prepare_search"], "200", "20000")
            plan = await indexes_of(connection, query, *arguments)
        if index not in plan:
            missed[index] = plan
    await worker.close()
    assert missed == {}
