"""Several server processes on one database: who owns what, who dies, and what still fires once."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
from feeder import Feeder, Position, Recorded, Tick, read_bars
from leo.activation.v1 import alert_service_pb2 as wire
from leo_client import LeoApiError, LeoClient

from server.embedded.database_setup import DatabaseUrls
from server.platform.ids import symbol_shard
from tests.alerts.conftest import NANOS, SCOPES, Caller, add_instruments
from tests.alerts.naive import NaiveRule, NaiveTick, naive_firings
from tests.alerts.servers import ServerProcess, Servers
from tests.alerts.wiring import message_of
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor
from tests.workers.conftest import until

BARS = Path(__file__).parents[2] / "loadtest" / "data" / "daily_stocks.csv.gz"
_DAY = 86_400
_OWNERS = """
    select substr(a.application_name, 8) as address, count(*) as shards
    from pg_stat_activity a join pg_locks l on l.pid = a.pid and l.locktype = 'advisory' and l.classid = 4712
    where a.datname = current_database() and a.application_name like 'alerts@%' group by 1
"""
_KINDS = (">", "<", "crosses up", "crosses down")


def bars(days: int) -> list[Tick]:
    """The last days of four real stocks."""
    symbols = ("AAPL", "GOOG", "IBM", "MSFT")
    return [tick for tick in read_bars(BARS) if tick.symbol in symbols][-days * 16 :]


def wanted(ticks: Sequence[Tick]) -> list[NaiveRule]:
    """Rules of every kind, spread over the prices that each stock had; the last ones fire again and again."""
    rules = []
    for symbol in sorted({tick.symbol for tick in ticks}):
        prices = [tick.price_nanos for tick in ticks if tick.symbol == symbol]
        low, high = min(prices), max(prices)
        step = max(1, (high - low) // 12)
        rules += [NaiveRule("", symbol, k, p) for k in _KINDS for p in range(low, high, step) if p]
        rules += [
            NaiveRule("", symbol, "crosses up", low + step * 6, rearms=True),
            NaiveRule("", symbol, "<", low + step * 5, rearms=True, clear=low + step * 7, hold=_DAY),
            NaiveRule("", symbol, "between", low + step * 4, low + step * 5, rearms=True, cooldown=7 * _DAY),
            NaiveRule("", symbol, "close up", ppm=20_000, rearms=True),
            NaiveRule("", symbol, "new down", days=5, rearms=True, hold=_DAY // 12),
            NaiveRule("", symbol, "within down", ppm=20_000, seconds=_DAY // 2, rearms=True),
        ]
    return rules


async def put_rules(caller: Caller, rules: Sequence[NaiveRule]) -> list[NaiveRule]:
    """Arms them; the same with their ids as names."""
    names = await caller.arm(*(message_of(rule, "ann") for rule in rules))
    return [replace(rule, name=name) for name, rule in zip(names, rules, strict=True)]


def expected(rules: Sequence[NaiveRule], ticks: Sequence[Tick]) -> set[tuple[str, int, int]]:
    """Rule, price and time of every firing, computed without the server."""
    moves = [NaiveTick(tick.symbol, tick.price_nanos, tick.observed_at_us) for tick in ticks]
    return {(name, price, moment) for name, _, price, moment in naive_firings(rules, moves)}


async def recorded(proof: asyncpg.Connection) -> list[tuple[str, int, int]]:
    """Rule, price and time of every firing that PostgreSQL holds."""
    rows = await proof.fetch(
        "select inputs ->> 'rule_id' as rule_id, (inputs ->> 'price_nanos')::bigint as price,"
        " (extract(epoch from occurred_at) * 1000000)::bigint as moment"
        " from agent_task where agent_name = 'alerts'"
    )
    return [(row["rule_id"], row["price"], row["moment"]) for row in rows]


async def shards_are_shared(proof: asyncpg.Connection, addresses: set[str]) -> None:
    """Wait until these processes hold all 64 shards in parts as equal as can be."""

    async def shared() -> bool:
        owners = {row["address"]: row["shards"] for row in await proof.fetch(_OWNERS)}
        fair = {64 // len(addresses), -(-64 // len(addresses))}
        return owners.keys() == addresses and set(owners.values()) <= fair

    await until(shared)


@pytest.fixture
async def token(database: DatabaseUrls, tenant_a: Tenant, token_for: TokenFor) -> str:
    """A token of tenant A, which has four stocks of its own."""
    await add_instruments(database, ["AAPL", "GOOG", "IBM", "MSFT"], tenant_a)
    return token_for(tenant_a, SCOPES)


def feeder(token: str, addresses: Sequence[str], position: Position, connected: set[str]) -> Feeder:
    """A feeder with small messages, which notes where it connected to."""

    def connect(address: str) -> LeoClient:
        connected.add(address)
        return LeoClient(address, token=token)

    return Feeder(
        connect=connect,
        addresses=addresses,
        feed="stocks",
        position=position,
        batch_size=50,
        window=4,
    )


async def test_two_servers_share_the_shards_and_each_rule_fires_once(
    servers: Servers, token: str, proof: asyncpg.Connection
) -> None:
    first, second = servers.start(), servers.start()
    addresses = {await first.address(), await second.address()}
    await shards_are_shared(proof, addresses)
    ticks = bars(250)
    async with LeoClient(await first.address(), token=token) as client:
        rules = await put_rules(Caller(client), wanted(ticks))
    connected: set[str] = set()
    run = feeder(token, [await second.address()], Position(None, "stocks"), connected)
    summary = await run.run(Recorded(ticks), lambda _: None)
    found = await recorded(proof)
    assert set(found) == expected(rules, ticks)
    assert len(found) == len(set(found)) == summary.fired
    assert len(found) > 50
    assert connected == addresses, "both owners took ticks"
    assert {symbol_shard(symbol) % 2 for symbol in ("AAPL", "GOOG", "IBM", "MSFT")} == {0, 1}


async def test_a_server_that_does_not_own_a_symbol_names_the_owner(
    servers: Servers, token: str, proof: asyncpg.Connection
) -> None:
    processes = [servers.start(), servers.start()]
    addresses = [await process.address() for process in processes]
    await shards_are_shared(proof, set(addresses))
    batch = wire.TickBatch(symbols=["AAPL"], symbol_indices=[0], price_nanos=[NANOS], observed_at_us=[10**15])
    answers = {address: await answer_of(address, token, batch) for address in addresses}
    (owner,) = [address for address, answer in answers.items() if answer == 1]
    (other,) = [address for address in addresses if address != owner]
    shard = f"shard.{symbol_shard('AAPL')}"
    assert answers[other] == ("SHARD_OWNED_ELSEWHERE", {shard: owner})


async def answer_of(address: str, token: str, batch: wire.TickBatch) -> object:
    """How many ticks a server accepted, or the reason and the metadata of its refusal."""
    async with LeoClient(address, token=token) as client:
        try:
            return (await Caller(client).tick(batch)).accepted_count
        except LeoApiError as error:
            return error.reason, dict(error.metadata)


@pytest.mark.parametrize("count", [1, 3])
async def test_a_server_killed_in_mid_stream_misses_none_and_doubles_none(
    servers: Servers, token: str, proof: asyncpg.Connection, count: int
) -> None:
    """The feeder meets the death, finds the successor, and sends again what was not acknowledged."""
    processes = [servers.start() for _ in range(count)]
    addresses = [await process.address() for process in processes]
    await shards_are_shared(proof, set(addresses))
    ticks = bars(400)
    async with LeoClient(addresses[0], token=token) as client:
        rules = await put_rules(Caller(client), wanted(ticks))
    position = Position(None, "stocks")
    successor = f"127.0.0.1:{_free_port()}"
    connected: set[str] = set()
    run = feeder(token, [*addresses, successor], position, connected)
    killed: list[ServerProcess] = []

    def on_progress(done: int) -> None:
        if done > len(ticks) // 3 and not killed:
            killed.append(processes[0])
            # In the middle of the next window, while ticks are under way.
            asyncio.get_running_loop().call_later(0.02, processes[0].process.kill)
            servers.start(listen=successor)

    await run.run(Recorded(ticks), on_progress)
    assert position.acknowledged == len(ticks)
    assert killed[0].process.wait(30) < 0
    found = await recorded(proof)
    assert len(found) == len(set(found))
    assert set(found) == expected(rules, ticks)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
