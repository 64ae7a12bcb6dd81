"""Watchers of what fires: one look at PostgreSQL for all watchers of a process, four times a second.

Nothing is told between processes: each looks for firings of transactions that it has not seen, whoever committed
them. What a watcher has read is a `Position`, so that it can go on at any process.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import Final, NamedTuple
from uuid import UUID

from server.alerts.firing_store import FiringStore
from server.alerts.model import FiringFilter, Place, Position, RecordedFiring, is_before
from server.errors import FieldViolation, InvalidInput, LeoError, Overloaded
from server.platform.background import BackgroundTask
from server.platform.logging import get_logger
from server.platform.postgres import Database
from server.platform.transactions import database_away

MOST_WAITING: Final = 2_000
"""Firings that wait for one reader; with more it is too slow."""

_PERIOD_SECONDS: Final = 0.25
_KEEPALIVE_SECONDS: Final = 15.0
_PAGE: Final = 500
_RETRY_AFTER_MS: Final = 100


class Watched(NamedTuple):
    """A firing, or only a token."""

    firing: RecordedFiring | None
    resume_token: str


class _Watcher:
    """What waits for one reader; `ended` is why it gets no more."""

    def __init__(self, tenant_id: UUID, wanted: FiringFilter, position: Position) -> None:
        self.tenant_id = tenant_id
        self.ended: LeoError | None = None
        self._wanted = wanted
        self._position = position
        self._waiting: deque[tuple[RecordedFiring, Position]] = deque()
        self._changed = asyncio.Event()

    def take(self, firings: Sequence[RecordedFiring], position: Position) -> None:
        """Firings of a look that went from the position's first snapshot to its second."""
        for firing in firings:
            if self._wanted.wants(firing):
                self._waiting.append((firing, position.at(Place(firing.xid, firing.task_id))))
        self._position = Position.after(position.until)
        if len(self._waiting) > MOST_WAITING or len(firings) > MOST_WAITING:
            self.end(_too_slow())
        elif self._waiting:
            self._changed.set()

    def end(self, error: LeoError) -> None:
        """Give it no more; what waits is not needed, since its reader goes on by token."""
        self.ended = error
        self._waiting.clear()
        self._changed.set()

    async def next(self) -> Watched:
        """The next firing; only a token after 15 seconds without one.

        Raises:
            LeoError: there are no more.
        """
        if not self._waiting and self.ended is None:
            self._changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _KEEPALIVE_SECONDS)
        if self.ended is not None:
            raise self.ended
        if not self._waiting:
            return Watched(None, self._position.token)
        firing, position = self._waiting.popleft()
        return Watched(firing, position.token)


class FiringWatch:
    """The watchers of one process. It looks only while there are any."""

    def __init__(self, *, database: Database, store: FiringStore) -> None:
        self._database = database
        self._store = store
        self._watchers: set[_Watcher] = set()
        self._seen = ""
        self._gate = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._work = BackgroundTask("alerts-watching")

    async def start(self) -> None:
        """Begin to look, once somebody watches."""
        self._work.start(self._run())

    async def stop(self) -> None:
        """Look no more."""
        await self._work.stop()

    async def watch(
        self, tenant_id: UUID, wanted: FiringFilter, resume_token: str
    ) -> AsyncGenerator[Watched, None]:
        """What fires, from now or from a token on; first of all a token.

        Each look is 4 round trips for all watchers, and 4 more for each of their tenants that has new firings. Going
        on from a token: 4 for a page of 500 firings.

        Raises:
            InvalidInput: this is no token of ours.
            Overloaded: too many firings wait for the reader.
            Unavailable: the database is away.
        """
        position = await self._begin(resume_token)
        yield Watched(None, position.token)
        watcher = None
        while watcher is None:
            while firings := await self._read(tenant_id, position, _PAGE):
                for firing in firings:
                    position = position.at(Place(firing.xid, firing.task_id))
                    if wanted.wants(firing):
                        yield Watched(firing, position.token)
            position = Position.after(position.until)
            watcher = await self._join(tenant_id, wanted, position)
            if watcher is None:
                position = position.towards(await self._look())
        try:
            while True:
                yield await watcher.next()
        finally:
            self._watchers.discard(watcher)

    async def _begin(self, resume_token: str) -> Position:
        now = await self._look()
        if not resume_token:
            return Position.after(now)
        position = Position.parse(resume_token)
        # A later snapshot than any that exists is of another database, or made up.
        if position is None or not is_before(position.until, now):
            raise InvalidInput([FieldViolation("resume_token", "is not a token that WatchAlerts gave")])
        return position

    async def _join(self, tenant_id: UUID, wanted: FiringFilter, position: Position) -> _Watcher | None:
        """A watcher that goes on with the looks of this process; None where these are not where the position is."""
        async with self._gate:
            if position != Position.after(self._seen):
                return None
            watcher = _Watcher(tenant_id, wanted, position)
            self._watchers.add(watcher)
            self._wanted.set()
            return watcher

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while self._watchers:
                await asyncio.sleep(_PERIOD_SECONDS)
                await self._try_look()

    async def _try_look(self) -> None:
        """Watchers are told of a failure: at another process, or later, they go on by their tokens."""
        try:
            await self._look()
        except Exception as error:
            failure = error if isinstance(error, LeoError) else database_away()
            get_logger().warning("alert_watchers_ended", count=len(self._watchers), exc_info=error)
            for watcher in self._watchers:
                watcher.end(failure)

    async def _look(self) -> str:
        """Give the watchers what was committed since the last look; the snapshot that they have seen then."""
        async with self._gate:
            watching = [watcher for watcher in self._watchers if watcher.ended is None]
            tenants = {watcher.tenant_id for watcher in watching}
            async with self._database.transaction(readonly=True) as connection:
                now = await self._store.current_snapshot(connection)
                busy = (
                    await self._store.tenants_with_firings(connection, tenants, self._seen) if tenants else []
                )
            step = Position.after(self._seen).towards(now) if tenants else Position.after(now)
            found = {tenant_id: await self._read(tenant_id, step, MOST_WAITING + 1) for tenant_id in busy}
            for watcher in watching:
                watcher.take(found.get(watcher.tenant_id, ()), step)
            self._seen = now
            return now

    async def _read(self, tenant_id: UUID, position: Position, limit: int) -> Sequence[RecordedFiring]:
        if position.seen == position.until:
            return ()
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            keys = await self._store.firings_between(connection, tenant_id, position, limit)
            return await self._store.describe_firings(connection, tenant_id, keys) if keys else ()


def _too_slow() -> Overloaded:
    return Overloaded(
        "WATCHER_TOO_SLOW",
        f"more than {MOST_WAITING} firings wait for this stream; open it again with its last token",
        retry_after_ms=_RETRY_AFTER_MS,
    )
