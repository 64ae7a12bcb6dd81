"""Where ticks meet rules: while one transaction commits, the next batches gather.

A transaction takes what waits for one tenant's own instruments, or for the global ones. It is one statement, and so
one round trip; two more where rules were changed by others, three where instruments were not met before.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from server.alerts.holdings import Holdings
from server.alerts.model import BatchOutcome, Evaluation, Firing, Hit, TickBatch, TickBounds
from server.alerts.rows import Committed, Ticked
from server.alerts.store import AlertStore
from server.errors import LeoError, Overloaded, Unavailable
from server.platform.background import BackgroundTask
from server.platform.logging import get_logger
from server.platform.postgres import CommitOutcomeUnknown, Database
from server.platform.transactions import database_away
from server.validation import EARLIEST

GRACE: Final = timedelta(seconds=10)
"""How long a server has to decide what fired before a worker does."""

_MOST_TICKS: Final = 50_000
_MOST_WAITING: Final = 1_000
_RETRY_AFTER_MS: Final = 200
_UNKNOWN: Final = -1
_OTHER_EPOCH: Final = "LE008"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Tasks take times up to one day ahead by PostgreSQL's clock, which may be a little behind this one.
_AHEAD: Final = timedelta(days=1) - timedelta(minutes=1)
_MICROSECOND: Final = timedelta(microseconds=1)


class ShardsElsewhere(Exception):
    """Some symbols belong to shards that this process does not own."""

    def __init__(self, shards: frozenset[int]) -> None:
        super().__init__(sorted(shards))
        self.shards = shards


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    tenant_id: UUID
    batch: TickBatch
    answer: asyncio.Future[BatchOutcome]


class TickLane:
    """Evaluates batches in the order in which they come.

    Args:
        on_fired: gets every firing once it is committed.
        on_lost: is told that shards have to be taken again, because another epoch wrote their prices or the outcome
            of a COMMIT is not known.
        clock: bounds the time of ticks.
    """

    def __init__(
        self,
        *,
        database: Database,
        store: AlertStore,
        holdings: Holdings,
        on_fired: Callable[[Sequence[Firing]], None],
        on_lost: Callable[[], None],
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._store = store
        self._holdings = holdings
        self._on_fired = on_fired
        self._on_lost = on_lost
        self._clock = clock
        self._waiting: deque[_Job] = deque()
        self._wanted = asyncio.Event()
        self._work = BackgroundTask("alerts-lane")

    async def start(self) -> None:
        """Begin to work."""
        self._work.start(self._run())

    async def stop(self) -> None:
        """End; what waits is refused."""
        await self._work.stop()
        for job in self._waiting:
            _fail(job, database_away())
        self._waiting.clear()

    def submit(self, tenant_id: UUID, batch: TickBatch) -> asyncio.Future[BatchOutcome]:
        """What becomes of a batch, once it is committed. Batches are evaluated in the order of the calls.

        Args:
            tenant_id: the caller.

        Raises, by the future:
            ShardsElsewhere: this process does not own every symbol; nothing was done.
            Unavailable: the database is away, or a shard changed hands; nothing was done.
            CommitOutcomeUnknown: it may have been done.
        """
        if len(self._waiting) >= _MOST_WAITING:
            raise Overloaded(
                "SERVER_OVERLOADED", "too many batches of ticks are waiting", retry_after_ms=_RETRY_AFTER_MS
            )
        answer: asyncio.Future[BatchOutcome] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Job(tenant_id, batch, answer))
        self._wanted.set()
        return answer

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            jobs = self._next_group()
            if jobs:
                await self._evaluate(jobs)
            elif not self._waiting:
                self._wanted.clear()

    def _next_group(self) -> list[_Job]:
        """The first job that waits, and what waits for the same instruments; the others keep their order."""
        group: list[_Job] = []
        others: deque[_Job] = deque()
        ticks = 0
        while self._waiting and ticks < _MOST_TICKS:
            job = self._waiting.popleft()
            if job.answer.done():
                continue
            if group and job.batch.owner != group[0].batch.owner:
                others.append(job)
                continue
            group.append(job)
            ticks += len(job.batch.symbol_indices)
        others.extend(self._waiting)
        self._waiting = others
        return group

    async def _evaluate(self, jobs: Sequence[_Job]) -> None:
        try:
            async with self._holdings.gate:
                outcomes = await self._commit(self._ours(jobs))
        except asyncio.CancelledError:
            for job in jobs:
                _fail(job, database_away())
            raise
        except Exception as error:
            if not isinstance(error, LeoError):
                get_logger().error("ticks_failed", exc_info=error)
            for job in jobs:
                _fail(job, error)
            return
        for job, outcome in outcomes:
            if not job.answer.done():
                job.answer.set_result(outcome)

    def _ours(self, jobs: Sequence[_Job]) -> list[_Job]:
        """Those whose shards are all owned; the others are told so."""
        ours = []
        for job in jobs:
            missing = self._holdings.missing(job.batch.symbols)
            if missing:
                _fail(job, ShardsElsewhere(missing))
            else:
                ours.append(job)
        return ours

    async def _commit(self, jobs: Sequence[_Job]) -> list[tuple[_Job, BatchOutcome]]:
        """Evaluate with the rules that are known, and commit that, unless others changed rules: then once more."""
        if not jobs:
            return []
        found = await self._find(jobs)
        evaluated = await self._try(jobs, found, self._holdings.seen)
        if evaluated is None:
            await self._catch_up()
            # What was changed since then was not answered before these ticks came: it counts from the next ones on.
            evaluated = await self._try(jobs, found, None)
        assert evaluated is not None
        self._on_fired([firing for outcome in evaluated for firing in outcome.firings])
        return list(zip(jobs, evaluated, strict=True))

    async def _find(self, jobs: Sequence[_Job]) -> list[list[int]]:
        """The places of the symbols of each job, -1 of no instrument; those not met before are looked up."""
        owner = jobs[0].batch.owner
        board = self._holdings.board(owner)
        found = [board.find(job.batch.symbols) for job in jobs]
        if not any(_UNKNOWN in places for places in found):
            return found
        strange = {
            symbol
            for job, places in zip(jobs, found, strict=True)
            for symbol, place in zip(job.batch.symbols, places, strict=True)
            if place == _UNKNOWN
        }
        async with self._database.tenant_transaction(jobs[0].tenant_id, readonly=True) as connection:
            calendars = await self._store.find_instruments(connection, jobs[0].tenant_id, strange)
        for (symbol, own), calendar in calendars.items():
            if own == (owner is not None):
                self._holdings.learn(owner, symbol, calendar)
        return [board.find(job.batch.symbols) for job in jobs]

    async def _catch_up(self) -> None:
        holdings = self._holdings
        holdings.seen, changes = await self._store.changed_rules(
            self._database, holdings.owned, holdings.seen, holdings.own_xid
        )
        holdings.apply(changes)

    async def _try(
        self, jobs: Sequence[_Job], found: Sequence[Sequence[int]], seen: str | None
    ) -> list[BatchOutcome] | None:
        """Evaluate and commit; None where others changed rules since `seen`: nothing was done."""
        evaluation = Evaluation(self._holdings.board(jobs[0].batch.owner), self._bounds())
        committed = None
        try:
            evaluated = evaluation.run([job.batch for job in jobs], found)
            committed = await self._write(
                jobs, evaluation, [hit for _, hits in evaluated for hit in hits], seen
            )
        except CommitOutcomeUnknown:
            self._lose()
            raise
        finally:
            if committed is None:
                evaluation.abandon()
        if committed is None:
            return None
        evaluation.settle()
        self._holdings.seen, self._holdings.own_xid = committed.seen or self._holdings.seen, committed.own_xid
        for outcome, hits in evaluated:
            names = [(hit.key, hit.generation) for hit in hits]
            outcome.firings = [committed.firings[name] for name in names if name in committed.firings]
        return [outcome for outcome, _ in evaluated]

    async def _write(
        self, jobs: Sequence[_Job], evaluation: Evaluation, hits: Sequence[Hit], seen: str | None
    ) -> Committed | None:
        """Raises:
        Unavailable: another epoch wrote one of the prices.
        """
        holdings = self._holdings
        ticked = Ticked(
            jobs[0].tenant_id,
            jobs[0].batch.owner,
            list(holdings.owned),
            seen,
            holdings.own_xid,
            evaluation.moved(),
            hits,
            evaluation.remembered(),
        )
        try:
            return await self._store.commit_ticks(self._database, ticked, GRACE)
        except asyncpg.PostgresError as error:
            if error.sqlstate != _OTHER_EPOCH:
                raise
            self._lose()
            raise Unavailable(
                "SHARD_CHANGING_HANDS", "another process took the shard; nothing was done"
            ) from error

    def _lose(self) -> None:
        """Memory may differ from what is committed: everything is read again before it is used again."""
        self._holdings.drop(self._holdings.owned)
        self._on_lost()

    def _bounds(self) -> TickBounds:
        latest = self._clock() + _AHEAD
        return TickBounds((EARLIEST - _EPOCH) // _MICROSECOND, (latest - _EPOCH) // _MICROSECOND)


def _fail(job: _Job, error: Exception) -> None:
    if not job.answer.done():
        job.answer.set_exception(error)
