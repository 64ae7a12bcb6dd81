"""A source of the pretended ArangoDB, what it gave, and the clock that it goes by."""

from __future__ import annotations

from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

from server.sync.sources.arango.settings import ArangoSettings
from server.sync.sources.arango.source import ArangoSource
from server.sync.sources.source import Change, KnownNames, Page
from tests.sync.arango_server import COLLECTION, DATABASE, PASSWORD, USERNAME, ArangoServer


class Clock:
    """A time that stands still until a test moves it."""

    def __init__(self) -> None:
        self.present = datetime(2026, 5, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.present

    def go_on(self, seconds: float) -> None:
        """Let time pass."""
        self.present += timedelta(seconds=seconds)

    def text(self, seconds: float = 0) -> str:
        """The present, or so many seconds from it, as LEO CDP writes it."""
        moment = self.present + timedelta(seconds=seconds)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Reading:
    """A source, with the cursor that a page left behind.

    Attributes:
        cursor: of the last page that was taken.
        taken: documents of all pages so far, by key, as applied one after the other.
    """

    def __init__(
        self, server: ArangoServer, clock: Clock, *, known: KnownNames | None = None, **options: Any
    ) -> None:
        given = {"collection": COLLECTION, "update_attribute": "updatedAt", "timeout_seconds": 5, **options}
        password = given.pop("password", PASSWORD)
        settings = ArangoSettings(url=server.url, database=DATABASE, username=USERNAME, **given)
        self.source = ArangoSource(settings, password=password, known=known, now=clock)
        self.cursor: dict[str, Any] = {}
        self.taken: dict[str, Any] = {}

    def take(self, page: Page) -> None:
        """Apply a page as the synchronisation does."""
        self.cursor = dict(page.cursor)
        for change in page.changes:
            if change.deleted:
                self.taken.pop(change.document["_key"], None)
            elif not change.fault:
                self.taken[change.document["_key"]] = change.document

    async def run(self, *, page_size: int = 3, pages: int = 1_000) -> list[Change]:
        """Take pages until the source has caught up, or so many; what they had in them."""
        changes: list[Change] = []
        async with aclosing(self.source.pages(self.cursor, page_size=page_size)) as found:
            async for page in found:
                assert len(page.changes) <= page_size
                self.take(page)
                changes += page.changes
                pages -= 1
                if not pages:
                    break
        return changes


def keys_of(changes: list[Change]) -> list[str]:
    """The keys of documents, in order."""
    return [change.document["_key"] for change in changes]
