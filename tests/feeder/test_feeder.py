"""Real runs of `python -m feeder` against a real server, also such that are killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import pytest
from aiohttp import web
from feeder.position import Position
from feeder.routes import Routes, symbol_shard
from hypothesis import given
from hypothesis import strategies as st
from leo.activation.v1 import alert_service_pb2 as wire
from leo_client import LeoClient

from server.platform.ids import symbol_shard as shard_of_the_server
from tests.feeder.test_ticks import line_of, write
from tests.feeder.test_websocket import Exchange, hold, tick
from tests.fixtures.server import ClientFor
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor
from tests.workers.conftest import until

ROOT = Path(__file__).parents[2]
SECOND_US = 1_000_000
START_US = 1_700_000_000 * SECOND_US


def test_a_position_survives_and_belongs_to_its_feed(tmp_path: Path) -> None:
    path = tmp_path / "position"
    Position(path, "a").advance(7)
    assert Position(path, "a").acknowledged == 7
    assert Position(path, "b").acknowledged == 0
    path.write_text("[")
    assert Position(path, "a").acknowledged == 0


@given(st.text(min_size=1))
def test_a_symbol_has_the_shard_that_the_server_gives_it(symbol: str) -> None:
    assert symbol_shard(symbol) == shard_of_the_server(symbol)


def test_routes_follow_what_servers_say_and_forget_who_is_silent() -> None:
    routes = Routes(["a:1", "b:2"])
    assert routes.address_of("AAPL") == "a:1"
    routes.learn({f"shard.{symbol_shard('AAPL')}": "c:3", "other": "x"})
    assert routes.address_of("AAPL") == "c:3"
    routes.forget("c:3")
    assert routes.address_of("AAPL") == "a:1"
    routes.forget("a:1")
    assert routes.address_of("AAPL") == "b:2"


class Command:
    """Runs `python -m feeder` for one server and token, in a directory of its own."""

    def __init__(self, server: str, token: str, directory: Path) -> None:
        self.server = server
        self.token = token
        self.directory = directory

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        """A feeder, with a pipe to its input."""
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "feeder", *arguments, "--server", self.server),
            cwd=self.directory,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={
                "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("clients", "clients/python")),
                "LEO_TOKEN": self.token,
                "COLUMNS": "200",
                "PATH": "",
            },
        )

    async def run(self, *arguments: str, lines: Sequence[str] = ()) -> tuple[int | None, str]:
        """Status and output of a feeder that gets these lines."""
        process = await self.start(*arguments)
        output, _ = await process.communicate("".join(f"{line}\n" for line in lines).encode())
        return process.returncode, output.decode()


@pytest.fixture
async def command(
    running_server: str, token_for: TokenFor, tenant_a: Tenant, proof: asyncpg.Connection, tmp_path: Path
) -> Command:
    """A feeder of tenant A, which has the instruments AAPL and A."""
    await proof.execute(
        "insert into instruments (tenant_id, symbol, instrument_name, type)"
        " select $1, symbol, symbol, 'STOCK' from unnest(array['A', 'AAPL']) as symbol",
        tenant_a,
    )
    return Command(running_server, token_for(tenant_a, ["alerts.write"]), tmp_path)


async def test_a_file_is_streamed_and_goes_on_where_it_was(
    command: Command, proof: asyncpg.Connection
) -> None:
    path = write(
        command.directory / "bars.csv",
        *("A,2000-03-01,1,2,0.5,1.5,0", "A,2000-03-02,1,x,0.5,1.75,0", "A,2000-03-02,1,2,0.5,1.75,0"),
        "Z,2000-03-02,1,2,0.5,1.75,0",
    )
    status, output = await command.run(str(path), "--speed", "1000000x")
    assert status == 0, output
    assert "12 ticks" not in output
    assert "8 ticks accepted, 0 known already, 4 refused; 0 alerts fired" in output
    assert "line 3: a price is a number with at most nine decimal places, not 'x'" in output
    assert "tick 6 (Z): refused: UNKNOWN_SYMBOL" in output
    assert "1 could not be read" in output
    assert await proof.fetchval("select price_nanos from market_snapshot") == 1_750_000_000
    status, output = await command.run(str(path))
    assert (status, "0 ticks accepted, 0 known already, 0 refused" in output) == (0, True), output
    (command.directory / "bars.csv.position").unlink()
    status, output = await command.run(str(path))
    assert (status, "0 ticks accepted, 8 known already, 4 refused" in output) == (0, True), output


async def test_what_can_not_work_ends_with_the_cure(command: Command) -> None:
    write(command.directory / "bars.csv", "A,2000-03-01,1,2,0.5,1.5,0")
    cures = {
        ("bars.csv", "--token", "bad"): "TOKEN_INVALID",
        ("bars.csv", "--token", ""): "leo token",
        ("bars.csv", "--subscribe", "x"): "WebSocket",
        ("bars.csv", "--fields", "price=p"): "columns",
        ("bars.csv", "--speed", "fast"): "10x",
        ("ws://localhost:1", "--speed", "2x"): "--speed",
        ("ws://localhost:1", "--patience", "0"): "gave up",
        ("ws://localhost:1", "--header", "x"): "NAME: VALUE",
        ("-", "--token-url", "http://localhost:1"): "--client-id",
        ("missing.csv",): "No such file",
    }
    for arguments, words in cures.items():
        status, output = await command.run(*arguments)
        assert (status, words in output, "Traceback" in output) == (1, True, False), (arguments, output)


async def arm(client: LeoClient, prices: Sequence[int]) -> None:
    """Rules of Ann's that AAPL crosses these prices upwards."""
    rules = [
        wire.AlertRuleInput(
            profile_id="ann",
            symbol="AAPL",
            logic=wire.AlertLogic(
                operator=wire.ALERT_OPERATOR_CROSSES,
                price_nanos=price * 10**9,
                direction=wire.ALERT_DIRECTION_UP,
            ),
            source=wire.ALERT_SOURCE_USER_MANUAL,
        )
        for price in prices
    ]
    answer = await client.alerts.PutAlertRules(wire.PutAlertRulesRequest(rules=rules))
    assert all(result.HasField("put") for result in answer.results)


