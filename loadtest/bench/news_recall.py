"""How much of what is nearest a search by vector finds: a small tenant among large ones, held against exact search."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import median
from typing import Final, TypeAlias
from uuid import UUID

import asyncpg
from leo.activation.v1 import news_service_pb2 as wire
from leo_client import LeoClient

from loadtest.bench.benchmark import Benchmark, Pair, Sample, Sizes
from loadtest.bench.driving import NotReconciled
from loadtest.bench.stage import Stage
from loadtest.bench.world import World, fill, tenant_client, tenant_id
from server.embedded.database_setup import DatabaseUrls
from server.embeddings.hashing import HashingEmbedder, hashed
from server.platform.postgres_codecs import register_codecs

Search: TypeAlias = Callable[[str], Awaitable[Sequence[Hashable]]]
"""The ids that a search by vector finds, the nearest first."""

TOP: Final = 10
_QUERIES: Final = 40
_VOCABULARY: Final = 5
_NEWEST: Final = datetime(2026, 1, 1, tzinfo=UTC)
# Of all items: three tenants' and, after them, the global ones and those of a small tenant.
_SHARES: Final = (0.55, 0.3, 0.06, 0.085, 0.005)
_NAMES: Final = ("largest", "large", "middle", "small")
_GLOBAL: Final = 3
_EXACT: Final = """
select news_id
from news_feed
where tenant_id = $1 or tenant_id is null
order by content_embedding <=> $2, news_id
limit $3
"""


class Corpus:
    """Headlines about made-up companies and markets: words recur as they do, a few often and most seldom.

    Each has the same words, so that one asks for what another says.
    """

    def __init__(self, seed: int) -> None:
        words = random.Random(_VOCABULARY)
        self._random = random.Random(seed)
        self._words = [
            "".join(
                words.choice("bdfgklmnprstvz") + words.choice("aeiou") for _ in range(words.randint(2, 4))
            )
            for _ in range(4_000)
        ]
        self._weights = [1 / (place + 10) for place in range(len(self._words))]

    def headline(self, words: int = 9) -> str:
        """So many words."""
        return " ".join(self._random.choices(self._words, self._weights, k=words))


async def fill_news(proof: asyncpg.Connection, owner: UUID | None, titles: Sequence[str]) -> None:
    """News with their vectors, of a tenant or global."""
    await register_codecs(proof)
    rows = (
        (
            owner,
            hashlib.sha256(f"{place}{title}".encode()).hexdigest(),
            title,
            _NEWEST - timedelta(minutes=place),
            hashed(title),
            HashingEmbedder.model,
        )
        for place, title in enumerate(titles)
    )
    columns = ("tenant_id", "content_sha256", "title", "published_at", "content_embedding", "embedding_model")
    await proof.copy_records_to_table("news_feed", columns=columns, records=rows)


async def exact(proof: asyncpg.Connection, tenant: UUID, queries: Sequence[str]) -> list[list[int]]:
    """The ids of what is nearest to each query, by comparing everything that the tenant sees."""
    await register_codecs(proof)
    async with proof.transaction():
        await proof.execute("set local enable_indexscan = off")
        answers = [await proof.fetch(_EXACT, UUID(int=tenant.int), hashed(query), TOP) for query in queries]
    return [[row["news_id"] for row in rows] for rows in answers]


async def recall_of(queries: Sequence[str], nearest: Sequence[Sequence[Hashable]], search: Search) -> float:
    """The share of what is nearest that searches find, over all queries.

    Raises:
        NotReconciled: a search found fewer than ten.
    """
    found = 0
    for query, wanted in zip(queries, nearest, strict=True):
        ids = list(await search(query))[:TOP]
        if len(ids) < TOP:
            raise NotReconciled(f"a search found {len(ids)} items of {TOP}")
        found += len(set(ids) & set(wanted))
    return found / (TOP * len(queries))


def of_items(nominal: int) -> Callable[[Stage, Sizes, int], Awaitable[list[Pair]]]:
    """Rounds on one database; each asks other queries, of each tenant in turn."""

    async def rounds(stage: Stage, sizes: Sizes, count: int) -> list[Pair]:
        items = max(1_000, int(nominal * sizes.share))
        async with stage.database() as database:
            await fill(database, World(len(_SHARES) - 1, 0), definitions=False)
            await _fill(database, items)
            async with stage.server(database) as server:
                return [(await _round(stage, database, server.address, items, n), None) for n in range(count)]

    return rounds


async def _fill(database: DatabaseUrls, items: int) -> None:
    proof = await asyncpg.connect(database.proof_url)
    corpus = Corpus(7)
    for number, share in enumerate(_SHARES):
        owner = None if number == _GLOBAL else await tenant_id(proof, number - (number > _GLOBAL))
        await fill_news(proof, owner, [corpus.headline() for _ in range(round(items * share))])
    await proof.close()


async def _round(stage: Stage, database: DatabaseUrls, address: str, items: int, number: int) -> Sample:
    proof = await asyncpg.connect(database.proof_url)
    corpus, figures = Corpus(100 + number), {}
    for tenant, name in enumerate(_NAMES):
        queries = [corpus.headline(5) for _ in range(_QUERIES)]
        seconds: list[float] = []
        async with LeoClient(address, token=stage.token(tenant_client(tenant), ("news.read",))) as client:
            nearest = await exact(proof, await tenant_id(proof, tenant), queries)
            figures[name] = await recall_of(queries, nearest, partial(_search, client, seconds))
        figures[f"{name}_p50_ms"] = median(seconds) * 1000
    stored: int = await proof.fetchval("select count(*) from news_feed")
    await proof.close()
    return Sample(min(figures[name] for name in _NAMES), {"rows": stored, "items": items, **figures})


async def _search(client: LeoClient, seconds: list[float], query: str) -> list[int]:
    """The best by vector stand among the first of both orders together."""
    begin = time.perf_counter()
    answer = await client.news.SearchNews(wire.SearchNewsRequest(query=query, limit=100))
    seconds.append(time.perf_counter() - begin)
    by_place = {hit.vector_place: hit.news.news_id for hit in answer.hits if hit.vector_place}
    return [by_place[place] for place in sorted(by_place)]


BENCHMARKS = (Benchmark("news_recall", "share of the exact top 10", of_items(50_000), detailed=True),)
