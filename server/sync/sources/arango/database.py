"""One database of an ArangoDB: a query goes out, its batches come back, and its cursor is deleted in the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar, cast
from urllib.parse import quote

from arangoasync.auth import Auth
from arangoasync.client import ArangoClient
from arangoasync.cursor import Cursor
from arangoasync.database import StandardDatabase
from arangoasync.exceptions import ArangoClientError, ArangoError, ArangoServerError

from server.sync.sources.arango.faults import (
    AnswerLost,
    AnswerTooLarge,
    CursorGone,
    away,
    is_gone,
    meaning_of,
    refused,
)
from server.sync.sources.arango.http import BoundedHttp, DocumentReader
from server.sync.sources.arango.settings import ArangoSettings
from server.sync.sources.source import SourceAway, SourceRefused

_T = TypeVar("_T")
_TRIES: Final = 3
_LONGEST_GOODBYE_SECONDS: Final = 2.0


class ArangoDatabase:
    """A connection to the database of a source, by basic authentication; it is made with the first query."""

    def __init__(self, settings: ArangoSettings, *, password: str) -> None:
        self._settings = settings
        self._password = password
        self._client: ArangoClient | None = None
        self._database: StandardDatabase | None = None

    async def batches(
        self, query: str, bind: Mapping[str, Any], *, batch_size: int
    ) -> AsyncGenerator[list[Any], None]:
        """The rows of a query, a batch at a time; one round trip each.

        A batch whose answer was lost is asked for again by its number, so that none is passed over.

        Args:
            bind: values of its parameters but the collection's.
            batch_size: most rows of one batch.

        Raises:
            CursorGone: the rows that are left can not be had any more.
            AnswerTooLarge: the batch is larger than an answer may be.
            SourceAway: it can not be reached, is busy, does not answer in time, or breaks off three times.
            SourceRefused: it does not let the query in.
        """
        cursor = await self._opened(query, bind, batch_size)
        try:
            yield _taken(cursor)
            while cursor.has_more:
                await self._advanced(cursor)
                yield _taken(cursor)
        finally:
            await self._let_go(cursor)

    async def close(self) -> None:
        """Close the connections; once is enough."""
        client, self._client, self._database = self._client, None, None
        if client is not None:
            await client.close()

    async def _connected(self) -> StandardDatabase:
        if self._database is None:
            http = BoundedHttp(self._settings)
            self._client = ArangoClient(self._settings.url, http_client=http, deserializer=DocumentReader())
            auth = Auth(self._settings.username, self._password)
            name = quote(self._settings.database, safe="")
            self._database = await self._client.db(name, auth_method="basic", auth=auth)
        return self._database

    async def _opened(self, query: str, bind: Mapping[str, Any], batch_size: int) -> Cursor:
        database = await self._connected()

        async def execute() -> Cursor:
            cursor = await database.aql.execute(
                query,
                bind_vars={"@collection": self._settings.collection, **bind},
                batch_size=batch_size,
                ttl=self._settings.cursor_ttl_seconds,
                options={
                    "stream": True,
                    "allowRetry": True,
                    "maxRuntime": self._settings.max_runtime_seconds,
                },
            )
            return cast(Cursor, cursor)

        try:
            # A cursor whose number was lost with the answer expires by itself.
            return await self._asked(execute)
        except ArangoServerError as error:
            raise meaning_of(error, self._settings) from None

    async def _advanced(self, cursor: Cursor) -> None:
        batch = cursor.next_batch_id
        if batch is None:
            raise refused(self._settings, "it does not number batches: ArangoDB 3.11 or newer is needed")
        try:
            await self._asked(lambda: cursor.fetch(str(batch)))
        except ArangoServerError as error:
            if is_gone(error):
                raise CursorGone from None
            raise meaning_of(error, self._settings) from None

    async def _asked(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        for _ in range(_TRIES):
            try:
                return await ask()
            except AnswerLost:
                continue
            except ArangoClientError:
                raise refused(self._settings, "what answers there is no ArangoDB: correct url") from None
        raise away(self._settings, "the connection broke three times in the middle of an answer")

    async def _let_go(self, cursor: Cursor) -> None:
        """Delete a cursor: the server keeps it, with its last batch, in case that is asked for again."""
        with suppress(ArangoError, AnswerLost, AnswerTooLarge, SourceAway, SourceRefused, TimeoutError):
            async with asyncio.timeout(_LONGEST_GOODBYE_SECONDS):
                await cursor.close(ignore_missing=True)


def _taken(cursor: Cursor) -> list[Any]:
    rows = list(cursor.batch)
    cursor.batch.clear()
    return rows