async def fired(proof: asyncpg.Connection) -> list[int]:
    """Prices at which rules fired, in the order of the ticks."""
    rows = await proof.fetch(
        "select (inputs ->> 'price_nanos')::bigint as price from agent_task where agent_name = 'alerts'"
        " order by occurred_at"
    )
    return [row["price"] // 10**9 for row in rows]


async def test_a_killed_feeder_goes_on_and_no_tick_is_lost_or_evaluated_twice(
    command: Command, client_for: ClientFor, tenant_a: Tenant, proof: asyncpg.Connection
) -> None:
    """The pipe stays open, so that it is killed in the middle for sure; the next run gets all lines again."""
    await arm(client_for(tenant_a, ["alerts.write"]), range(1, 101))
    lines = [line_of(number, time=START_US + number * SECOND_US) for number in range(1, 102)]
    process = await command.start("-", "--feed", "exporter", "--batch-size", "3")
    assert process.stdin is not None
    process.stdin.write("".join(f"{line}\n" for line in lines[:50]).encode())

    async def has_come_half_way() -> bool:
        count: int = await proof.fetchval("select count(*) from agent_task where agent_name = 'alerts'")
        return count == 49

    await until(has_come_half_way)
    process.send_signal(signal.SIGKILL)
    await process.communicate()
    assert process.returncode == -signal.SIGKILL
    status, output = await command.run("-", "--feed", "exporter", "--batch-size", "3", lines=lines)
    assert status == 0, output
    assert await fired(proof) == list(range(2, 102))
    (command.directory / "exporter.position").unlink()
    status, output = await command.run("-", "--feed", "exporter", lines=lines)
    assert "0 ticks accepted, 101 known already, 0 refused; 0 alerts fired" in output


async def test_a_websocket_is_streamed_through_its_breaks_until_the_feeder_is_stopped(
    command: Command, client_for: ClientFor, tenant_a: Tenant, proof: asyncpg.Connection
) -> None:
    async def play(exchange: Exchange, socket: web.WebSocketResponse) -> None:
        await socket.receive_str()
        first = {1: 1, 2: 51}.get(exchange.connections)
        if first is not None:
            await socket.send_json([tick(number) for number in range(first, first + 50)])
        if exchange.connections > 1:
            await hold(exchange, socket)

    await arm(client_for(tenant_a, ["alerts.write"]), range(1, 100))
    async with Exchange(play).running() as exchange:
        process = await command.start(exchange.url, "--subscribe", "AAPL", "--firings")

        async def has_come_to_the_end() -> bool:
            return await proof.fetchval("select max(price_nanos) from market_snapshot") == 100 * 10**9

        await until(has_come_to_the_end)
        process.send_signal(signal.SIGTERM)
        output, _ = await process.communicate()
    lines = output.decode().splitlines()
    assert process.returncode == 0, lines
    assert await fired(proof) == list(range(2, 101))
    firings = [json.loads(line) for line in lines if line.startswith("{")]
    assert [int(firing["price_nanos"]) // 10**9 for firing in firings] == list(range(2, 101))
    assert "100 ticks accepted, 0 known already, 0 refused; 99 alerts fired" in lines
    assert sum("the source is away" in line for line in lines) == 1


async def test_help_names_every_kind_of_source(tmp_path: Path) -> None:
    status, output = await Command("", "", tmp_path).run("--help")
    assert status == 0
    assert all(
        word in output for word in ("FILE.csv", "FILE.ndjson", "wss://", "--speed", "Ctrl-C", "Examples")
    )
