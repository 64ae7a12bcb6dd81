"""What one run reads of a collection: what changed, now and then what has no time, and a part of what may be gone."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from server.sync.sources.arango.database import ArangoDatabase
from server.sync.sources.arango.faults import refused
from server.sync.sources.arango.position import Timing
from server.sync.sources.arango.progress import Progress, Round
from server.sync.sources.arango.queries import CHANGED, CHANGED_BY_REVISION, MISSING, UNDATED
from server.sync.sources.arango.reader import CollectionReader
from server.sync.sources.arango.rows import Row, change_of
from server.sync.sources.arango.settings import ArangoSettings, Sweep, path_of
from server.sync.sources.arango.times import lowest, moment_of, written_like
from server.sync.sources.source import Change, KnownNames, Page


class Run:
    """One run, from a progress on; each page carries the cursor that holds once it is written.

    Args:
        page_size: most documents of a page.
        now: tells the present time.
    """

    def __init__(
        self,
        settings: ArangoSettings,
        database: ArangoDatabase,
        progress: Progress,
        *,
        page_size: int,
        now: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._database = database
        self._reader = CollectionReader(settings, database, page_size=page_size)
        self._progress = progress
        self._page_size = page_size
        self._now = now
        self._timing = Timing(settings.time_form, timedelta(seconds=settings.overlap_seconds))

    async def changed(self) -> AsyncGenerator[Page, None]:
        """What changed since the position, less the overlap."""
        started_at, position = self._now(), self._progress.position
        bind: dict[str, Any] = {"until": self._until(started_at)}
        if not self._settings.by_revision:
            bind["updated"] = path_of(self._settings.update_attribute)
        query = CHANGED_BY_REVISION if self._settings.by_revision else CHANGED
        begin = position.start(self._timing)._asdict()
        async with aclosing(self._reader.rows(query, bind, begin)) as batches:
            async for rows in batches:
                for row in rows:
                    position = position.after(row.at, row.key, self._now(), self._timing)
                yield self._read(rows, replace(self._progress, position=position))
        settled = position.caught_up(started_at, self._timing)
        if settled != position:
            yield self._moved(replace(self._progress, position=settled))

    async def undated(self) -> AsyncGenerator[Page, None]:
        """What has no time, or one that is yet to come: all of it, where the turn has come."""
        started_at, undated = self._now(), self._progress.undated
        if self._settings.by_revision or not undated.is_due(started_at, self._settings.undated_seconds):
            return
        bind = {
            "until": self._until(started_at),
            "updated": path_of(self._settings.update_attribute),
            "lowest": lowest(self._timing.form),
        }
        async with aclosing(self._reader.rows(UNDATED, bind, {"after": undated.after})) as batches:
            async for rows in batches:
                under_way = replace(undated, after=rows[-1].key)
                yield self._read(rows, replace(self._progress, undated=under_way))
        yield self._moved(replace(self._progress, undated=Round(started_at)))

    async def vanished(self, sweep: Sweep, known: KnownNames) -> AsyncGenerator[Page, None]:
        """Customers whose document is not there any more, among as many as one run looks up."""
        now = self._now()
        if self._progress.sweep == Round():
            # Everything has just been read for the first time.
            yield self._moved(replace(self._progress, sweep=Round(now)))
        left = sweep.names_per_run if self._progress.sweep.is_due(now, sweep.every_seconds) else 0
        while left > 0:
            asked = min(left, self._page_size)
            names = await known(self._progress.sweep.after, asked)
            is_over = len(names) < asked
            reached = Round(now) if is_over else replace(self._progress.sweep, after=names[-1])
            gone = [Change({"_key": name}, deleted=True) for name in await self._missing(names)]
            yield self._moved(replace(self._progress, sweep=reached), gone)
            left = 0 if is_over else left - asked

    async def _missing(self, names: Sequence[str]) -> list[str]:
        missing: list[str] = []
        if not names:
            return missing
        async with aclosing(self._database.batches(MISSING, {"keys": names}, batch_size=1)) as answers:
            async for answer in answers:
                for found in answer:
                    missing += found["missing"]
                    if missing and not found["size"]:
                        raise refused(self._settings, self._is_empty())
        return missing

    def _is_empty(self) -> str:
        return (
            f"collection {self._settings.collection!r} is empty, and customers came from it: nobody is taken for"
            " deleted. Restore it, or leave out sweep"
        )

    def _until(self, now: datetime) -> Any:
        """The newest time that is taken for one."""
        return written_like(self._progress.position.at, now + self._timing.overlap, self._timing.form)

    def _read(self, rows: Sequence[Row], progress: Progress) -> Page:
        changes = [change_of(row, self._settings.deleted) for row in rows]
        moments = [moment_of(row.at, self._timing.form) for row in rows]
        newest_at = max((moment for moment in moments if moment is not None), default=None)
        return self._moved(progress, changes, newest_at)

    def _moved(
        self, progress: Progress, changes: Sequence[Change] = (), newest_at: datetime | None = None
    ) -> Page:
        self._progress = progress
        return Page(tuple(changes), progress.document(), newest_at)
