"""An ArangoDB collection as a source of customers' data."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from datetime import datetime
from typing import Any

from server.platform.clock import utc_now
from server.sync.sources.arango.database import ArangoDatabase
from server.sync.sources.arango.progress import Progress
from server.sync.sources.arango.run import Run
from server.sync.sources.arango.settings import ArangoSettings
from server.sync.sources.source import KnownNames, Page


class ArangoSource:
    """One collection.

    Args:
        password: of the user that the settings name.
        known: keys of the documents that customers came from; without it none is missed.
        now: tells the present time.
    """

    def __init__(
        self,
        settings: ArangoSettings,
        *,
        password: str,
        known: KnownNames | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._settings = settings
        self._database = ArangoDatabase(settings, password=password)
        self._known = known
        self._now = now

    async def pages(self, cursor: Mapping[str, Any], *, page_size: int) -> AsyncGenerator[Page, None]:
        """What changed after a cursor, what has no time, and what vanished; the last two where their turn has come.

        One round trip to ArangoDB for each page, and one more for each query of several pages. Close the iterator
        where it is left early: it deletes the cursor that ArangoDB holds.

        Raises:
            SourceAway: it can not be reached, is busy, or does not answer in time.
            SourceRefused: it refuses; the text names the cure.
        """
        progress = Progress.read(cursor, self._settings.time_form)
        run = Run(self._settings, self._database, progress, page_size=page_size, now=self._now)
        parts = [run.changed, run.undated]
        sweep, known = self._settings.sweep, self._known
        if sweep is not None and known is not None:
            parts.append(lambda: run.vanished(sweep, known))
        for part in parts:
            async with aclosing(part()) as pages:
                async for page in pages:
                    yield page

    async def close(self) -> None:
        """Close the connections to it."""
        await self._database.close()
