"""What workers call: texts that wait are embedded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from server.embeddings.embedder import Embedder, EmbedderAway
from server.embeddings.embedding import NoVector, Outcome, embed_each
from server.embeddings.model import JobEnd, JobKey, Kind, Patience, Source, fingerprint
from server.embeddings.store import EmbeddingStore
from server.embeddings.telemetry import EMBEDDINGS
from server.platform.logging import get_logger
from server.platform.postgres import Connection, Database

_NOTHING: Final = Source("", None)
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


class EmbeddingJobs:
    """Embeds. Any number of processes may: each leases what it takes, and a lease that ran out is another's.

    Args:
        clock: until when an embedder that is away is left alone.
        worker: names this process in claims.
    """

    def __init__(
        self,
        *,
        database: Database,
        store: EmbeddingStore,
        embedder: Embedder,
        patience: Patience,
        lease: timedelta,
        clock: Callable[[], datetime],
        worker: str,
    ) -> None:
        self._database = database
        self._store = store
        self._embedder = embedder
        self._patience = patience
        self._lease = lease
        self._clock = clock
        self._worker = worker
        self._running = False
        self._outages = 0
        self._away_until = _LONG_AGO

    async def run(self) -> None:
        """Every job that is due, news before profiles. One run at a time in a process; another returns at once.

        PostgreSQL: one round trip to claim a batch (with its commit 3), and 7 to 9 for each tenant in it.

        Raises:
            LeoError: the database is away; leases run out, and a later run takes them up.
        """
        if self._running or self._clock() < self._away_until:
            return
        self._running = True
        try:
            while await self._take(Kind.NEWS) or await self._take(Kind.PROFILE):
                continue
        finally:
            self._running = False

    async def _take(self, kind: Kind) -> bool:
        """Whether there was a batch, and the embedder is there for more."""
        async with self._database.transaction() as connection:
            claimed = await self._store.claim(
                connection, kind, limit=self._embedder.batch_size, lease=self._lease, owner=self._worker
            )
        if not claimed:
            return False
        sources = await self._load(kind, claimed)
        try:
            ends = await self._embed(kind, sources)
        except EmbedderAway as away:
            await self._put_off(kind, claimed, away)
            return False
        self._outages = 0
        for tenant_id, of_tenant in _by_tenant(claimed).items():
            await self._end(tenant_id, kind, [ends[job] for job in of_tenant])
        return True

    async def _load(self, kind: Kind, claimed: Sequence[JobKey]) -> dict[JobKey, Source]:
        sources: dict[JobKey, Source] = {}
        for tenant_id, jobs in _by_tenant(claimed).items():
            async with self._scope(tenant_id) as connection:
                found = await self._store.load(connection, tenant_id, kind, [job.entity_id for job in jobs])
            sources |= {job: found.get(job.entity_id, _NOTHING) for job in jobs}
        return sources

    async def _embed(self, kind: Kind, sources: Mapping[JobKey, Source]) -> dict[JobKey, JobEnd]:
        """What becomes of each job; texts that are embedded already are not embedded again."""
        model = self._embedder.model
        hashes = {job: fingerprint(model, source.text) for job, source in sources.items() if source.text}
        wanted = [job for job, made_of in hashes.items() if made_of != sources[job].made_of]
        outcomes = await embed_each(self._embedder, [sources[job].text for job in wanted]) if wanted else []
        ends = {job: JobEnd(job, input_sha256=hashes.get(job)) for job in sources}
        for job, outcome in zip(wanted, outcomes, strict=True):
            ends[job] = self._end_of(job, outcome, hashes[job])
        return ends

    def _end_of(self, job: JobKey, outcome: Outcome, made_of: str) -> JobEnd:
        if not isinstance(outcome, NoVector):
            return JobEnd(job, vector=outcome, input_sha256=made_of)
        if outcome.final:
            return JobEnd(job, error=outcome.reason, dead=True)
        return self._patience.after_failure(job, outcome.reason)

    async def _end(self, tenant_id: UUID | None, kind: Kind, ends: Sequence[JobEnd]) -> None:
        """Ends and vectors in one transaction: a job is done where its vector is stored."""
        model = self._embedder.model
        async with self._scope(tenant_id) as connection:
            if kind is Kind.PROFILE:
                ids = [end.job.entity_id for end in ends]
                await self._store.lock_profiles(connection, tenant_id, ids)
            held = await self._store.end_jobs(connection, tenant_id, kind, self._worker, ends, model)
            vectors = [(end.job.entity_id, end.vector) for end in ends if _writes(end, held)]
            if vectors:
                await self._store.write_vectors(connection, tenant_id, kind, vectors, model)
        for end in ends:
            if end.job.entity_id in held:
                self._tell(kind, end)

    async def _put_off(self, kind: Kind, claimed: Sequence[JobKey], away: EmbedderAway) -> None:
        """Nobody's attempt counts. This process asks again after a while, longer each time."""
        self._outages += 1
        wait = max(self._patience.wait(self._outages), timedelta(seconds=away.retry_after_seconds or 0.0))
        self._away_until = self._clock() + wait
        get_logger().warning(
            "embedder_away", reason=away.reason, seconds=wait.total_seconds(), count=len(claimed)
        )
        EMBEDDINGS.labels(kind.value, "put_off").inc(len(claimed))
        for tenant_id, jobs in _by_tenant(claimed).items():
            async with self._scope(tenant_id) as connection:
                await self._store.release(
                    connection, tenant_id, kind, self._worker, jobs, wait=wait, reason=away.reason
                )

    @asynccontextmanager
    async def _scope(self, tenant_id: UUID | None) -> AsyncIterator[Connection]:
        if tenant_id is not None:
            async with self._database.tenant_transaction(tenant_id) as connection:
                yield connection
            return
        async with self._database.transaction() as connection:
            await self._store.allow_global_news(connection)
            yield connection

    def _tell(self, kind: Kind, end: JobEnd) -> None:
        if end.error is not None:
            name = "dead" if end.dead else "retried"
            get_logger().warning("embedding_failed", reason=end.error, status=name, attempt=end.job.attempt)
        elif end.vector is not None:
            name = "embedded"
        else:
            name = "removed" if end.input_sha256 is None else "unchanged"
        EMBEDDINGS.labels(kind.value, name).inc()


def _writes(end: JobEnd, held: set[str]) -> bool:
    """Whether a vector is stored or removed: unchanged ones stay, and a text that failed keeps its old one."""
    return (
        end.job.entity_id in held
        and end.error is None
        and (end.vector is not None or end.input_sha256 is None)
    )


def _by_tenant(jobs: Sequence[JobKey]) -> dict[UUID | None, list[JobKey]]:
    of_tenant: dict[UUID | None, list[JobKey]] = defaultdict(list)
    for job in jobs:
        of_tenant[job.tenant_id].append(job)
    return of_tenant
