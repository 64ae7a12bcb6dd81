"""What may happen to the reservations' Redis while servers decide."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import redis as sync_redis

from server.embedded.redis_server import RedisServer


def flush(server: RedisServer) -> None:
    """Empty Redis."""
    with sync_redis.Redis.from_url(server.url) as client:
        client.flushall()


def crash(server: RedisServer) -> None:
    """Kill Redis, and start it again, empty."""
    server.kill()
    server.start()


FORGETTING: Final[dict[str, Callable[[RedisServer], None]]] = {
    "FLUSHALL": flush,
    "killed and restarted": crash,
}
