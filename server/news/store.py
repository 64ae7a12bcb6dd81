"""News in PostgreSQL: one method for each named query of db/queries/news.sql."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import orjson

from server.news.linking import Named
from server.news.model import Found, NewsFilter, NewsItem, StoredNews
from server.platform.postgres import Connection
from server.platform.queries import Queries


class Kept(NamedTuple):
    """A stored item."""

    news_id: int
    related_symbols: tuple[str, ...]


class NewsStore:
    """Every method is one statement and one round trip, inside the caller's open transaction."""

    def __init__(self) -> None:
        self._queries = Queries.load("news")

    async def allow_global_news(self, connection: Connection) -> None:
        """Let the open transaction write global news."""
        await connection.execute(self._queries["allow_global_news"])

    async def instruments_version(self, connection: Connection, owner: UUID | None) -> str:
        """Equal as long as the instruments are that news of the owner can be linked with."""
        return str(await connection.fetchval(self._queries["instruments_version"], owner))

    async def list_named(self, connection: Connection, owner: UUID | None) -> list[Named]:
        """The instruments that news of the owner can be linked with; None: the global ones alone."""
        rows = await connection.fetch(self._queries["list_named"], owner)
        return [_named(row) for row in rows]

    async def insert_news(
        self,
        connection: Connection,
        owner: UUID | None,
        items: Sequence[tuple[str, NewsItem, Sequence[str]]],
    ) -> dict[str, Kept]:
        """Insert items (each with its hash and its symbols) and queue them; answers the new ones by hash."""
        columns: list[list[Any]] = [
            [key for key, _, _ in items],
            [item.title for _, item, _ in items],
            [item.content for _, item, _ in items],
            [item.source_name.strip() for _, item, _ in items],
            [item.source_url.strip() for _, item, _ in items],
            [item.language for _, item, _ in items],
            [item.published_at for _, item, _ in items],
            [orjson.dumps(list(symbols)) for _, _, symbols in items],
            [item.sentiment for _, item, _ in items],
            [item.metadata or b"{}" for _, item, _ in items],
        ]
        return _kept(await connection.fetch(self._queries["insert_news"], owner, *columns))

    async def find_news(
        self, connection: Connection, owner: UUID | None, keys: Sequence[str]
    ) -> dict[str, Kept]:
        """Stored items by hash."""
        return _kept(await connection.fetch(self._queries["find_news"], owner, keys))

    async def prepare_search(self, connection: Connection, *, candidates: int, visits: int) -> None:
        """Let the open transaction search: plans for the values at hand, and an index scan that goes on."""
        await connection.execute(self._queries["prepare_search"], str(candidates), str(visits))

    async def search_text(
        self, connection: Connection, tenant_id: UUID, text: str, wanted: NewsFilter, limit: int
    ) -> list[Found]:
        """By words, the best first."""
        rows = await connection.fetch(self._queries["search_text"], tenant_id, text, *_filters(wanted), limit)
        return _found(rows)

    async def count_searched(
        self, connection: Connection, tenant_id: UUID, model: str, wanted: NewsFilter, limit: int
    ) -> int:
        """How many have a vector and pass, counted up to the limit."""
        return int(
            await connection.fetchval(
                self._queries["count_searched"], tenant_id, model, *_filters(wanted), limit
            )
        )

    async def search_vector(
        self,
        connection: Connection,
        tenant_id: UUID,
        model: str,
        vector: Sequence[float],
        wanted: NewsFilter,
        limit: int,
        *,
        few: bool,
    ) -> list[Found]:
        """By vector, the nearest first: exactly where few pass, else by the index."""
        query = self._queries["search_few" if few else "search_many"]
        rows = await connection.fetch(query, tenant_id, model, *_filters(wanted), limit, vector)
        return _found(rows)

    async def search_newest(
        self, connection: Connection, tenant_id: UUID, wanted: NewsFilter, limit: int
    ) -> list[Found]:
        """By time, the newest first."""
        rows = await connection.fetch(self._queries["search_newest"], tenant_id, *_filters(wanted), limit)
        return _found(rows)

    async def load_news(
        self, connection: Connection, tenant_id: UUID, news_ids: Sequence[int], *, characters: int
    ) -> dict[int, StoredNews]:
        """Items by id, long texts cut."""
        rows = await connection.fetch(self._queries["load_news"], tenant_id, news_ids, characters)
        return {row["news_id"]: _stored(row) for row in rows}


def _filters(wanted: NewsFilter) -> tuple[Any, ...]:
    return (
        list(wanted.symbols) or None,
        wanted.published_from,
        wanted.published_until,
        wanted.minimum_sentiment,
        wanted.maximum_sentiment,
    )


def _named(row: asyncpg.Record) -> Named:
    aliases = [alias for alias in orjson.loads(row["aliases"]) if isinstance(alias, str)]
    return Named(row["symbol"], (row["instrument_name"], *aliases), bool(row["cashtag_only"]))


def _kept(rows: Sequence[asyncpg.Record]) -> dict[str, Kept]:
    return {row["content_sha256"]: Kept(row["news_id"], tuple(row["related_symbols"])) for row in rows}


def _found(rows: Sequence[asyncpg.Record]) -> list[Found]:
    return [Found(row["news_id"], row["content_sha256"], row["shared"]) for row in rows]


def _stored(row: asyncpg.Record) -> StoredNews:
    sentiment = row["sentiment_score"]
    return StoredNews(
        news_id=row["news_id"],
        shared=row["shared"],
        title=row["title"],
        content=row["content"],
        source_name=row["source_name"] or "",
        source_url=row["source_url"] or "",
        language=row["language"] or "",
        published_at=row["published_at"],
        sentiment_score=None if sentiment is None else float(sentiment),
        related_symbols=tuple(row["related_symbols"]),
        metadata=row["metadata"].encode(),
    )
