"""Keeps linkers, since making one reads every instrument, and news come one by one as well."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final
from uuid import UUID

from server.news.linking import Linker
from server.news.store import NewsStore
from server.platform.postgres import Connection

_MOST: Final = 32


class Linkers:
    """The linkers of the owners of news that were used last; each is as the instruments are."""

    def __init__(self, store: NewsStore) -> None:
        self._store = store
        self._kept: OrderedDict[UUID | None, tuple[str, Linker]] = OrderedDict()

    async def get(self, connection: Connection, owner: UUID | None) -> Linker:
        """The owner's linker; None: that of global news. PostgreSQL: 1 round trip, 2 where instruments changed."""
        version = await self._store.instruments_version(connection, owner)
        kept = self._kept.pop(owner, None)
        if kept is None or kept[0] != version:
            named = await self._store.list_named(connection, owner)
            kept = version, await asyncio.to_thread(Linker, named)
        self._kept[owner] = kept
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)
        return kept[1]
