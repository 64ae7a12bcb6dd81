"""A process that decides one event with a short lease: `python -m tests.decisions.deciding_process LEASE_MS TENANT`.

It reads `LEO_DATABASE_URL` and `LEO_REDIS_URL`, prints a line once it has decided for bob, then decides for ann.
"""

from __future__ import annotations

import asyncio
import os
import sys
from uuid import UUID

from server.decisions.assembly import running_decisions
from server.decisions.reservation.sets import ReservationSettings
from server.platform.postgres import Database
from server.platform.redis import RedisPool
from server.workers.wake_ups import SweepOnly
from tests.decisions.shop import purchase


async def _decide(lease_ms: int, tenant_id: UUID) -> None:
    database = await Database.connect(
        os.environ["LEO_DATABASE_URL"],
        minimum_connections=1,
        maximum_connections=2,
        application_name="test-victim",
    )
    redis = await RedisPool.connect(os.environ["LEO_REDIS_URL"], client_name="test-victim")
    async with running_decisions(
        database=database,
        redis=redis,
        wake_up=SweepOnly(),
        reservation=ReservationSettings(lease_ms=lease_ms),
    ) as service:
        await service.decide(tenant_id, purchase("of-the-victim-first", profile_id="bob"))
        print("ready", flush=True)
        sys.stdin.readline()
        await service.decide(tenant_id, purchase("of-the-victim"))


if __name__ == "__main__":
    asyncio.run(_decide(int(sys.argv[1]), UUID(sys.argv[2])))
