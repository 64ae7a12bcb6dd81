"""Deliveries over accounts: found by tenant, changed at once, held back when they fail, and nobody else's trouble."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import asyncpg
import pytest

from server.dispatch.limits.rules import MICROSECONDS
from server.dispatch.limits.wishes import RouteKey
from server.platform.credential_keys import CredentialKeys
from tests.dispatch.channels.fakes.provider import FakeProvider, Handler, Received, Reply, never
from tests.dispatch.conftest import Fleet, Log, email_channel
from tests.dispatch.credentials.conftest import AccountsOf, Adapters, Customers
from tests.dispatch.decided import Decided, Decisions
from tests.dispatch.scripted_smtp import ScriptedSmtp
from tests.fixtures.logs import LogReader
from tests.fixtures.tenants import Tenant

GOOD, BAD = "111111111:" + "A" * 35, "222222222:" + "B" * 35
SLOW, BUSY = "333333333:" + "C" * 35, "444444444:" + "D" * 35


class Telegram:
    """Telegram: takes what the good bot sends, refuses the bad one, and never answers the slow one."""

    def __init__(self) -> None:
        self.fake = FakeProvider()
        self.asked: list[str] = []
        self.recovers_after = 0

    def start(self) -> None:
        """Listen."""
        self.fake.reset(self._answer)

    def _answer(self, received: Received) -> Reply | Handler:
        token = received.path.split("/")[1].removeprefix("bot")
        self.asked.append(token)
        if token == SLOW:
            return never
        if token == BUSY:
            asks = {"error_code": 429, "description": "Too Many Requests", "parameters": {"retry_after": 35}}
            return Reply(429, {"ok": False, **asks})
        if token == GOOD or 0 < self.recovers_after < len(self.asked):
            return Reply(200, {"ok": True, "result": {"message_id": len(self.asked)}})
        # Some providers repeat what they refuse.
        description = f"Unauthorized: {token}"
        return Reply(401, {"ok": False, "error_code": 401, "description": description})


@pytest.fixture
def telegram() -> Iterator[Telegram]:
    """Telegram, with its three bots."""
    provider = Telegram()
    provider.start()
    yield provider
    provider.fake.end()


async def put_bot(accounts: AccountsOf, tenant: Tenant, token: str, **more: float) -> None:
    """A bot's account."""
    await accounts.put(tenant, "telegram", "telegram", {"bot_token": token}, **more)


async def test_each_tenant_sends_with_its_own_account_and_a_change_is_used_at_once(
    telegram: Telegram,
    accounts: AccountsOf,
    adapters: Adapters,
    keyed: Fleet,
    customers: Customers,
    log: Log,
    tenant_a: Tenant,
    tenant_b: Tenant,
) -> None:
    """Tenant B has no account: its message fails. A's bot was replaced within the last second."""
    directory = keyed.directory(*adapters({"telegram": telegram.fake.url}))
    runner = keyed.deliveries(directory).runner("telegram")
    await put_bot(accounts, tenant_a, BAD)
    before = await customers.send(tenant_a, "telegram")
    unserved = await customers.send(tenant_b, "telegram")
    await runner.drain()
    assert await log.status(unserved) == "failed"
    assert (await log.facts(unserved))[-1][2] == "CHANNEL_NOT_SERVED"
    await put_bot(accounts, tenant_a, GOOD)
    after = await customers.send(tenant_a, "telegram")

    await runner.drain()

    assert await log.status(after) == "sent"
    assert await log.status(before) == "failed"
    assert set(telegram.asked) == {BAD, GOOD}


async def test_a_ciphertext_of_another_tenant_is_not_used_and_nothing_is_lost(
    telegram: Telegram,
    accounts: AccountsOf,
    adapters: Adapters,
    keyed: Fleet,
    customers: Customers,
    log: Log,
    tenant_a: Tenant,
    tenant_b: Tenant,
) -> None:
    await put_bot(accounts, tenant_a, GOOD)
    await accounts.write(tenant_b, await accounts.stored(tenant_a, "telegram"))
    stolen = await customers.send(tenant_b, "telegram")
    directory = keyed.directory(*adapters({"telegram": telegram.fake.url}))

    await keyed.deliveries(directory).runner("telegram").drain()

    assert telegram.asked == []
    assert (await log.facts(stolen))[-1] == ("deferred", 0, "CREDENTIAL_NOT_AUTHENTIC")
    assert await log.task_status(stolen) == "pending"
    # A worker that lacks the key waits as well.
    own = await customers.send(tenant_a, "telegram")
    keyed.keys = CredentialKeys.parse("other:" + "x" * 43)
    directory = keyed.directory(*adapters({"telegram": telegram.fake.url}))
    await keyed.deliveries(directory).runner("telegram").drain()
    assert (await log.facts(own))[-1] == ("deferred", 0, "CREDENTIAL_KEY_UNKNOWN")


