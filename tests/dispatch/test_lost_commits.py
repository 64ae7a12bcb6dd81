"""The answer to a commit is lost: what was recorded is looked up, and nothing is lost, doubled or sent twice."""

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
    """Loses the answer to one message that commits, and with it the connection; all others pass.

    Args:
        commit: a part of the message.

    Attributes:
        lost: whether it has happened.
    """

    def __init__(self, url: str, *, commit: bytes) -> None:
        super().__init__(url)
        self.lost = False
        self._commit = commit
        self._committing = False

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_answer: bool
    ) -> None:
        while data := await source.read(65536):
            if is_answer and self._committing and not self.lost:
                self.lost = True
                break
            self._committing = self._committing or (not is_answer and self._commit in data)
            sink.write(data)
            await sink.drain()
        sink.close()


@pytest.mark.parametrize(
    "commit",
    [b"COMMIT\x00", b'"delivery_status":["sent"]'],
    ids=["before it is sent", "after it was sent"],
)
async def test_a_lost_answer_changes_nothing(
    decisions: Decisions,
    database: DatabaseUrls,
    redis: RedisPool,
    smtp: ScriptedSmtp,
    log: Log,
    tenant_a: Tenant,
    commit: bytes,
) -> None:
    definitions = await decisions.define(tenant_a)
    decided = await decisions.send(definitions, await decisions.profile(tenant_a, "lan"))
    proxy = CommitLosingProxy(database.worker_url, commit=commit)
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
