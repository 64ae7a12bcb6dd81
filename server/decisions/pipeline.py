"""The batch: load → filter → reserve → decide → record, for the events of one or more tenants.

Round trips of a batch, whatever the number of its tenants: PostgreSQL 2 (load, record), Redis 1, and one more in
the background to confirm. Past events, prices and counters that a tenant's conditions or experiments read cost that
tenant a transaction more, changed definitions another one. Where PostgreSQL reserves, recording is a transaction
that also locks and reads the profiles.

Loading answers the reservation epoch in force, the reservation is made in that epoch, and recording takes the
epoch's lock and refuses when it has ended. So when an epoch ends, what was reserved in it is committed, or never
will be: a try that comes too late decides again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Final

from server.decisions.evaluation import Outlines, conclude
from server.decisions.model import DecisionRecord, Outcome
from server.decisions.planning import Answers, Batch, Plan, Planner, TenantPlan
from server.decisions.recording import DecisionWriter
from server.decisions.reservation.epochs import ReservationEpochs, redis_reserves
from server.decisions.reservation.holding import Holding, PendingSendExpired, Verdicts
from server.decisions.reservation.sets import EpochEnded, ReservationRequest, new_hold
from server.decisions.store import DecisionStore, EpochChanged, Fetch, TenantRows
from server.errors import LeoError, Unavailable
from server.platform.background import TaskSet
from server.platform.clock import utc_now
from server.platform.logging import get_logger
from server.platform.postgres import CommitOutcomeUnknown, Database

__all__ = ["Answers", "Batch", "DecisionPipeline"]

_MAXIMUM_TRIES: Final = 6
_NO_VERDICTS: Final[Verdicts] = {}
_logger = get_logger()


@dataclass(slots=True)
class _Try:
    """One try of a batch: what has to be settled, whatever becomes of it."""

    epoch: int = 0
    requests: Sequence[ReservationRequest] = ()
    hold: str = field(default_factory=new_hold)


class DecisionPipeline:
    """Runs batches. Stateless but for caches; any number may run at once, in any number of processes."""

    def __init__(
        self,
        *,
        database: Database,
        store: DecisionStore,
        planner: Planner,
        holding: Holding,
        epochs: ReservationEpochs,
    ) -> None:
        self._database = database
        self._store = store
        self._planner = planner
        self._holding = holding
        self._epochs = epochs
        self._settling = TaskSet("reservation-settling")

    async def run(self, batch: Batch) -> Answers:
        """Decide and record; an answer is given only for what is committed.

        Args:
            batch: for each tenant its events in their order, with distinct task ids.

        Returns:
            For each task id the recorded decision, or why this one event was refused.

        Raises:
            NotFound, PreconditionFailed: a tenant is gone, or one of its definitions does not compile.
            Unavailable: PostgreSQL is away, or no epoch could be agreed on; nothing is recorded.
            CommitOutcomeUnknown: PostgreSQL went away while it recorded, and stayed away.
            asyncpg.PostgresError: a row broke a rule of the database; nothing is recorded.
        """
        unanswered = False
        for _ in range(_MAXIMUM_TRIES):
            attempt = _Try()
            try:
                answers = await self._attempt(batch, attempt)
            except (
                EpochEnded,
                EpochChanged,
                PendingSendExpired,
                CommitOutcomeUnknown,
                Unavailable,
            ) as obstacle:
                unanswered = unanswered or isinstance(obstacle, CommitOutcomeUnknown)
                await self._clear(obstacle, attempt, unanswered=unanswered)
            except Exception:
                # Not when cancelled: what was sent to be recorded may be, and the lease settles what is pending.
                self._settle(attempt, {})
                raise
            else:
                self._settle(attempt, answers)
                return answers
        if unanswered:
            raise CommitOutcomeUnknown
        raise Unavailable("DEPENDENCY_UNAVAILABLE", "the reservations keep changing; nothing was recorded")

    async def close(self) -> None:
        """Wait for confirmations that are under way."""
        await self._settling.finish()

    async def _clear(self, obstacle: Exception, attempt: _Try, *, unanswered: bool) -> None:
        """Remove what stopped a try.

        Nothing to do when the epoch changed meanwhile, nor when recording was left without an answer: the next try
        finds the rows, or has none. Where there is no next try, that is `unanswered` is all that can be said.
        """
        if isinstance(obstacle, EpochEnded | PendingSendExpired):
            await self._epochs.renew(attempt.epoch)
        elif isinstance(obstacle, Unavailable):
            self._settle(attempt, {})
            if obstacle.reason != "REDIS_UNAVAILABLE":
                if unanswered:
                    raise CommitOutcomeUnknown from obstacle
                raise obstacle
            await self._epochs.fall_back(attempt.epoch)

    async def _attempt(self, batch: Batch, attempt: _Try) -> Answers:
        plan = await self._planner.plan(batch)
        attempt.epoch = plan.epoch
        if redis_reserves(plan.epoch):
            attempt.requests = plan.requests
            verdicts = await self._holding.reserve(
                plan.epoch, plan.loaded_at, plan.requests, hold=attempt.hold
            )
            known = await self._record(self._database.write, plan, verdicts)
        else:
            async with self._database.transaction() as connection:
                verdicts = await self._holding.reserve_locked(connection, plan.epoch, plan.requests)
                known = await self._record(connection.fetch, plan, verdicts)
        for tenant in plan.tenants:
            await self._answer_known(tenant, known)
        return dict(chain.from_iterable(tenant.answers.items() for tenant in plan.tenants))

    async def _record(self, fetch: Fetch, plan: Plan, verdicts: Sequence[Verdicts]) -> set[str]:
        """Decide, record and answer; the ids of what had been recorded meanwhile, whose answers are others."""
        decided_at = utc_now()
        of_task = dict(zip((request.task_id for request in plan.requests), verdicts, strict=True))
        rows = [_decide(tenant, of_task, decided_at) for tenant in plan.tenants if tenant.considered]
        if not rows:
            return set()
        return await self._store.record_decisions(fetch, decided_at=decided_at, epoch=plan.epoch, rows=rows)

    async def _answer_known(self, tenant: TenantPlan, known: set[str]) -> None:
        """Another server recorded the same events meanwhile: its answers are the first, and so the ones
        given."""
        events = [c.event for c in tenant.considered if c.event.task_id in known] if known else []
        if not events:
            return
        try:
            tenant.answers |= await self._planner.answers_again(tenant.tenant_id, events)
        except LeoError as error:
            # All is recorded by now, so nothing may be released: the next try finds it.
            raise CommitOutcomeUnknown from error

    def _settle(self, attempt: _Try, answers: Answers) -> None:
        """Confirm the sends that are recorded and release the others, without making anyone wait for it."""
        if not attempt.requests:
            return
        holds = [(request, _scopes_sent(request, answers)) for request in attempt.requests]
        self._settling.start(self._settle_quietly(attempt, holds))

    async def _settle_quietly(
        self, attempt: _Try, holds: Sequence[tuple[ReservationRequest, str | None]]
    ) -> None:
        try:
            await self._holding.settle(attempt.epoch, holds, hold=attempt.hold)
        except LeoError as error:
            # Harmless: a pending send counts until its lease ends, and PostgreSQL is asked after that.
            _logger.warning("reservation_settle_failed", reason=error.reason, count=len(holds))


def _decide(tenant: TenantPlan, verdicts: Mapping[str, Verdicts], decided_at: datetime) -> TenantRows:
    """Decide a tenant's events: answers in its plan, and the rows that make them true."""
    writer, outlines = DecisionWriter(tenant.tenant_id, decided_at), Outlines()
    for considered in tenant.considered:
        task_id = considered.event.task_id
        inputs = considered.inputs(verdicts.get(task_id, _NO_VERDICTS), decided_at)
        decision = conclude(inputs, considered.screened, outlines)
        tenant.answers[task_id] = writer.write(inputs, decision)
    return TenantRows(tenant.tenant_id, tenant.bundle.bundle_id, writer.outputs, writer.tasks, writer.sends)


def _scopes_sent(request: ReservationRequest, answers: Answers) -> str | None:
    """What a recorded send counts against; None when nothing was sent."""
    answer = answers.get(request.task_id)
    if not isinstance(answer, DecisionRecord) or answer.outcome is not Outcome.SEND:
        return None
    rules = (candidate.rule for candidate in request.candidates)
    sent = next((rule for rule in rules if rule.marketing_event_id == answer.marketing_event_id), None)
    return sent.scopes[answer.channels[0]] if sent is not None else None