async def test_a_refused_account_opens_its_circuit_and_only_its_own(
    telegram: Telegram,
    accounts: AccountsOf,
    adapters: Adapters,
    keyed: Fleet,
    customers: Customers,
    log: Log,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
    tenant_b: Tenant,
) -> None:
    """A's bot is refused: three messages find that out, the others wait unsent; B's go out meanwhile."""
    await put_bot(accounts, tenant_a, BAD)
    await put_bot(accounts, tenant_b, GOOD)
    keyed.circuit_failures, keyed.retry_seconds = 3, 3600.0
    broken = [await customers.send(tenant_a, "telegram") for _ in range(3)]
    directory = keyed.directory(*adapters({"telegram": telegram.fake.url}))
    runner = keyed.deliveries(directory).runner("telegram")
    await runner.drain()
    broken += [await customers.send(tenant_a, "telegram") for _ in range(9)]
    healthy = [await customers.send(tenant_b, "telegram") for _ in range(9)]

    await runner.drain()

    assert {await log.status(each) for each in healthy} == {"sent"}
    assert {await log.status(each) for each in broken} == {"deferred"}
    assert telegram.asked.count(BAD) == 3
    for each in broken[3:]:
        assert await log.facts(each) == [("queued", 0, None), ("deferred", 0, "CIRCUIT_OPEN")]
        wait = await _due(proof, each) - datetime.now(UTC)
        assert timedelta(0) < wait <= timedelta(seconds=30)
    for table in ("delivery_log", "agent_task", "tenant"):
        repeats = f"select exists (select from {table} as t where strpos(t::text, $1) > 0)"
        assert not await proof.fetchval(repeats, BAD)
    # Those that were tried before come again, and wait for the circuit as well.
    await proof.execute("update agent_task set due_at = now() where status = 'pending'")
    await runner.drain()
    refused = await log.facts(broken[0])
    assert [reason for _, _, reason in refused[2:]] == ["TELEGRAM_401", "CIRCUIT_OPEN"]
    # The account is corrected: what waited is sent as soon as it is due, without waiting for the circuit.
    await put_bot(accounts, tenant_a, GOOD)
    await proof.execute("update agent_task set due_at = now() where status = 'pending'")
    directory = keyed.directory(*adapters({"telegram": telegram.fake.url}))
    await keyed.deliveries(directory, worker="host:2").runner("telegram").drain()
    assert {await log.status(each) for each in broken} == {"sent"}


async def test_one_probe_finds_that_a_provider_is_back_and_everything_goes_out(
    telegram: Telegram,
    accounts: AccountsOf,
    adapters: Adapters,
    keyed: Fleet,
    customers: Customers,
    log: Log,
    tenant_a: Tenant,
    logged: LogReader,
) -> None:
    """Three refusals open the circuit, and a probe is refused as well; the next one passes, and then the others do.

    Nothing comes again before the test lets time pass: for the circuit, and for what waits.
    """
    await put_bot(accounts, tenant_a, BAD)
    keyed.circuit_failures, keyed.circuit_seconds, keyed.retry_seconds = 3, 3_600.0, 3_600.0
    sent = [await customers.send(tenant_a, "telegram") for _ in range(3)]
    telegram.recovers_after = 4
    directory = keyed.directory(*adapters({"telegram": telegram.fake.url}))
    gate = keyed.gate()
    runner = keyed.deliveries(directory, gate=gate).runner("telegram")

    await runner.drain()
    assert len(telegram.asked) == 3
    for asked in (4, 4 + len(sent)):
        await gate.close()  # what was learnt is reported
        await _circuit_time_passes(keyed, tenant_a)
        await _all_is_due(log)
        await runner.drain()
        assert len(telegram.asked) == asked
    await gate.close()

    assert {await log.status(each) for each in sent} == {"sent"}
    reported = logged.text()
    assert [reported.count(f'"circuit_{event}"') for event in ("opened", "closed")] == [2, 1]


async def _circuit_time_passes(keyed: Fleet, tenant: Tenant) -> None:
    """A day, for the account's circuit."""
    key = RouteKey(UUID(int=tenant.int), "telegram", "telegram").redis_key()
    await keyed.redis.commands([("HINCRBY", key, "open_until", -86_400 * MICROSECONDS)])


async def _all_is_due(log: Log) -> None:
    await log.proof.execute("update agent_task set due_at = now() where status = 'pending'")


