"""Use cases of experiments: put, begin, pause, complete, read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

import asyncpg

from server.catalog.model import Experiment
from server.catalog.store import ExperimentStore, MarketingEventStore
from server.errors import NotFound, PreconditionFailed
from server.paging import Page, PageRequest, open_cursor
from server.platform.postgres import Connection, Database
from server.validation import Violations

STATUSES: Final = ("running", "paused", "completed")
_NOT_COMPARABLE: Final = "LE006"


class Experiments:
    """Puts, begins, ends and reads experiments."""

    def __init__(self, *, database: Database, store: ExperimentStore, events: MarketingEventStore) -> None:
        self._database = database
        self._store = store
        self._events = events

    async def put(self, tenant_id: UUID, experiment: Experiment) -> tuple[Experiment, bool]:
        """Create a draft, or change an experiment as far as what it has measured stays comparable.

        Returns:
            The stored experiment, and whether it changed. PostgreSQL: 4 to 6 round trips.

        Raises:
            InvalidInput: with every fault.
            PreconditionFailed: the campaign, or what a running one needs, does not exist; or it has begun, and this
                change would make its figures meaningless.
        """
        violations = Violations("experiment")
        experiment.check(violations)
        violations.raise_if_any()
        async with self._changing(tenant_id) as connection:
            if not await self._events.share_campaign(connection, tenant_id, experiment.campaign_id):
                raise _missing("there is no such campaign: put it first", campaign_id=experiment.campaign_id)
            written = await self._store.put_experiment(connection, tenant_id, experiment)
            if written is not None and written.status == "running":
                await self._require_references(connection, tenant_id, written)
            stored = written or await self._found(connection, tenant_id, experiment.experiment_id)
        return stored, written is not None

    async def set_status(self, tenant_id: UUID, experiment_id: str, status: str) -> Experiment:
        """Begin, pause or complete an experiment; the same status again changes nothing.

        PostgreSQL: 4 to 7 round trips.

        Raises:
            InvalidInput: the id has no form of an id, or the status is none to be set.
            NotFound: the tenant has no such experiment.
            PreconditionFailed: it is completed; another one runs on the marketing event; the marketing event or a
                template does not exist.
        """
        violations = Violations()
        violations.identifier("experiment_id", experiment_id)
        violations.one_of("status", status, STATUSES)
        violations.raise_if_any()
        async with self._changing(tenant_id) as connection:
            changed = await self._store.set_experiment_status(connection, tenant_id, experiment_id, status)
            if changed is not None and status == "running":
                await self._require_references(connection, tenant_id, changed)
            return changed or await self._found(connection, tenant_id, experiment_id)

    async def get(self, tenant_id: UUID, experiment_id: str) -> Experiment:
        """One experiment. PostgreSQL: 3 round trips.

        Raises:
            InvalidInput: the id has no form of an id.
            NotFound: the tenant has no such experiment.
        """
        violations = Violations()
        violations.identifier("experiment_id", experiment_id)
        violations.raise_if_any()
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            return await self._found(connection, tenant_id, experiment_id)

    async def list(
        self, tenant_id: UUID, page: PageRequest, *, campaign_id: str | None, status: str | None
    ) -> Page[Experiment]:
        """Experiments by id, page by page. PostgreSQL: 3 round trips.

        Raises:
            InvalidInput: the page is not one of this list.
        """
        cursor = open_cursor(page, listing=["experiments", campaign_id or "", status or ""], first=("",))
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            experiments = await self._store.list_experiments(
                connection,
                tenant_id,
                after=str(cursor.after[0]),
                campaign_id=campaign_id,
                status=status,
                limit=cursor.limit,
            )
        return cursor.page(experiments, lambda experiment: (experiment.experiment_id,))

    @asynccontextmanager
    async def _changing(self, tenant_id: UUID) -> AsyncIterator[Connection]:
        """The tenant's transaction, with what the database refuses of an experiment in the caller's words."""
        try:
            async with self._database.tenant_transaction(tenant_id) as connection:
                yield connection
        except asyncpg.UniqueViolationError as error:
            raise _refused("another experiment runs on this marketing event; pause or complete it") from error
        except asyncpg.PostgresError as error:
            if error.sqlstate != _NOT_COMPARABLE:
                raise
            raise _refused(
                "it has begun: name, period, weights, holdout and further variants may be changed until it is"
                " completed; for anything else complete it and begin another"
            ) from error

    async def _require_references(
        self, connection: Connection, tenant_id: UUID, experiment: Experiment
    ) -> None:
        channels = await self._store.event_under_test(connection, tenant_id, experiment)
        if channels is None:
            raise _missing(
                "the campaign has no marketing event of this name in use: put it first",
                event_name=experiment.event_name,
            )
        for name in sorted({v.template_name for v in experiment.variants if v.template_name is not None}):
            missing = await self._events.channels_without_template(connection, tenant_id, name, channels)
            if missing:
                raise _missing(
                    "there is no active message template of this name for the channel: put it first",
                    template_name=name,
                    channel=missing[0],
                )

    async def _found(self, connection: Connection, tenant_id: UUID, experiment_id: str) -> Experiment:
        experiment = await self._store.get_experiment(connection, tenant_id, experiment_id)
        if experiment is None:
            raise NotFound("experiment", experiment_id)
        return experiment


def _missing(message: str, **metadata: str) -> PreconditionFailed:
    return PreconditionFailed("REFERENCE_MISSING", message, metadata)


def _refused(message: str) -> PreconditionFailed:
    return PreconditionFailed("RULE_VIOLATED", message)
