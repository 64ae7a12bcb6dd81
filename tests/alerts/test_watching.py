"""Watchers: none missed, none twice, whichever process fires, dies, or is asked to go on."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import asyncpg
import grpc
import pytest
from leo.activation.v1 import alert_service_pb2 as wire
from leo_client import LeoApiError, LeoClient

from server.alerts import watching
from server.alerts.firing_store import FiringStore
from server.alerts.model import FiringFilter, Position
from server.alerts.watching import FiringWatch
from server.embedded.database_setup import DatabaseUrls
from server.errors import Overloaded, Unavailable
from server.platform.postgres import Database
from tests.alerts.committed import add_rules, fire, rule_ids
from tests.alerts.conftest import SCOPES, Caller, add_instruments, rule, ticks
from tests.alerts.servers import Servers
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor
from tests.workers.conftest import until


class Watcher:
    """A stream of WatchAlerts, and the last token that it brought."""

    def __init__(self, client: LeoClient, **request: str) -> None:
        self._stream = aiter(client.alerts.WatchAlerts(wire.WatchAlertsRequest(**request)))  # type: ignore[arg-type]
        self.token = ""

    async def next(self) -> wire.RecordedFiring | None:
        """The firing of the next message; None for one that only holds a token."""
        message = await anext(self._stream)
        self.token = message.resume_token
        return message.firing if message.HasField("firing") else None

    async def rules(self, count: int) -> list[str]:
        """The rules of the next so many firings."""
        found: list[str] = []
        while len(found) < count:
            firing = await self.next()
            found += [firing.firing.rule_id] if firing else []
        return found


async def begun(client: LeoClient, **request: str) -> Watcher:
    """A watcher that misses nothing from here on."""
    watcher = Watcher(client, **request)
    assert await watcher.next() is None
    return watcher


async def test_watchers_are_told_what_fires_from_now_on_each_its_own(
    ann: Caller, bob: Caller, proof: asyncpg.Connection
) -> None:
    (early,) = await ann.arm(rule(">", 100))
    await ann.tick(ticks(101))
    everything, goog, of_ben = [
        await begun(ann.client, **wanted) for wanted in ({}, {"symbol": "GOOG"}, {"profile_id": "ben"})
    ]
    foreign = await begun(bob.client)
    first, second, third = await ann.arm(
        rule(">", 150), rule(">", 20, symbol="GOOG"), rule(">", 30, symbol="GOOG", profile_id="ben")
    )
    only_third = await begun(ann.client, rule_id=third)
    await ann.tick(ticks(151, start=1))
    await ann.tick(ticks(21, 31, symbol="GOOG"))
    told = await everything.rules(3)
    assert told[0] == first
    # Firings of one commit come in an order of their own, the same for every watcher.
    assert await goog.rules(2) == told[1:]
    assert set(told[1:]) == {second, third}
    assert await of_ben.rules(1) == await only_third.rules(1) == [third]
    assert early not in {first, second, third}
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(foreign.next(), 0.6)


async def test_what_is_committed_late_is_told_late_and_not_missed(
    ann: Caller, database: DatabaseUrls, app: asyncpg.Connection, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    """The transaction with the lower number commits last; a position by number would have passed it."""
    slow, quick, last = rule_ids(3)
    await add_rules(proof, tenant_a, [slow, quick, last])
    watcher = await begun(ann.client)
    other = await asyncpg.connect(database.app_url)
    begun_early = other.transaction()
    await begun_early.start()
    await fire(other, tenant_a, [slow])
    await fire(app, tenant_a, [quick])
    assert await watcher.rules(1) == [quick]
    token = watcher.token
    await begun_early.commit()
    await other.close()
    assert await watcher.rules(1) == [slow]
    await fire(app, tenant_a, [last])
    resumed = await begun(ann.client, resume_token=token)
    assert await resumed.rules(2) == [slow, last]
    assert await watcher.rules(1) == [last]
    ended = await begun(ann.client, resume_token=resumed.token)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ended.next(), 0.6)


async def test_each_token_of_a_stream_goes_on_right_after_it(
    ann: Caller, app: asyncpg.Connection, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    ids = rule_ids(7)
    await add_rules(proof, tenant_a, ids)
    watcher = await begun(ann.client)
    tokens = [watcher.token]
    await fire(app, tenant_a, ids[:4])  # one transaction: several firings with one number
    for rule_id in ids[4:]:
        await fire(app, tenant_a, [rule_id])
    order = []
    for _ in ids:
        order += await watcher.rules(1)
        tokens.append(watcher.token)
    assert sorted(order) == ids
    for place, token in enumerate(tokens[:-1]):
        resumed = await begun(ann.client, resume_token=token)
        assert await resumed.rules(len(ids) - place) == order[place:], place


async def test_a_silent_watcher_gets_tokens_that_go_on(
    ann: Caller,
    app: asyncpg.Connection,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "_KEEPALIVE_SECONDS", 0.05)
    (rule_id,) = rule_ids(1)
    await add_rules(proof, tenant_a, [rule_id])
    watcher = await begun(ann.client)
    assert await watcher.next() is None
    await fire(app, tenant_a, [rule_id])
    resumed = await begun(ann.client, resume_token=watcher.token)
    assert await resumed.rules(1) == [rule_id]


async def test_what_is_no_token_is_refused(ann: Caller) -> None:
    for token in (
        "x",
        base64.urlsafe_b64encode(b'["1:1:","1:1:",1]').decode(),
        Position.after("5:4:").token,
        Position.after("900000000:900000000:").token,
    ):
        with pytest.raises(LeoApiError) as refused:
            await begun(ann.client, resume_token=token)
        assert [violation.field for violation in refused.value.violations] == ["resume_token"], token


@pytest.fixture
async def pool(database: DatabaseUrls) -> AsyncIterator[Database]:
    """What a server has of the database."""
    pool = await Database.connect(
        database.app_url, minimum_connections=1, maximum_connections=4, application_name="test"
    )
    yield pool
    await pool.close()


@pytest.fixture
async def watch(pool: Database) -> AsyncIterator[FiringWatch]:
    """The watchers of a process, without its server: what a reader takes, it takes when the test says so."""
    watch = FiringWatch(database=pool, store=FiringStore())
    await watch.start()
    yield watch
    await watch.stop()


async def test_a_slow_reader_is_ended_and_goes_on_by_its_token(
    watch: FiringWatch,
    app: asyncpg.Connection,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "MOST_WAITING", 10)
    ids = rule_ids(30)
    await add_rules(proof, tenant_a, ids)
    quick, found = aiter(watch.watch(tenant_a, FiringFilter(), "")), []
    slow = watch.watch(tenant_a, FiringFilter(), "")
    token = (await anext(slow)).resume_token
    await anext(quick)
    taking = asyncio.ensure_future(anext(slow))
    for rule_id in ids:
        await fire(app, tenant_a, [rule_id])
        found.append((await anext(quick)).firing.rule_id)  # type: ignore[union-attr]
    token = (await taking).resume_token
    with pytest.raises(Overloaded) as ended:
        await anext(slow)
    assert ended.value.reason == "WATCHER_TOO_SLOW"
    assert found == ids, "another reader of the same firings is not held up"
    async with aclosing(watch.watch(tenant_a, FiringFilter(), token)) as resumed:
        await anext(resumed)
        rest = [(await anext(resumed)).firing.rule_id for _ in ids[1:]]  # type: ignore[union-attr]
    assert rest == ids[1:]


async def test_watchers_are_told_when_nobody_looks_for_them(
    watch: FiringWatch, pool: Database, tenant_a: Tenant
) -> None:
    stream = watch.watch(tenant_a, FiringFilter(), "")
    await anext(stream)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    await pool.close()
    with pytest.raises(Unavailable):
        await waiting


async def test_a_watcher_sees_what_another_process_fires_and_goes_on_when_its_own_is_killed(
    servers: Servers, database: DatabaseUrls, token_for: TokenFor, tenant_a: Tenant, proof: asyncpg.Connection
) -> None:
    symbols = ["AAPL", "GOOG", "IBM", "MSFT"]
    await add_instruments(database, symbols, tenant_a)
    token = token_for(tenant_a, SCOPES)
    watched, kept = servers.start(), servers.start()
    assert watched.pid != kept.pid
    async with (
        LeoClient(await watched.address(), token=token) as one,
        LeoClient(await kept.address(), token=token) as other,
    ):
        wanted = [rule("up", price, symbol=symbol) for symbol in symbols for price in range(100, 130)]
        armed = await Caller(one).arm(*wanted)
        watcher = await begun(one)
        for symbol in symbols:
            await tick_somewhere([one, other], ticks(99, 115, symbol=symbol))
        found = await watcher.rules(40)
        watched.kill()
        with pytest.raises(LeoApiError) as ended:
            while True:
                found += await watcher.rules(1)
        assert ended.value.code is grpc.StatusCode.UNAVAILABLE
        for symbol in symbols:
            await tick_somewhere([other], ticks(140, symbol=symbol, start=2))
        resumed = await begun(other, resume_token=watcher.token)
        found += await resumed.rules(len(armed) - len(found))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(resumed.next(), 0.6)
    assert len(found) == len(set(found))
    assert set(found) == set(armed)
    assert await proof.fetchval("select count(*) from agent_task where queue = 'alerts'") == len(armed)


async def tick_somewhere(clients: Sequence[LeoClient], batch: wire.TickBatch) -> None:
    """Bring ticks to whichever process owns their symbol, as soon as one does."""

    async def taken() -> bool:
        for client in clients:
            try:
                await Caller(client).tick(batch)
            except LeoApiError as refused:
                if refused.reason not in ("SHARD_OWNED_ELSEWHERE", "SHARD_CHANGING_HANDS"):
                    raise
            else:
                return True
        return False

    await until(taken)
