"""All rows of a collection from a place on, over as many queries, cursors and batch sizes as that takes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

from server.sync.sources.arango.database import ArangoDatabase
from server.sync.sources.arango.faults import AnswerTooLarge, CursorGone, away, refused
from server.sync.sources.arango.rows import NotARow, Row, row_of
from server.sync.sources.arango.settings import ArangoSettings

# A query holds a snapshot of the collection for as long as it is read: after so many batches the next one begins.
_BATCHES_OF_A_QUERY: Final = 50
_SMALLER: Final = 8


class CollectionReader:
    """Reads rows, a page at a time.

    Args:
        page_size: most rows of a page.
    """

    def __init__(self, settings: ArangoSettings, database: ArangoDatabase, *, page_size: int) -> None:
        self._settings = settings
        self._database = database
        self._page_size = page_size

    async def rows(
        self, query: str, bind: Mapping[str, Any], begin: Mapping[str, Any]
    ) -> AsyncGenerator[list[Row], None]:
        """Rows after a beginning, in the order of the query; never none.

        Args:
            begin: `since` and `after`, or `after` alone: the variables in which the query takes its beginning.

        Raises:
            SourceAway, SourceRefused: as `ArangoDatabase.batches`.
        """
        place = _Place(begin, self._page_size)
        while not place.is_last:
            try:
                async with aclosing(self._query(query, bind, place)) as pages:
                    async for rows in pages:
                        yield rows
            except CursorGone:
                if not place.count:
                    raise away(self._settings, "it gives up its cursors at once") from None
            except AnswerTooLarge:
                place.take_less()
            else:
                place.take_more()

    async def _query(
        self, query: str, bind: Mapping[str, Any], place: _Place
    ) -> AsyncGenerator[list[Row], None]:
        place.count = 0
        variables = {**bind, **place.variables(), "without": self._settings.without}
        async with aclosing(self._database.batches(query, variables, batch_size=place.size)) as batches:
            async for batch in batches:
                if batch:
                    rows = self._parsed(batch)
                    place.pass_by(rows)
                    yield rows

    def _parsed(self, batch: Sequence[Any]) -> list[Row]:
        try:
            return [row_of(item) for item in batch]
        except NotARow:
            raise refused(self._settings, "what answers there is no ArangoDB: correct url") from None


class _Place:
    """Where a reading stands.

    Attributes:
        size: documents of a batch.
        count: rows of the query that is under way.
        is_last: that there are no more.
    """

    def __init__(self, begin: Mapping[str, Any], size: int) -> None:
        self.size = size
        self.count = 0
        self.is_last = False
        self._begin = dict(begin)
        self._full_size = size
        self._is_whole = True

    def variables(self) -> dict[str, Any]:
        """What the next query is asked with."""
        return {**self._begin, "most": self._most, "whole": self._is_whole}

    def pass_by(self, rows: Sequence[Row]) -> None:
        """Go on after the last of these."""
        reached = {"since": rows[-1].at, "after": rows[-1].key}
        self._begin = {name: reached[name] for name in self._begin}
        self.count += len(rows)

    def take_less(self) -> None:
        """Ask for fewer documents at a time; at last for one, and then for its key alone."""
        self._is_whole = self.size > 1
        self.size = max(self.size // _SMALLER, 1)

    def take_more(self) -> None:
        """Go on with full batches, where the query has given as many rows as it was asked for."""
        self.is_last = self._is_whole and self.count < self._most
        self.size, self._is_whole = self._full_size, True

    @property
    def _most(self) -> int:
        return self.size * _BATCHES_OF_A_QUERY if self._is_whole else 1
