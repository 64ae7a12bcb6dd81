"""Use case of taking news in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from server.errors import PermissionDenied
from server.news.linkers import Linkers
from server.news.model import (
    GLOBAL_NEWS_SCOPE,
    MOST_ITEMS,
    IngestResult,
    NewsItem,
    Outcome,
)
from server.news.store import Kept, NewsStore
from server.platform.postgres import Database
from server.validation import Violations

WORK_QUEUE: Final = "embeddings"


class WakeUp(Protocol):
    """Tells workers that there is work."""

    async def notify(self, queue: str) -> None:
        """Returns at once."""
        ...


class NewsService:
    """Takes news in.

    Args:
        wake_up: told that there are news to embed.
        clock: the present time, which news may be a day ahead of.
    """

    def __init__(
        self,
        *,
        database: Database,
        store: NewsStore,
        wake_up: WakeUp,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._store = store
        self._wake_up = wake_up
        self._clock = clock
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
