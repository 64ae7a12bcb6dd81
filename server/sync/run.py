"""One run of one source: from page to page, each committed with its cursor."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol, cast
from uuid import UUID

from server.errors import LeoError
from server.mapping.files import MappingNotValid, mapping_of
from server.mapping.mapping import ProfileMapping
from server.mapping.spec import MappingSpec
from server.platform.logging import get_logger
from server.platform.postgres import Connection, Database
from server.platform.sealing import Unreadable
from server.sync.documents import SYNCED_FROM, Arrival, Written, read_documents
from server.sync.known import ProfileNames
from server.sync.model import (
    Counts,
    DataSource,
    Outcome,
    advanced,
    after_absence,
    after_refusal,
    after_success,
)
from server.sync.reach import NotAllowed, Reach
from server.sync.secrets import SecretPlace, SourceSecrets, place_of
from server.sync.sources.kinds import KINDS, ConnectionNotValid, Opening
from server.sync.sources.source import KnownNames, Page, Source, SourceAway, SourceRefused
from server.sync.store import Claim, SourceStore, Stored
from server.sync.telemetry import RUNS, tell_documents

PAGE_SIZE: Final = 500


class Profiles(Protocol):
    """Who writes what sources say of customers."""

    async def take_in(
        self,
        tenant_id: UUID,
        arrivals: Sequence[Arrival],
        *,
        region: str,
        source: str,
        alongside: Callable[[Connection, Sequence[Written]], Awaitable[None]],
    ) -> None:
        """Write them in one transaction with what `alongside` writes, which is told what became of each.

        Args:
            region: ISO 3166 code of the country of national phone numbers; may be empty.
            source: what ends consents names this as its source.

        Raises:
            LeoError: nothing was written.
        """
        ...


class LeaseLost(Exception):
    """Another run has the source, or it was changed, paused or removed: nothing more may be written."""


@dataclass(slots=True)
class _Progress:
    """A run that is under way.

    Args:
        until: what the source knew until then has been taken in.
        counts: of the pages that are committed.
    """

    claim: Claim
    mapping: ProfileMapping
    marks: dict[str, Any]
    until: datetime | None
    counts: Counts = field(default_factory=Counts)


class SourceRunner:
    """Runs sources that were claimed.

    Args:
        database: connections of the role leo_worker.
        lease: how long a claim holds; each page begins it anew.
        clock: the present time.
    """

    def __init__(
        self,
        *,
        database: Database,
        store: SourceStore,
        secrets: SourceSecrets,
        reach: Reach,
        profiles: Profiles,
        lease: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._store = store
        self._secrets = secrets
        self._reach = reach
        self._profiles = profiles
        self._lease = lease
        self._clock = clock

    async def run(self, claim: Claim, stopping: Callable[[], bool]) -> None:
        """Take in everything that changed, and note how that ended.

        PostgreSQL: 3 round trips to begin and 3 to end, and those of the profiles for each page.

        Args:
            stopping: asked between pages; a run that stops leaves the source to whoever claims it next.

        Raises:
            LeaseLost: the source is not this run's any more; what was committed before stays.
            LeoError: our own database is away, so that not even the end could be noted; the lease runs out.
        """
        async with self._database.tenant_transaction(claim.tenant_id) as connection:
            stored = await self._store.begin_run(connection, claim)
        if stored is None:
            raise LeaseLost
        try:
            counts = await self._take_in(claim, stored, stopping)
        except LeaseLost:
            raise
        except Exception as error:
            await self._end(claim, _outcome_of(error, stored.source), end=_end_of(error))
            return
        if counts is None:
            async with self._database.tenant_transaction(claim.tenant_id) as connection:
                await self._store.leave_run(connection, claim)
            return
        frequency = stored.source.definition.sync_frequency_seconds
        await self._end(claim, after_success(counts, frequency), end="succeeded")

    async def _take_in(self, claim: Claim, stored: Stored, stopping: Callable[[], bool]) -> Counts | None:
        """What came of it; None where it stopped before the end."""
        source, progress = self._opened(claim, stored)
        try:
            pages = source.pages(stored.source.condition.cursor, page_size=PAGE_SIZE)
            async with aclosing(cast("AsyncGenerator[Page, None]", pages)):
                async for page in pages:
                    await self._write(page, progress)
                    if stopping():
                        return None
        finally:
            await source.close()
        return progress.counts

    async def _write(self, page: Page, progress: _Progress) -> None:
        """One page with its cursor, all or nothing."""
        claim = progress.claim
        documents = read_documents(page.changes, progress.mapping, marks=progress.marks)
        until = advanced(progress.until, page.newest_at, self._clock())
        counts = Counts()

        async def alongside(connection: Connection, written: Sequence[Written]) -> None:
            nonlocal counts
            counts = documents.counts(written)
            run = progress.counts.plus(counts)
            held = await self._store.write_page(
                connection,
                claim,
                cursor=page.cursor,
                lease=self._lease,
                synced_until=until,
                page=counts,
                run=run,
            )
            if not held:
                raise LeaseLost

        await self._profiles.take_in(
            claim.tenant_id,
            documents.arrivals,
            region=progress.mapping.default_region,
            source=f"sync:{claim.source_id}",
            alongside=alongside,
        )
        progress.until, progress.counts = until, progress.counts.plus(counts)
        tell_documents(counts)

    def _opened(self, claim: Claim, stored: Stored) -> tuple[Source, _Progress]:
        """The source, ready to be read.

        Raises:
            SourceRefused: what is stored of it is no good here.
        """
        definition = stored.source.definition
        kind = KINDS[definition.type]
        try:
            settings = kind.read(definition.connection)
            kind.check(settings, self._reach)
            mapping = mapping_of(definition.mapping)
            password = self._password(place_of(claim.tenant_id, definition), stored.secret)
        except (ConnectionNotValid, MappingNotValid, NotAllowed) as error:
            raise SourceRefused(str(error)) from None
        attribute = kind.names_by(settings)
        known = None if attribute is None else self._known(claim, mapping, attribute)
        source = kind.open(settings, Opening(claim.tenant_id, password, self._reach, known))
        marks = {} if known is None else {SYNCED_FROM: claim.source_id}
        return source, _Progress(claim, ProfileMapping(mapping), marks, stored.source.condition.synced_until)

    def _password(self, place: SecretPlace, secret: str | None) -> str:
        if secret is None:
            return ""
        try:
            return self._secrets.unseal(secret, place)
        except Unreadable as error:
            raise SourceRefused(
                f"the password can not be read here ({error.reason}): give workers the key that it was encrypted"
                " with, or put the password again"
            ) from None

    def _known(self, claim: Claim, mapping: MappingSpec, attribute: str) -> KnownNames:
        return ProfileNames(
            database=self._database,
            store=self._store,
            tenant_id=claim.tenant_id,
            source_id=claim.source_id,
            mapping=mapping,
            attribute=attribute,
        )

    async def _end(self, claim: Claim, outcome: Outcome, *, end: str) -> None:
        async with self._database.tenant_transaction(claim.tenant_id) as connection:
            await self._store.end_run(connection, claim, outcome, succeeded=end == "succeeded")
        RUNS.labels(end).inc()


def _outcome_of(error: Exception, source: DataSource) -> Outcome:
    """How a run ended that failed. A fault of ours is tried again like an outage, and told in our log.

    What our own errors say may be made of documents: only their reason is for the tenant.
    """
    failures = source.condition.failures
    if isinstance(error, SourceRefused):
        return after_refusal(str(error), failures, source.definition.sync_frequency_seconds)
    if isinstance(error, SourceAway):
        return after_absence(str(error), failures)
    if isinstance(error, LeoError):
        get_logger().warning("sync_failed", reason=error.reason, exc_info=error)
        return after_absence(
            f"LEO's own database is away, too busy, or does not take a page ({error.reason}): it is tried again; where"
            " that does not help, the log of the worker says where",
            failures,
        )
    get_logger().error("sync_failed", exc_info=error)
    return after_absence("the run failed inside LEO; the log of the worker says where", failures)


def _end_of(error: Exception) -> str:
    if isinstance(error, SourceRefused):
        return "refused"
    return "away" if isinstance(error, SourceAway) else "faulty"