async def test_a_provider_that_never_answers_one_tenant_does_not_slow_another(
    telegram: Telegram,
    accounts: AccountsOf,
    adapters: Adapters,
    keyed: Fleet,
    customers: Customers,
    log: Log,
    tenant_a: Tenant,
    tenant_b: Tenant,
) -> None:
    """A has far more messages than the adapter has slots, all of them older than B's; no answer comes to any of A's."""
    await put_bot(accounts, tenant_a, SLOW)
    await put_bot(accounts, tenant_b, GOOD)
    stuck = [await customers.send(tenant_a, "telegram") for _ in range(24)]
    waiting = [await customers.send(tenant_b, "telegram") for _ in range(6)]
    directory = keyed.directory(*adapters({"telegram": telegram.fake.url}, timeout_seconds=60.0))
    draining = asyncio.create_task(keyed.deliveries(directory).runner("telegram").drain())

    while {await log.status(each) for each in waiting} != {"sent"}:
        assert not draining.done()
        await asyncio.sleep(0.05)

    assert not {await log.status(each) for each in stuck} & {"sent", "unknown", "failed"}
    draining.cancel()


async def test_an_account_is_not_used_faster_than_its_limit(
    telegram: Telegram,
    accounts: AccountsOf,
    adapters: Adapters,
    keyed: Fleet,
    customers: Customers,
    log: Log,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
) -> None:
    """Its owner named one message in 100 s; Telegram's burst in proportion is one message."""
    await put_bot(accounts, tenant_a, GOOD, messages_per_second=0.01)
    sent = [await customers.send(tenant_a, "telegram") for _ in range(5)]
    directory = keyed.directory(*adapters({"telegram": telegram.fake.url}))
    workers = [keyed.deliveries(directory, worker=f"host:{n}").runner("telegram") for n in range(2)]

    await asyncio.gather(*(worker.drain() for worker in workers))

    assert len(telegram.asked) == 1
    dues = sorted([await _due(proof, each) for each in sent if await log.status(each) == "deferred"])
    assert len(dues) == 4
    for due, later in pairwise(dues):
        assert later - due == pytest.approx(timedelta(seconds=100), abs=timedelta(seconds=1))


async def test_what_the_provider_asks_for_holds_for_every_message_of_the_account(
    telegram: Telegram,
    accounts: AccountsOf,
    adapters: Adapters,
    keyed: Fleet,
    customers: Customers,
    log: Log,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
) -> None:
    await put_bot(accounts, tenant_a, BUSY)
    directory = keyed.directory(*adapters({"telegram": telegram.fake.url}))
    first = await customers.send(tenant_a, "telegram")
    await keyed.deliveries(directory).runner("telegram").drain()
    then = await customers.send(tenant_a, "telegram")
    await keyed.deliveries(directory, worker="host:2").runner("telegram").drain()

    assert telegram.asked == [BUSY]
    assert (await log.facts(first))[-1] == ("deferred", 1, "TELEGRAM_429")
    assert (await log.facts(then))[-1] == ("deferred", 0, "PROVIDER_ASKED_TO_WAIT")
    for each in (first, then):
        wait = await _due(proof, each) - datetime.now(UTC)
        assert timedelta(0) < wait <= timedelta(seconds=36)


async def test_the_shared_relay_serves_whoever_has_no_account_of_its_own(
    smtp: ScriptedSmtp,
    accounts: AccountsOf,
    adapters: Adapters,
    keyed: Fleet,
    decisions: Decisions,
    log: Log,
    tenant_a: Tenant,
    tenant_b: Tenant,
) -> None:
    """A has an account at SendGrid, B has none; both send from the queue `email`."""
    provider = FakeProvider()
    provider.reset(lambda _: Reply(202, b"", {"X-Message-Id": "abc"}))
    await accounts.put(
        tenant_a, "email", "sendgrid", {"api_key": "SG.key-of-tenant-a", "sender_email": "a@example.com"}
    )
    sent = {}
    for tenant in (tenant_a, tenant_b):
        definitions = await decisions.define(tenant)
        sent[tenant] = await decisions.send(definitions, await decisions.profile(tenant, "lan"))
    sendgrid = adapters({"sendgrid": provider.url})
    directory = keyed.directory(*sendgrid, shared={"email": email_channel(smtp.url)})

    await keyed.deliveries(directory).runner("email").drain()

    assert {await log.status(each) for each in sent.values()} == {"sent"}
    assert len(provider.received) == len(smtp.arrived) == 1
    # The relay is away: only those who need it wait.
    away = email_channel("smtp://127.0.0.1:1")
    directory = keyed.directory(*sendgrid, shared={"email": away})
    for tenant in (tenant_a, tenant_b):
        definitions = await decisions.define(tenant)
        sent[tenant] = await decisions.send(definitions, await decisions.profile(tenant, "minh"))
    await keyed.deliveries(directory).runner("email").drain()
    assert await log.status(sent[tenant_a]) == "sent"
    assert await log.facts(sent[tenant_b]) == [("queued", 0, None)]
    provider.end()


async def _due(proof: asyncpg.Connection, decided: Decided) -> datetime:
    due: datetime = await proof.fetchval(
        "select due_at from agent_task where tenant_id = $1 and task_id = $2",
        UUID(int=decided.tenant_id.int),
        decided.task_id,
    )
    return due
