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
# So few that a statement ends in time, however busy the recorders and however long ago the last look.
_STEP: Final = timedelta(seconds=5)
# Then the next run, which the schedule begins each minute, goes on.
_LONGEST: Final = timedelta(seconds=45)

_queued = Counter(
    "leo_embeddings_behaviour", "Profiles that were queued for a new vector because of what they did"
)


class BehaviourQueue:
    """Queues profiles with new events for a new vector.

    How far it has come stands in Redis. Where Redis lost it, the last hour is looked at.

    Args:
        database: connections of the role leo_worker.
        every: a profile's vector is not made anew because of its behaviour more often; zero for never.
        step: what is recorded in so long a time is looked at in one transaction.
    """

    def __init__(
        self,
        *,
        database: Database,
        redis: RedisPool,
        every: timedelta,
        clock: Callable[[], datetime],
        step: timedelta = _STEP,
    ) -> None:
        self._database = database
        self._redis = redis
        self._every = every
        self._clock = clock
        self._step = step
        self._queries = Queries.load("embeddings")

    async def run(self) -> None:
        """Look at what was recorded since the last look, of all tenants, one step after the other.

        A step that fails leaves those before it done. Idempotent; several may run at once. Each step costs PostgreSQL
        3 round trips and Redis one.

        Raises:
            Unavailable: PostgreSQL or Redis is away, or a statement took too long.
        """
        if not self._every:
            return
        begun = self._clock()
        since = max(await self._position(), begun - _FURTHEST)
        while since < begun and self._clock() < begun + _LONGEST:
            until = min(since + self._step, begun)
            await self._queue(since, until)
            await self._redis.command("SET", _KEY, min(until, begun - _OVERLAP).isoformat())
            since = until

    async def _queue(self, since: datetime, until: datetime) -> None:
        async with self._database.transaction() as connection:
            count: int = await connection.fetchval(
                self._queries["queue_active_profiles"], since, until, self._every
            )
        _queued.inc(count)

    async def _position(self) -> datetime:
        stored = await self._redis.command("GET", _KEY)
        return datetime.fromisoformat(stored.decode()) if stored else self._clock() - _FURTHEST
