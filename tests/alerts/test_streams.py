"""StreamTicks: what is answered when, what a slow side does to the other, and what bad ticks do to good ones."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

import asyncpg
import pytest
from leo.activation.v1 import alert_service_pb2 as wire
from leo_client import LeoApiError

from server.alerts.assembly import running_alerts
from server.alerts.rpc import AlertServicer
from server.embedded.database_setup import DatabaseUrls
from server.platform.postgres import Database
from server.rpc.caller import Caller as VerifiedCaller
from server.rpc.caller import set_current_caller
from tests.alerts.conftest import NANOS, SCOPES, START_US, Caller, rule, ticks
from tests.fixtures.tenants import Tenant
from tests.workers.conftest import until

UNDER_WAY = 250
"""Messages that a server takes before it has answered the first one."""
WIDE_UNDER_WAY = 20
"""The same, of messages with 10,000 symbols."""


class Messages:
    """Batches as gRPC asks for them; counts how many it took."""

    def __init__(self, batches: Sequence[wire.TickBatch]) -> None:
        self._batches = iter(batches)
        self.taken = 0

    def __aiter__(self) -> Messages:
        return self

    async def __anext__(self) -> wire.StreamTicksRequest:
        batch = next(self._batches, None)
        if batch is None:
            raise StopAsyncIteration
        self.taken += 1
        return wire.StreamTicksRequest(batch=batch)


def wide(number: int) -> wire.TickBatch:
    """One tick of AAPL, in a message so large that few of them find room on the way."""
    strangers = [f"{place:064d}" for place in range(9_999)]
    return wire.TickBatch(
        symbols=["AAPL", *strangers],
        symbol_indices=[0],
        price_nanos=[NANOS],
        observed_at_us=[START_US + number],
    )


async def test_every_fault_is_told_by_index_and_the_good_ticks_beside_it_fire(ann: Caller) -> None:
    await ann.arm(rule(">", 5))
    largest, smallest = 2**63 - 1, -(2**63)
    batch = wire.TickBatch(symbols=["AAPL", "A\tB", "nobody", "é" * 64])
    given = [
        *((0, NANOS, START_US), (0, 0, START_US), (0, -1, START_US), (0, smallest, START_US)),
        *((1, NANOS, START_US), (2, NANOS, START_US), (3, NANOS, START_US), (4, NANOS, START_US)),
        *((2**32 - 1, NANOS, START_US), (0, NANOS, largest), (0, NANOS, smallest), (0, NANOS, START_US - 1)),
        (0, largest, START_US),
    ]
    for place, price, moment in given:
        batch.symbol_indices.append(place)
        batch.price_nanos.append(price)
        batch.observed_at_us.append(moment)
    stream = ann.client.alerts.StreamTicks(Messages([batch]))
    (result,) = [answer.result async for answer in stream]
    faults = [wire.TickFault.Name(bad.fault).removeprefix("TICK_FAULT_") for bad in result.bad_ticks]
    assert [bad.index for bad in result.bad_ticks] == list(range(1, 12))
    assert faults == [
        *(["PRICE"] * 3 + ["UNKNOWN_SYMBOL"] * 3 + ["SYMBOL_INDEX"] * 2),
        *("TIME_RANGE", "TIME_RANGE", "TIME_BACKWARDS"),
    ]
    assert (result.accepted_count, result.fired_count, result.firings[0].tick_index) == (2, 1, 12)


async def test_a_slow_server_takes_no_more_than_it_may_have_under_way(
    ann: Caller, database: DatabaseUrls
) -> None:
    """Its commits wait for a lock: the messages beyond those under way stay with the sender."""
    await ann.tick(ticks(1))
    count = WIDE_UNDER_WAY * 5
    blocker = await asyncpg.connect(database.proof_url)
    try:
        async with blocker.transaction():
            await blocker.execute("select from market_snapshot for update")
            messages = Messages([wide(1)] * count)
            answers = aiter(ann.client.alerts.StreamTicks(messages))
            first = asyncio.ensure_future(anext(answers))
            await until(lambda: reached(messages, WIDE_UNDER_WAY))
            for _ in range(20):
                await ann.rules()
            assert messages.taken < count
            assert not first.done()
        results = [(await first).result, *[answer.result async for answer in answers]]
    finally:
        await blocker.close()
    assert [result.accepted_count for result in results] == [1] * count


async def test_nothing_is_read_from_a_client_that_does_not_take_its_answers(
    database: DatabaseUrls, tenant_a: Tenant
) -> None:
    """Without gRPC's own buffers between the two, which hold megabytes: what the server itself would hold."""
    messages = Messages([ticks(1)] * (UNDER_WAY * 3))
    pool = await Database.connect(
        database.app_url, minimum_connections=1, maximum_connections=2, application_name="test"
    )
    set_current_caller(VerifiedCaller(tenant_a, "feeder", frozenset(SCOPES)))
    async with running_alerts(database=pool, url=database.app_url, decider=Undecided()) as alerts:
        await alerts.keeper.start("127.0.0.1:1")
        servicer = AlertServicer(service=alerts.service, firings=alerts.firings, backtests=alerts.backtests)
        stream = servicer.StreamTicks(aiter(messages), None)  # type: ignore[arg-type]
        await anext(stream)
        await until(lambda: reached(messages, UNDER_WAY))
        for _ in range(1_000):
            await asyncio.sleep(0)
        assert messages.taken <= UNDER_WAY + 1
        assert len([answer async for answer in stream]) == UNDER_WAY * 3 - 1
    await pool.close()


class Undecided:
    """Decides nothing, as nothing fires."""

    async def decide_batch(self, tenant_id: UUID, incoming: Sequence[object]) -> Sequence[object]:
        raise NotImplementedError


async def reached(messages: Messages, count: int) -> bool:
    """Whether so many were taken."""
    return messages.taken >= count


async def test_messages_before_a_faulty_one_are_answered(ann: Caller) -> None:
    messages = Messages([ticks(1), ticks(2, start=1), wire.TickBatch(symbols=["AAPL"]), ticks(3, start=2)])
    answers = aiter(ann.client.alerts.StreamTicks(messages))
    assert [(await anext(answers)).result.accepted_count for _ in range(2)] == [1, 1]
    with pytest.raises(LeoApiError) as refused:
        await anext(answers)
    assert refused.value.violations[0].field == "batch.symbol_indices"


async def test_an_answer_holds_the_first_firings_and_counts_all(ann: Caller) -> None:
    """A round price may be what tens of thousands wait for; the answer stays one that a client may read."""
    rules = [rule(">", 5, profile_id=f"p{number}") for number in range(1_500)]
    for start in range(0, len(rules), 1_000):
        await ann.arm(*rules[start : start + 1_000])
    result = await ann.tick(ticks(6))
    assert (result.fired_count, len(result.firings)) == (1_500, 1_000)
    assert result.firings[0].rule_id < result.firings[-1].rule_id
