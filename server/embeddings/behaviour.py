"""What customers do makes their vectors anew: found on the schedule, at a bounded rate for each of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from prometheus_client import Counter

from server.platform.postgres import Database
from server.platform.queries import Queries
from server.platform.redis import RedisPool

_KEY: Final = "leo:behaviour_embedded"
# An event is dated by the beginning of its transaction, and seen at its end.
_OVERLAP: Final = timedelta(minutes=2)
_FURTHEST: Final = timedelta(hours=1)

_queued = Counter(
    "leo_embeddings_behaviour", "Profiles that were queued for a new vector because of what they did"
)


class BehaviourQueue:
    """Queues profiles with new events for a new vector.

    How far it has come stands in Redis. Where Redis lost it, the last hour is looked at.

    Args:
        database: connections of the role leo_worker.
        every: a profile's vector is not made anew because of its behaviour more often; zero for never.
    """

    def __init__(
        self, *, database: Database, redis: RedisPool, every: timedelta, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._redis = redis
        self._every = every
        self._clock = clock
        self._queries = Queries.load("embeddings")

    async def run(self) -> None:
        """Of all tenants, in one statement. Idempotent; several may run at once. PostgreSQL: 3 round trips."""
        if not self._every:
            return
        begun = self._clock()
        since = max(await self._position(), begun - _FURTHEST)
        async with self._database.transaction() as connection:
            count: int = await connection.fetchval(self._queries["queue_active_profiles"], since, self._every)
        _queued.inc(count)
        await self._redis.command("SET", _KEY, (begun - _OVERLAP).isoformat())

    async def _position(self) -> datetime:
        stored = await self._redis.command("GET", _KEY)
        return datetime.fromisoformat(stored.decode()) if stored else self._clock() - _FURTHEST
