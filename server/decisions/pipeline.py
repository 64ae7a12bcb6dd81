"""The batch: load → filter → reserve → decide → record, in one transaction, for the events of one or more
tenants.

Round trips of a batch of one tenant: PostgreSQL 5 (begin, epoch, load, record, commit), Redis 1, and one
more in the background to confirm. A profile whose sends Redis does not know costs one more of PostgreSQL
and two of
Redis for the whole batch; every further tenant of a batch costs four of PostgreSQL.

The reservation is made under the shared lock of its epoch and inside the transaction that records it. So
what one server reserves is either committed or gone by the time that another may begin a new epoch.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Final
from uuid import UUID

import asyncpg

from server.decisions.bundle_cache import BundleCache
from server.decisions.epochs import ReservationEpochs
from server.decisions.evaluation import conclude, screen
from server.decisions.facts_loader import FactsLoader
from server.decisions.holding import Holding, PendingSendExpired, Verdicts
from server.decisions.limits import microseconds
from server.decisions.model import Bundle, Columns, Decision, DecisionRecord, Event, Outcome
from server.decisions.recording import decision_record, decision_row, stored_record
from server.decisions.reservation import EpochEnded, ReservationRequest
from server.decisions.state import Considered
from server.decisions.store import DecisionStore
from server.errors import AlreadyExists, LeoError, NotFound, Unavailable
from server.platform.clock import utc_now
from server.platform.logging import get_logger
from server.platform.postgres import CommitOutcomeUnknown, Connection, Database, enter_tenant

Batch = Mapping[UUID, Sequence[Event]]
Answers = dict[str, DecisionRecord | LeoError]
_MAXIMUM_TRIES: Final = 6
_logger = get_logger()


@dataclass(slots=True)
class _TenantPlan:
    """What a batch holds for one tenant on its way through."""

    tenant_id: UUID
    bundle: Bundle
    considered: list[Considered]
    answers: Answers
    decisions: dict[str, Decision] = field(default_factory=dict)


@dataclass(slots=True)
class _Try:
    """One try of a batch: what has to be settled, whatever becomes of it."""

    epoch: int = 0
    requests: list[ReservationRequest] = field(default_factory=list)


class DecisionPipeline:
    """Runs batches. Stateless but for caches; any number may run at once, in any number of processes."""

    def __init__(
        self,
        *,
        database: Database,
        store: DecisionStore,
        holding: Holding,
        epochs: ReservationEpochs,
        bundles: BundleCache,
        facts: FactsLoader,
    ) -> None:
        self._database = database
        self._store = store
        self._holding = holding
        self._epochs = epochs
        self._bundles = bundles
        self._facts = facts
        self._settling: set[asyncio.Task[None]] = set()

    async def run(self, batch: Batch) -> Answers:
        """Decide and record; an answer is given only for what is committed.

        Args:
            batch: for each tenant its events in their order, with distinct task ids.

        Returns:
            For each task id the recorded decision, or why this one event was refused.

        Raises:
            Unavailable: PostgreSQL is away, or no epoch could be agreed on; nothing is recorded.
            asyncpg.PostgresError: a row broke a rule of the database; nothing is recorded.
        """
        for _ in range(_MAXIMUM_TRIES):
            attempt = _Try()
            try:
                answers = await self._attempt(batch, attempt)
            except (EpochEnded, PendingSendExpired, CommitOutcomeUnknown, Unavailable) as obstacle:
                await self._clear(obstacle, attempt)
            except Exception:
                # Not when cancelled: COMMIT may have gone through, and the lease settles what is pending.
                self._settle(attempt, {})
                raise
            else:
                self._settle(attempt, answers)
                return answers
        raise Unavailable("DEPENDENCY_UNAVAILABLE", "the reservations keep changing; nothing was recorded")

    async def close(self) -> None:
        """Wait for confirmations that are under way."""
        await asyncio.gather(*self._settling, return_exceptions=True)

    async def _clear(self, obstacle: Exception, attempt: _Try) -> None:
        """Remove what stopped a try. After a COMMIT without an answer the next try finds the rows, or has
        none."""
        if isinstance(obstacle, EpochEnded):
            await self._epochs.renew(attempt.epoch)
        elif isinstance(obstacle, PendingSendExpired):
            # Before the next try, which must not meet what this one held.
            await self._settle_quietly(attempt.epoch, [(request, None) for request in attempt.requests])
            try:
                await self._holding.resolve(attempt.epoch, obstacle.profiles)
            except Unavailable as error:
                await self._clear(error, attempt)
        elif isinstance(obstacle, Unavailable):
            self._settle(attempt, {})
            if obstacle.reason != "REDIS_UNAVAILABLE":
                raise obstacle
            await self._epochs.fall_back(attempt.epoch)

    async def _attempt(self, batch: Batch, attempt: _Try) -> Answers:
        async with self._transaction(batch) as connection:
            attempt.epoch = await self._store.begin_recording(connection)
            plans = [await self._plan(connection, tenant_id, batch) for tenant_id in sorted(batch)]
            attempt.requests = [request for plan in plans for request in _requests(plan)]
            verdicts = dict(
                zip(
                    (request.task_id for request in attempt.requests),
                    await self._holding.reserve(connection, attempt.epoch, attempt.requests),
                    strict=True,
                )
            )
            for plan in plans:
                await self._record(connection, plan, verdicts, alone=len(plans) == 1)
        for plan in plans:
            self._bundles.keep(plan.tenant_id, plan.bundle)
        return dict(chain.from_iterable(plan.answers.items() for plan in plans))

    @asynccontextmanager
    async def _transaction(self, batch: Batch) -> AsyncIterator[Connection]:
        if len(batch) == 1:
            async with self._database.tenant_transaction(next(iter(batch))) as connection:
                yield connection
        else:
            async with self._database.transaction() as connection:
                yield connection

    async def _plan(self, connection: Connection, tenant_id: UUID, batch: Batch) -> _TenantPlan:
        """Load all that decides, answer what was decided before, screen the rest."""
        if len(batch) > 1:
            await enter_tenant(connection, tenant_id)
        events = batch[tenant_id]
        bundle, rows = await self._load(connection, tenant_id, events)
        plan = _TenantPlan(tenant_id, bundle, [], {})
        fresh = []
        for event, row in zip(events, rows, strict=True):
            if row["task_id"] is not None:
                plan.answers[event.task_id] = _answer_again(event, row)
            else:
                fresh.append((event, row))
        plan.considered = await self._facts.consider(connection, tenant_id, bundle, fresh)
        for considered in plan.considered:
            considered.screened = screen(
                bundle,
                considered.event,
                considered.profile,
                considered.facts,
                considered.arms,
                considered.holdout,
            )
        return plan

    async def _load(
        self, connection: Connection, tenant_id: UUID, events: Sequence[Event]
    ) -> tuple[Bundle, Sequence[Columns]]:
        """The definitions in force, and a row for each event with the columns that they read."""
        columns = self._bundles.columns(tenant_id)
        rows = await self._load_state(connection, tenant_id, events, columns)
        version = rows[0]["definitions_version"]
        if version is None:
            raise NotFound("tenant", str(tenant_id))
        bundle = await self._bundles.current(connection, tenant_id, version)
        if not bundle.profile_columns <= columns:
            rows = await self._load_state(connection, tenant_id, events, bundle.profile_columns)
        return bundle, rows

    async def _load_state(
        self, connection: Connection, tenant_id: UUID, events: Sequence[Event], columns: frozenset[str]
    ) -> list[asyncpg.Record]:
        return await self._store.load_state(
            connection, tenant_id, [e.profile_id for e in events], [e.task_id for e in events], columns
        )

    async def _record(
        self, connection: Connection, plan: _TenantPlan, verdicts: Mapping[str, Verdicts], *, alone: bool
    ) -> None:
        if not plan.considered:
            return
        decided_at = utc_now()
        rows = []
        for considered in plan.considered:
            answers = verdicts.get(considered.event.task_id, {})
            decision = _decide(considered, answers, decided_at)
            plan.decisions[considered.event.task_id] = decision
            rows.append(decision_row(plan.tenant_id, considered, answers, decision, decided_at))
        if not alone:
            await enter_tenant(connection, plan.tenant_id)
        new = await self._store.insert_decisions(
            connection, plan.tenant_id, decided_at, plan.bundle.bundle_id, rows
        )
        for considered in plan.considered:
            event = considered.event
            if event.task_id in new:
                decision = plan.decisions[event.task_id]
                plan.answers[event.task_id] = decision_record(event, decision, decided_at)
        if len(new) < len(rows):
            await self._answer_concurrent(connection, plan, new)

    async def _answer_concurrent(self, connection: Connection, plan: _TenantPlan, new: set[str]) -> None:
        """Another server recorded the same events meanwhile: its answers are the first, and so the ones
        given."""
        events = [c.event for c in plan.considered if c.event.task_id not in new]
        rows = await self._load_state(connection, plan.tenant_id, events, frozenset())
        for event, row in zip(events, rows, strict=True):
            plan.answers[event.task_id] = _answer_again(event, row)

    def _settle(self, attempt: _Try, answers: Answers) -> None:
        """Confirm the sends that are recorded and release the others, without making anyone wait for it."""
        if not attempt.requests:
            return
        holds = [(request, _scopes_sent(request, answers)) for request in attempt.requests]
        task = asyncio.create_task(self._settle_quietly(attempt.epoch, holds))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def _settle_quietly(
        self, epoch: int, holds: Sequence[tuple[ReservationRequest, str | None]]
    ) -> None:
        try:
            await self._holding.settle(epoch, holds)
        except LeoError as error:
            # Harmless: a pending send counts until its lease ends, and PostgreSQL is asked after that.
            _logger.warning("reservation_settle_failed", reason=error.reason, count=len(holds))


def _decide(considered: Considered, verdicts: Verdicts, decided_at: datetime) -> Decision:
    return conclude(considered.inputs(verdicts, decided_at), considered.screened)


def _requests(plan: _TenantPlan) -> list[ReservationRequest]:
    requests = []
    for considered in plan.considered:
        candidates = [candidate for candidate in considered.screened if candidate.reason is None]
        if candidates:
            event = considered.event
            requests.append(
                ReservationRequest(
                    tenant_id=plan.tenant_id,
                    profile_id=event.profile_id,
                    task_id=event.task_id,
                    occurred_us=microseconds(event.occurred_at),
                    longest_window_us=plan.bundle.longest_window_us,
                    candidates=candidates,
                )
            )
    return requests


def _answer_again(event: Event, row: Columns) -> DecisionRecord | LeoError:
    record = stored_record(row, duplicate=True)
    if record.input_sha256 != event.input_sha256:
        return AlreadyExists(
            "EVENT_BODY_CHANGED",
            "this source_event_id was decided with another body; send the first body, or a new id",
            {"source_event_id": event.source_event_id, "first_input_sha256": record.input_sha256},
        )
    return record


def _scopes_sent(request: ReservationRequest, answers: Answers) -> str | None:
    """What a recorded send counts against; None when nothing was sent."""
    answer = answers.get(request.task_id)
    if not isinstance(answer, DecisionRecord) or answer.outcome is not Outcome.SEND:
        return None
    rules = (candidate.rule for candidate in request.candidates)
    sent = next((rule for rule in rules if rule.marketing_event_id == answer.marketing_event_id), None)
    return sent.scopes[answer.channels[0]] if sent is not None else None
