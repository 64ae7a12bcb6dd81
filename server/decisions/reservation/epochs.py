"""The reservation epoch: who reserves now, Redis or PostgreSQL, and what a change of it waits for.

The epoch is a sequence in PostgreSQL; odd means that Redis reserves, even that PostgreSQL does. Recorders take
a shared advisory lock, see whether the epoch that they reserved in is still in force, and hold the lock until they
have committed; a change takes it exclusively. So when an epoch ends, what was reserved in it is committed, or never
will be, however long its recorder was silent.
"""

from __future__ import annotations

import asyncio

from prometheus_client import Gauge

from server.decisions.reservation.sets import RedisReservations
from server.decisions.store import DecisionStore
from server.errors import LeoError, Unavailable
from server.platform.background import BackgroundTask
from server.platform.logging import get_logger
from server.platform.postgres import Database

_logger = get_logger()
_redis_reserves = Gauge(
    "leo_reservation_redis",
    "1 while Redis holds the reservations, 0 while PostgreSQL does",
    multiprocess_mode="livemin",
)


def redis_reserves(epoch: int) -> bool:
    """Whether Redis reserves in this epoch."""
    return epoch % 2 == 1


class ReservationEpochs:
    """Ends epochs and heals them; `start` and `stop` run the loop that goes back to Redis."""

    def __init__(
        self,
        *,
        database: Database,
        store: DecisionStore,
        reservations: RedisReservations,
        heal_interval_seconds: float = 1.0,
    ) -> None:
        self._database = database
        self._store = store
        self._reservations = reservations
        self._heal_interval_seconds = heal_interval_seconds
        self._healing = BackgroundTask("reservation-healing")

    async def start(self) -> None:
        """Go to Redis if it answers, and keep looking; round trips: 3, then 1 each interval."""
        await self.heal()
        self._healing.start(self._heal_for_ever())

    async def stop(self) -> None:
        """End the loop."""
        await self._healing.stop()

    async def renew(self, ended: int) -> None:
        """Redis lost the epoch `ended`: begin a new one on it, or on PostgreSQL when it is away."""
        await self._change(ended, redis=True)

    async def fall_back(self, ended: int) -> None:
        """Redis is away: let PostgreSQL reserve."""
        await self._change(ended, redis=False)

    async def heal(self) -> None:
        """Where PostgreSQL reserves, go back to Redis if it answers."""
        async with self._database.transaction(readonly=True) as connection:
            epoch = await self._store.current_epoch(connection)
        if redis_reserves(epoch):
            _redis_reserves.set(1)
            return
        try:
            await self._reservations.ping()
        except Unavailable:
            _redis_reserves.set(0)
            return
        await self._change(epoch, redis=True)

    async def _change(self, expected: int, *, redis: bool) -> None:
        """One transaction: nobody records until it has committed, so Redis knows the epoch before anyone
        uses it."""
        async with self._database.transaction() as connection:
            epoch = await self._store.change_epoch(connection, expected, redis=redis)
            changed = epoch > expected
            if changed and redis_reserves(epoch):
                try:
                    await self._reservations.begin_epoch(epoch)
                except Unavailable:
                    epoch = await self._store.change_epoch(connection, epoch, redis=False)
        _redis_reserves.set(redis_reserves(epoch))
        if changed:
            _logger.warning("reservation_epoch_changed", epoch=epoch, redis_reserves=redis_reserves(epoch))

    async def _heal_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._heal_interval_seconds)
            try:
                await self.heal()
            except LeoError as error:
                _logger.warning("reservation_heal_failed", reason=error.reason)
