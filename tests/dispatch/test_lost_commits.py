"""The answer to a COMMIT is lost: what was recorded is looked up, and nothing is lost, doubled or sent twice."""

from __future__ import annotations

import asyncio

import pytest

from server.embedded.database_setup import DatabaseUrls
from server.platform.postgres import Database
from server.platform.redis import RedisPool
from tests.dispatch.conftest import Fleet, Log, email_channel
from tests.dispatch.decided import Decisions
from tests.dispatch.scripted_smtp import ScriptedSmtp
from tests.fixtures.tenants import Tenant
from tests.platform.proxy import CuttingProxy


class CommitLosingProxy(CuttingProxy):
    """Loses the answer to one COMMIT, and with it the connection; all others pass.

    Args:
        which: the number of the COMMIT, from 1.
    """

    def __init__(self, url: str, *, which: int) -> None:
        super().__init__(url)
        self._until = which

    @property
    def lost(self) -> bool:
        """Whether it has happened."""
        return self._until < 0

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_answer: bool
    ) -> None:
        while data := await source.read(65536):
            if is_answer and self._until == 0:
                self._until = -1
                break
            if not is_answer and b"COMMIT\x00" in data:
                self._until -= 1
            sink.write(data)
            await sink.drain()
        sink.close()


@pytest.mark.parametrize("which", [2, 3], ids=["before it is sent", "after it was sent"])
async def test_a_lost_answer_changes_nothing(
    decisions: Decisions,
    database: DatabaseUrls,
    redis: RedisPool,
    smtp: ScriptedSmtp,
    log: Log,
    tenant_a: Tenant,
    which: int,
) -> None:
    definitions = await decisions.define(tenant_a)
    decided = await decisions.send(definitions, await decisions.profile(tenant_a, "lan"))
    proxy = CommitLosingProxy(database.worker_url, which=which)
    async with proxy:
        pool = await Database.connect(
            proxy.url, minimum_connections=1, maximum_connections=1, application_name="test-worker"
        )
        await Fleet(pool, redis).runner({"email": email_channel(smtp.url)}).drain()
        await pool.close()
        assert proxy.lost

    assert await log.facts(decided) == [("queued", 0, None), ("sending", 1, None), ("sent", 1, None)]
    assert await log.task_status(decided) == "completed"
    assert smtp.arrived == ["lan@example.com"]
