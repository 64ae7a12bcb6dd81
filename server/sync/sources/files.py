"""Files below the tenant's own directory: CSV, NDJSON and Parquet, as `leo import` reads them.

A file is read once, and again from its beginning when its size or its time of change is another: merging makes nothing
of what is known already. Rows that are gone from a file delete nothing; a row can say that it is deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from server.mapping.failure import FileNotReadable
from server.mapping.rows import Row, RowFile
from server.sync.reach import NotAllowed, Reach
from server.sync.sources.source import Change, Page, SourceAway, SourceRefused, says_deleted

NOT_A_DOCUMENT: Final = "NOT_A_DOCUMENT"
"""Why a line of a file was rejected that is no row, or no JSON object."""


class FileSettings(BaseModel):
    """Which files, and how they are read.

    Args:
        path: below the tenant's directory; `*` and `?` stand for characters of one name.
        delimiter: what separates the columns of CSV.
        deleted_column: neither empty nor false where the row is of a customer who was deleted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(min_length=1, max_length=500)
    delimiter: str = Field(",", pattern=r'^[^"\r\n\x00]$')
    deleted_column: str | None = Field(None, min_length=1)


class _Known(NamedTuple):
    """How far a file was read, and what it was then.

    Args:
        done: that it was read to its end.
    """

    size: int
    changed_ns: int
    last_row: int
    done: bool


class FileSource:
    """Reads the files that a pattern names, one after the other, in the order of their names."""

    def __init__(self, settings: FileSettings, *, tenant_id: UUID, reach: Reach) -> None:
        self._settings = settings
        self._tenant_id = tenant_id
        self._reach = reach

    async def pages(self, cursor: Mapping[str, Any], *, page_size: int) -> AsyncIterator[Page]:
        """As `Source.pages`."""
        known = {name: _Known(*each) for name, each in cursor.get("files", {}).items()}
        found = await asyncio.to_thread(self._files)
        known = {name: each for name, each in known.items() if name in found}
        for name, path in found.items():
            try:
                now = await asyncio.to_thread(_state, path)
                before = known.get(name)
                if before is None or before[:2] != now[:2]:
                    before = now
                if before.done:
                    continue
                async for page_rows, last_row, done in self._parts(path, before.last_row, page_size):
                    known[name] = before._replace(last_row=last_row, done=done)
                    yield self._page(page_rows, known)
            except OSError:
                raise SourceAway(f"{name}: it can not be read now") from None
            except FileNotReadable as error:
                raise SourceRefused(f"{name}: {_without_path(error, path)}") from None

    async def close(self) -> None:
        """Files are not held open between pages."""

    def _files(self) -> dict[str, Path]:
        try:
            files = self._reach.files(self._tenant_id, self._settings.path)
        except NotAllowed as error:
            raise SourceRefused(f"{self._settings.path}: {error}") from None
        except OSError:
            raise SourceAway(f"{self._settings.path}: the directory can not be read now") from None
        if not files:
            raise SourceAway(f"{self._settings.path}: there is no such file in the tenant's directory")
        return files

    async def _parts(self, path: Path, after: int, size: int) -> AsyncIterator[tuple[list[Row], int, bool]]:
        """Parts of a file with the number of their last row, and whether that is the file's."""
        rows = await asyncio.to_thread(_rows_after, path, self._settings.delimiter, after)
        last = after
        while True:
            part = await asyncio.to_thread(lambda: list(islice(rows, size)))
            last = part[-1].number if part else last
            done = len(part) < size
            yield part, last, done
            if done:
                return

    def _page(self, rows: list[Row], known: Mapping[str, _Known]) -> Page:
        changes = tuple(self._change(row) for row in rows)
        return Page(changes, {"files": {name: list(each) for name, each in known.items()}})

    def _change(self, row: Row) -> Change:
        if row.document is None:
            return Change({}, fault=NOT_A_DOCUMENT)
        column = self._settings.deleted_column
        return Change(row.document, column is not None and says_deleted(row.document.get(column)))


def _state(path: Path) -> _Known:
    """A file of which nothing was read."""
    status = path.stat()
    return _Known(status.st_size, status.st_mtime_ns, 0, False)


def _rows_after(path: Path, delimiter: str, after: int) -> Iterator[Row]:
    return (row for row in RowFile(path, delimiter=delimiter).rows() if row.number > after)


def _without_path(error: FileNotReadable, path: Path) -> str:
    """Where files lie on this machine is nothing for tenants."""
    return str(error).replace(f"{path}: ", "").replace(str(path), path.name)
