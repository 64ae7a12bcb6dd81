"""The statement that commits ticks is lost on the way, or its answer: nothing is missed, nothing fires twice."""

from __future__ import annotations

import asyncio
import re

import asyncpg
import pytest
from leo.activation.v1 import alert_service_pb2 as wire
from leo_client import LeoApiError
from pydantic import SecretStr

from server.config import ServerSettings
from server.embedded.database_setup import DatabaseUrls
from tests.alerts.conftest import SCOPES, Caller, add_instruments, ticks
from tests.alerts.naive import NaiveRule
from tests.alerts.test_ownership import serving
from tests.alerts.wiring import message_of
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor
from tests.platform.proxy import CuttingProxy
from tests.workers.conftest import until

# The driver prepares a statement under a name, and from then on binds values to that.
_PREPARED = re.compile(rb"P.{4}(\w+\x00)[^\x00]*FROM commit_ticks\(", re.DOTALL)


class TickLosingProxy(CuttingProxy):
    """Cuts a connection at the first commit of ticks once it is told to (`loses`); everything else passes.

    Args:
        arrives: whether the commit still reaches PostgreSQL, so that only its answer is lost.
    """

    def __init__(self, url: str, *, arrives: bool) -> None:
        super().__init__(url)
        self._arrives = arrives
        self.loses = self.lost = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, requests = await asyncio.open_connection(self._target.hostname, self._target.port)
        cut = asyncio.Event()
        for work in (self._carry_requests(reader, requests, cut), self._carry_answers(answers, writer, cut)):
            self._tasks.add(asyncio.create_task(work))

    async def _carry_requests(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, cut: asyncio.Event
    ) -> None:
        statement = None
        while data := await source.read(65536):
            if prepared := _PREPARED.search(data):
                statement = prepared[1]
            elif statement and data.startswith(b"B") and statement in data and self.loses and not self.lost:
                self.lost = True
                cut.set()
                if not self._arrives:
                    break
            sink.write(data)
            await sink.drain()
        sink.close()

    async def _carry_answers(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, cut: asyncio.Event
    ) -> None:
        while data := await source.read(65536):
            if cut.is_set():
                break
            sink.write(data)
            await sink.drain()
        sink.close()


@pytest.mark.parametrize("arrives", [True, False], ids=["its answer", "itself"])
async def test_a_lost_commit_fires_once_and_forgets_nothing(
    settings: ServerSettings,
    database: DatabaseUrls,
    tenant_a: Tenant,
    token_for: TokenFor,
    proof: asyncpg.Connection,
    arrives: bool,
) -> None:
    """The feeder sends the same ticks again, as it does with what was not acknowledged, and then the next ones."""
    await add_instruments(database, ["AAPL"], tenant_a)
    token = token_for(tenant_a, SCOPES)
    async with TickLosingProxy(database.app_url, arrives=arrives) as proxy:
        through = settings.model_copy(update={"database_url": SecretStr(proxy.url)})
        async with serving(through, token) as caller:
            above, again, holding = await caller.arm(
                message_of(NaiveRule("", "AAPL", ">", 150_000_000_000), "ann"),
                message_of(NaiveRule("", "AAPL", "crosses up", 150_000_000_000, rearms=True), "ann"),
                message_of(NaiveRule("", "AAPL", ">", 160_000_000_000, hold=5, rearms=True), "ann"),
            )
            await caller.tick(ticks(148, start=-1))
            proxy.loses = True
            batch = ticks(149, 151, 149, 161, feed="f", sequences=[1, 2, 3, 4])
            repeated = await _until_answered(caller, batch)
            assert proxy.lost
            assert repeated.duplicate_count == (4 if arrives else 0)
            await caller.tick(ticks(161, start=4, feed="f", sequences=[5]))
            last = await caller.tick(ticks(149, 161, start=9, feed="f", sequences=[6, 7]))
            assert [(f.rule_id, f.generation) for f in last.firings] == [(again, 3)]
            held = await caller.tick(ticks(162, start=16, feed="f", sequences=[8]))
            assert [(f.rule_id, f.generation) for f in held.firings] == [(holding, 1)]
    rows = await proof.fetch(
        "select inputs ->> 'rule_id' as name, (inputs ->> 'generation')::int as generation"
        " from agent_task where agent_name = 'alerts'"
    )
    assert sorted(map(tuple, rows)) == sorted([(above, 1), (again, 1), (again, 2), (again, 3), (holding, 1)])


async def _until_answered(caller: Caller, batch: wire.TickBatch) -> wire.TickBatchResult:
    answers: list[wire.TickBatchResult] = []
    refusals: set[str] = set()

    async def answered() -> bool:
        try:
            answers.append(await caller.tick(batch))
        except LeoApiError as error:
            refusals.add(error.reason)
        return bool(answers)

    await until(answered)
    assert "DATABASE_UNAVAILABLE" in refusals
    assert refusals <= {"DATABASE_UNAVAILABLE", "SHARD_CHANGING_HANDS"}
    return answers[0]
