"""Builds Decide out of its parts, for every process that decides: servers, and workers that dispatch."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from server.decisions.bundle_cache import BundleCache
from server.decisions.facts_loader import FactsLoader
from server.decisions.isolation import IsolatingPipeline
from server.decisions.pipeline import DecisionPipeline
from server.decisions.planning import Planner
from server.decisions.queue.collector import BatchCollector
from server.decisions.reservation.epochs import ReservationEpochs
from server.decisions.reservation.holding import Holding
from server.decisions.reservation.sets import RedisReservations, ReservationSettings
from server.decisions.service import MAXIMUM_EVENTS, DecisionService, Happenings, WakeUp
from server.decisions.store import DecisionStore
from server.platform.postgres import Database
from server.platform.redis import RedisPool

_RESERVATION: Final = ReservationSettings()
# One lane for single events and three for batches were measured to be the quickest (loadtest/bench/README.md).
_BATCHES: Final = 3
_COLLECTED: Final = 500
# For processes whose work can wait, such as workers.
_PATIENT_SECONDS: Final = 30.0


@asynccontextmanager
async def running_decisions(
    *,
    database: Database,
    redis: RedisPool,
    wake_up: WakeUp,
    reservation: ReservationSettings = _RESERVATION,
    maximum_wait_seconds: float = _PATIENT_SECONDS,
    happenings: Happenings | None = None,
) -> AsyncIterator[DecisionService]:
    """Decide, ready to use while the block runs.

    Args:
        wake_up: is told of the channels that have new deliveries.
        reservation: how long reservations are kept.
        maximum_wait_seconds: what would wait longer is refused where callers ask.
        happenings: is told of the customers' events that were recorded.
    """
    store = DecisionStore()
    reservations = RedisReservations(redis, reservation)
    epochs = ReservationEpochs(database=database, store=store, reservations=reservations)
    planner = Planner(
        database=database,
        store=store,
        bundles=BundleCache(database=database, store=store),
        facts=FactsLoader(database=database, store=store),
    )
    pipeline = DecisionPipeline(
        database=database,
        store=store,
        planner=planner,
        holding=Holding(store=store, reservations=reservations),
        epochs=epochs,
    )
    isolating = IsolatingPipeline(pipeline=pipeline, database=database, store=store)
    wait = maximum_wait_seconds
    events = BatchCollector(
        "event", run=isolating.run, maximum_wait_seconds=wait, lanes=1, maximum_batch=_COLLECTED
    )
    batches = BatchCollector(
        "batch", run=isolating.run, maximum_wait_seconds=wait, lanes=_BATCHES, maximum_batch=MAXIMUM_EVENTS
    )
    await epochs.start()
    await events.start()
    await batches.start()
    try:
        yield DecisionService(
            database=database,
            store=store,
            events=events,
            batches=batches,
            wake_up=wake_up,
            happenings=happenings,
        )
    finally:
        await events.stop()
        await batches.stop()
        await pipeline.close()
        await epochs.stop()
