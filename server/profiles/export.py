"""Use case of access: everything that is stored about one person, section by section."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias
from uuid import UUID

from server.errors import NotFound, Overloaded
from server.platform.ids import canonical_json, key_id
from server.platform.postgres import Connection, Database
from server.profiles.export_store import SECTIONS, ExportRequest, ExportStore
from server.validation import Violations

_LONGEST_ID: Final = 200
_LONGEST_REASON: Final = 500
_MOST_BYTES: Final = 256 * 1024
_AT_ONCE: Final = 2
_RETRY_MS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Begin:
    """What an export is of: the profile, the moment, the task that records it, and when the profile was erased."""

    profile_id: str
    exported_at: datetime
    task_id: str
    erased_at: datetime | None


@dataclass(frozen=True, slots=True)
class Documents:
    """Rows of one section, each a JSON object."""

    section: str
    documents: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class End:
    """How many rows each section has, and the hash of all of them."""

    counts: dict[str, int]
    sha256: str


ExportPart: TypeAlias = Begin | Documents | End


class ProfileExport:
    """Hands out what is stored about people.

    Each export holds a connection and a transaction as long as its caller reads, so few go on at once.

    Args:
        database: connections of the role leo_app.
        clock: the present time.
    """

    def __init__(self, *, database: Database, store: ExportStore, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._store = store
        self._clock = clock
        self._running = 0

    async def export_profile(
        self, tenant_id: UUID, profile_id: str, *, reason: str, requested_by: str
    ) -> AsyncGenerator[ExportPart, None]:
        """Parts of an export, all of one moment; memory does not grow with their number.

        PostgreSQL: 10 round trips for the record, 3 and one for every hundred rows for the rest. Who reads nothing
        for a minute is cut off.

        Args:
            reason: why, in words; recorded.
            requested_by: the caller's subject; recorded.

        Raises:
            InvalidInput: the id has no form of an id, or there is no reason.
            NotFound: the tenant has nothing about this id.
            Overloaded: other exports are under way.
        """
        violations = Violations()
        violations.text("profile_id", profile_id, maximum=_LONGEST_ID)
        violations.text("reason", reason, maximum=_LONGEST_REASON)
        violations.raise_if_any()
        with self._slot():
            task_id = await self._record(tenant_id, profile_id, reason, requested_by)
            tally = _Tally()
            async with self._database.tenant_transaction(
                tenant_id, readonly=True, repeatable=True
            ) as connection:
                moment, erased_at = await self._store.begin_export(connection, tenant_id, profile_id)
                yield Begin(profile_id, moment, task_id, erased_at)
                for section in SECTIONS:
                    async for part in self._parts(connection, section, tenant_id, profile_id):
                        tally.add(part)
                        yield part
            end = tally.end()
            await self._record_handover(tenant_id, task_id, end)
            yield end

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if self._running >= _AT_ONCE:
            raise Overloaded("SERVER_OVERLOADED", "other exports are under way", retry_after_ms=_RETRY_MS)
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    async def _record(self, tenant_id: UUID, profile_id: str, reason: str, requested_by: str) -> str:
        """Committed before anything is handed out. Every asking is a fact of its own, so its time is part of its id."""
        now = self._clock()
        request = ExportRequest(
            tenant_id=tenant_id,
            task_id=key_id("profile_export", tenant_id, profile_id, requested_by, now.isoformat()),
            profile_id=profile_id,
            reason=reason,
            inputs=canonical_json({"requested_by": requested_by, "requested_at": now.isoformat()}),
            requested_at=now,
        )
        async with self._database.tenant_transaction(tenant_id) as connection:
            if not await self._store.find_subject(connection, tenant_id, profile_id):
                raise NotFound("profile", profile_id)
            await self._store.record_export(connection, request)
        return request.task_id

    async def _record_handover(self, tenant_id: UUID, task_id: str, end: End) -> None:
        async with self._database.tenant_transaction(tenant_id) as connection:
            await self._store.record_handover(
                connection, tenant_id, task_id, canonical_json({"documents": end.counts}), end.sha256
            )

    async def _parts(
        self, connection: Connection, section: str, tenant_id: UUID, profile_id: str
    ) -> AsyncIterator[Documents]:
        waiting: list[bytes] = []
        size = 0
        async for document in self._store.documents(connection, section, tenant_id, profile_id):
            waiting.append(document)
            size += len(document)
            if size >= _MOST_BYTES:
                yield Documents(section, tuple(waiting))
                waiting, size = [], 0
        if waiting:
            yield Documents(section, tuple(waiting))


class _Tally:
    """Counts and hashes what was handed out."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(SECTIONS, 0)
        self._hash = hashlib.sha256()

    def add(self, part: Documents) -> None:
        self._counts[part.section] += len(part.documents)
        for document in part.documents:
            self._hash.update(document + b"\n")

    def end(self) -> End:
        return End(self._counts, self._hash.hexdigest())
