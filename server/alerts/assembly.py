"""Builds the alert engine out of its parts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from server.alerts.backtest_service import AlertBacktestService
from server.alerts.deciding import Decider, FiringQueue
from server.alerts.firing_service import FiringService
from server.alerts.firing_store import FiringStore
from server.alerts.holdings import Holdings
from server.alerts.lane import TickLane
from server.alerts.service import AlertService
from server.alerts.shards import ShardKeeper
from server.alerts.store import AlertStore
from server.alerts.watching import FiringWatch
from server.platform.clock import utc_now
from server.platform.postgres import Database


@dataclass(frozen=True, slots=True)
class Alerts:
    """The engine of one process.

    Args:
        keeper: to be started once the address is known at which this process answers.
    """

    service: AlertService
    firings: FiringService
    backtests: AlertBacktestService
    keeper: ShardKeeper


@asynccontextmanager
async def running_alerts(*, database: Database, url: str, decider: Decider) -> AsyncIterator[Alerts]:
    """The engine, ready while the block runs; it owns no shard before its keeper is started.

    Args:
        url: the database once more, for the session that holds the shards' locks.
    """
    store, holdings = AlertStore(), Holdings()
    keeper = ShardKeeper(url=url, database=database, store=store, holdings=holdings)
    queue = FiringQueue(decider=decider, database=database, store=store)
    lane = TickLane(
        database=database,
        store=store,
        holdings=holdings,
        on_fired=queue.offer,
        on_lost=keeper.take_again,
        clock=utc_now,
    )
    watch = FiringWatch(database=database, store=FiringStore())
    await queue.start()
    await lane.start()
    await watch.start()
    try:
        service = AlertService(
            database=database,
            store=store,
            lane=lane,
            own_address=lambda: keeper.address,
            clock=utc_now,
        )
        firings = FiringService(database=database, store=FiringStore(), watch=watch, clock=utc_now)
        backtests = AlertBacktestService(database=database, store=store, clock=utc_now)
        yield Alerts(service, firings, backtests, keeper)
    finally:
        await watch.stop()
        await lane.stop()
        await keeper.stop()
        await queue.stop()
