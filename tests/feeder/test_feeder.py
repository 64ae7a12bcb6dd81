"""The feeder: bars as ticks, and a real run of `python -m feeder` that goes on where it was."""

from __future__ import annotations

import asyncio
import gzip
import sys
from pathlib import Path

import asyncpg
import pytest
from feeder.bars import BadFile, read_bars
from feeder.position import Position
from feeder.routes import Routes, symbol_shard
from hypothesis import given
from hypothesis import strategies as st

from server.embedded.database_setup import DatabaseUrls
from server.platform.ids import symbol_shard as shard_of_the_server
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor

HEAD = "Ticker,Date,Open,High,Low,Close,Volume\n"
ROOT = Path(__file__).parents[2]


def write(path: Path, *lines: str) -> Path:
    """A file of bars."""
    text = HEAD + "".join(f"{line}\n" for line in lines)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["bars.csv", "bars.csv.gz"])
def test_a_day_is_four_ticks_in_the_order_of_time(tmp_path: Path, name: str) -> None:
    path = write(
        tmp_path / name,
        "B,2000-03-02,5,8,4,6,0",
        "A,2000-03-02,118.56,132.06,118.5,130.31,9",
        "A,2000-03-01,1,2,0.000000001,1.5,0",
    )
    ticks = read_bars(path)
    assert [(tick.symbol, tick.price_nanos) for tick in ticks[:4]] == [
        ("A", 10**9),
        ("A", 2 * 10**9),
        ("A", 1),
        ("A", 1_500_000_000),
    ]
    assert [tick.symbol for tick in ticks[4:]] == ["A", "B"] * 4
    assert ticks[4].price_nanos == 118_560_000_000
    assert ticks[0].observed_at_us == 951_921_000_000_000  # 2000-03-01T14:30:00Z


@pytest.mark.parametrize("line", ["A,yesterday,1,2,3,4,0", "A,2000-03-01,x,2,3,4,0", "A,2000-03-01,1"])
def test_a_line_without_a_bar_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(BadFile, match=r"bars\.csv:2"):
        read_bars(write(tmp_path / "bars.csv", line))


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


async def test_the_command_streams_a_file_and_goes_on_where_it_was(
    running_server: str,
    token_for: TokenFor,
    tenant_a: Tenant,
    database: DatabaseUrls,
    proof: asyncpg.Connection,
    tmp_path: Path,
) -> None:
    await proof.execute(
        "insert into instruments (tenant_id, symbol, instrument_name, type) values ($1, 'A', 'A', 'STOCK')",
        tenant_a,
    )
    path = write(tmp_path / "bars.csv", "A,2000-03-01,1,2,0.5,1.5,0", "A,2000-03-02,1,2,0.5,1.75,0")
    token = token_for(tenant_a, ["alerts.write"])
    status, output = await run_feeder(str(path), "--server", running_server, "--token", token)
    assert (status, "8 ticks: 8 accepted, 0 known already, 0 refused; 0 alerts fired" in output) == (0, True)
    assert await proof.fetchval("select price_nanos from market_snapshot") == 1_750_000_000
    status, output = await run_feeder(str(path), "--server", running_server, "--token", token)
    assert (status, "8 ticks: 0 accepted, 0 known already" in output) == (0, True)
    (tmp_path / "bars.csv.position").unlink()
    status, output = await run_feeder(str(path), "--server", running_server, "--token", token)
    assert (status, "8 ticks: 0 accepted, 8 known already" in output) == (0, True)
    status, output = await run_feeder(
        str(path), "--server", running_server, "--token", "bad", "--position", str(tmp_path / "new")
    )
    assert (status, "TOKEN_INVALID" in output) == (1, True)


async def run_feeder(*arguments: str) -> tuple[int | None, str]:
    """Status and output of `python -m feeder`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "feeder",
        *arguments,
        cwd=ROOT / "clients",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"PYTHONPATH": f"{ROOT / 'clients'}:{ROOT / 'clients/python'}", "COLUMNS": "200", "PATH": ""},
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()
