"""How many worker processes share the limits: each says every few seconds that it is there."""

from __future__ import annotations

import time
from typing import Final

from server.platform.clock import utc_now
from server.platform.redis import RedisPool

_KEY: Final = "leo:workers"
_EVERY_SECONDS: Final = 5.0
_FORGOTTEN_SECONDS: Final = 30.0


class FleetSize:
    """The fleet as it was last seen in Redis; 1 before it was.

    Args:
        worker: the name of this process.
    """

    def __init__(self, *, redis: RedisPool, worker: str) -> None:
        self._redis = redis
        self._worker = worker
        self._announced = float("-inf")
        self.size = 1

    async def announce(self) -> None:
        """Say that this process is there, and count the others: one round trip, at most every 5 s.

        Raises:
            Unavailable: Redis is away.
        """
        if time.monotonic() < self._announced + _EVERY_SECONDS:
            return
        # The clocks of machines may differ; by more than half a minute, the fleet is counted too small.
        now = utc_now().timestamp()
        commands = (
            ("ZADD", _KEY, now, self._worker),
            ("ZREMRANGEBYSCORE", _KEY, "-inf", now - _FORGOTTEN_SECONDS),
            ("ZCARD", _KEY),
            ("EXPIRE", _KEY, int(_FORGOTTEN_SECONDS)),
        )
        answers = await self._redis.commands(commands)
        self.size = max(1, int(answers[2]))
        self._announced = time.monotonic()
