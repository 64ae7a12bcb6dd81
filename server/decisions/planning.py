"""From a batch of events to candidates that ask for a place: load, answer what was decided before, screen."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from server.decisions.bundle_cache import BundleCache
from server.decisions.evaluation import screen, screen_nobody
from server.decisions.facts_loader import FactsLoader
from server.decisions.model import ERASED, Bundle, Columns, DecisionRecord, Event, Reason
from server.decisions.recording import stored_record
from server.decisions.reservation.limits import microseconds
from server.decisions.reservation.sets import ReservationRequest
from server.decisions.state import Considered
from server.decisions.store import DecisionStore, Wanted
from server.errors import AlreadyExists, LeoError, NotFound, Unavailable
from server.platform.postgres import Database

Batch = Mapping[UUID, Sequence[Event]]
Answers = dict[str, DecisionRecord | LeoError]
_MAXIMUM_LOADS: Final = 10
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(slots=True)
class TenantPlan:
    """What a batch holds for one tenant on its way through."""

    tenant_id: UUID
    bundle: Bundle
    considered: list[Considered]
    answers: Answers


@dataclass(frozen=True, slots=True)
class Plan:
    """A batch that was loaded and screened.

    Args:
        epoch: the reservation epoch in force before anything of it was loaded.
        loaded_at: the event loop's time before it was loaded, in seconds.
        requests: the places that its events ask for, in the order of tenants and events.
    """

    epoch: int
    loaded_at: float
    tenants: Sequence[TenantPlan]
    requests: Sequence[ReservationRequest]


@dataclass(frozen=True, slots=True)
class _Loaded:
    bundle: Bundle
    rows: Sequence[Columns]


class Planner:
    """Loads a batch; one round trip of PostgreSQL, and what `FactsLoader` and stale bundles cost."""

    def __init__(
        self, *, database: Database, store: DecisionStore, bundles: BundleCache, facts: FactsLoader
    ) -> None:
        self._database = database
        self._store = store
        self._bundles = bundles
        self._facts = facts

    async def plan(self, batch: Batch) -> Plan:
        """Load all that decides, answer what was decided before, screen the rest.

        Raises:
            NotFound, PreconditionFailed: a tenant is gone, or one of its definitions does not compile.
            Unavailable: PostgreSQL is away, or the definitions never stand still.
        """
        loaded_at = asyncio.get_running_loop().time()
        epoch, loaded = await self._load(batch)
        tenants = [await self._plan(tenant_id, batch[tenant_id], loaded[tenant_id]) for tenant_id in loaded]
        return Plan(epoch, loaded_at, tenants, [request for plan in tenants for request in _requests(plan)])

    async def answers_again(self, tenant_id: UUID, events: Sequence[Event]) -> Answers:
        """The recorded answers of events that another server decided meanwhile. One round trip."""
        wanted = Wanted(tenant_id, events, (), reach=None)
        rows = await self._store.load_decisions(self._database.fetch, [wanted])
        return {event.task_id: _answer_again(event, row) for event, row in zip(events, rows, strict=True)}

    async def _load(self, batch: Batch) -> tuple[int, dict[UUID, _Loaded]]:
        """Load with what the last known bundles read; again, once those that are out of date were read."""
        for _ in range(_MAXIMUM_LOADS):
            bundles = {tenant_id: self._bundles.known(tenant_id) for tenant_id in sorted(batch)}
            rows = await self._store.load_decisions(
                self._database.fetch, [_wanted(tenant_id, batch, bundles) for tenant_id in bundles]
            )
            loaded = _by_tenant(batch, bundles, rows)
            if len(loaded) == len(batch):
                return rows[0]["epoch"], loaded
            for tenant_id in bundles.keys() - loaded.keys():
                await self._bundles.refresh(tenant_id)
        raise Unavailable("DATABASE_BUSY", "the definitions keep changing; nothing was recorded")

    async def _plan(self, tenant_id: UUID, events: Sequence[Event], loaded: _Loaded) -> TenantPlan:
        bundle = loaded.bundle
        plan = TenantPlan(tenant_id, bundle, [], {})
        fresh = []
        for event, row in zip(events, loaded.rows, strict=True):
            if row["task_id"] is not None:
                plan.answers[event.task_id] = _answer_again(event, row)
            else:
                fresh.append((event, row))
        plan.considered = await self._facts.consider(tenant_id, bundle, fresh)
        for considered in plan.considered:
            if considered.erased:
                considered.screened = screen_nobody(bundle, considered.event, Reason.PROFILE_ERASED)
                continue
            considered.screened = screen(
                bundle,
                considered.event,
                considered.profile,
                considered.facts,
                considered.arms,
                considered.holdout,
            )
        return plan


def _wanted(tenant_id: UUID, batch: Batch, bundles: Mapping[UUID, Bundle | None]) -> Wanted:
    bundle = bundles[tenant_id]
    if bundle is None:
        return Wanted(tenant_id, batch[tenant_id], (), reach=None)
    return Wanted(
        tenant_id,
        batch[tenant_id],
        bundle.loaded_columns,
        reach=timedelta(microseconds=bundle.longest_window_us),
    )


def _by_tenant(
    batch: Batch, bundles: Mapping[UUID, Bundle | None], rows: Sequence[Columns]
) -> dict[UUID, _Loaded]:
    """The rows of each tenant whose bundle is the one in force.

    Raises:
        NotFound: a tenant is gone.
    """
    loaded: dict[UUID, _Loaded] = {}
    position = 0
    for tenant_id, bundle in bundles.items():
        own = rows[position : position + len(batch[tenant_id])]
        position += len(own)
        version = own[0]["definitions_version"]
        if version is None:
            raise NotFound("tenant", str(tenant_id))
        if bundle is not None and bundle.version == version:
            loaded[tenant_id] = _Loaded(bundle, own)
    return loaded


def _requests(plan: TenantPlan) -> list[ReservationRequest]:
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
                    sends=considered.sends,
                )
            )
    return requests


def _answer_again(event: Event, row: Columns) -> DecisionRecord | LeoError:
    record = stored_record(row, duplicate=True)
    if record.input_sha256 not in (event.input_sha256, ERASED):
        return AlreadyExists(
            "EVENT_BODY_CHANGED",
            "this source_event_id was decided with another body; send the first body, or a new id",
            {"source_event_id": event.source_event_id, "first_input_sha256": record.input_sha256},
        )
    return record
