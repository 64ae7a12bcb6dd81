"""The Redis wrapper: scripts survive a flush, calls share a round trip, failures are domain errors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.exceptions import ResponseError

from server.errors import Unavailable
from server.platform.redis import RedisPool, Script, Scripts
from server.platform.redis_scripts import read_script

INCREMENT = """-- Adds ARGV[1] to the number at KEYS[1]; refuses a negative one.
if tonumber(ARGV[1]) < 0 then return redis.error_reply('NEGATIVE') end
return redis.call('INCRBY', KEYS[1], ARGV[1])
"""


@pytest.fixture
async def pool(redis_url: str) -> AsyncIterator[RedisPool]:
    opened = await RedisPool.connect(redis_url, client_name="tests")
    yield opened
    await opened.close()


@pytest.fixture
def increment(tmp_path: Path) -> Script:
    path = tmp_path / "increment.lua"
    path.write_text(INCREMENT)
    return read_script(path)


async def test_a_script_runs_also_when_redis_does_not_know_it(pool: RedisPool, increment: Script) -> None:
    await pool.command("SCRIPT FLUSH")
    assert await pool.run(increment, keys=["k"], arguments=[2]) == 2
    assert await pool.run(increment, keys=["k"], arguments=[3]) == 5


async def test_many_calls_answer_in_their_order_and_run_once(pool: RedisPool, increment: Script) -> None:
    await pool.command("SCRIPT FLUSH")
    calls = [([f"k{n % 3}"], [n]) for n in range(6)]
    assert await pool.run_many(increment, calls) == [0, 1, 2, 3, 5, 7]
    assert await pool.run_many(increment, []) == []


async def test_a_call_that_fails_does_not_hide_its_neighbours(pool: RedisPool, increment: Script) -> None:
    first, second, third = await pool.run_many(increment, [(["k"], [1]), (["k"], [-1]), (["k"], [1])])
    assert (first, third) == (1, 2)
    assert isinstance(second, ResponseError)
    with pytest.raises(ResponseError, match="NEGATIVE"):
        await pool.run(increment, keys=["k"], arguments=[-1])


async def test_commands_share_a_round_trip(pool: RedisPool) -> None:
    assert await pool.commands([("SET", "a", "1"), ("GET", "a"), ("GET", "b")]) == [True, b"1", None]
    with pytest.raises(ResponseError):
        await pool.commands([("LPUSH", "a", "1"), ("SET", "a", "2")])
    assert await pool.command("GET", "a") == b"2"


async def test_a_redis_that_is_away_is_unavailable(unused_tcp_port: int, tmp_path: Path) -> None:
    for url in (f"redis://127.0.0.1:{unused_tcp_port}", f"unix://{tmp_path}/nothing.sock"):
        with pytest.raises(Unavailable):
            await RedisPool.connect(url, client_name="tests", timeout_seconds=1)
    with pytest.raises(ValueError):
        await RedisPool.connect("http://127.0.0.1", client_name="tests")


async def test_an_answer_that_does_not_come_in_time_is_unavailable(redis_url: str) -> None:
    pool = await RedisPool.connect(redis_url, client_name="tests", timeout_seconds=0.05)
    with pytest.raises(Unavailable):
        await pool.command("BLPOP", "never", 0)
    await pool.ping()
    await pool.close()


async def test_a_connection_that_was_closed_is_replaced(pool: RedisPool, redis_url: str) -> None:
    own_id = await pool.command("CLIENT ID")
    other = await RedisPool.connect(redis_url, client_name="killer")
    await other.command("CLIENT KILL", "ID", own_id)
    await other.close()
    await pool.ping()


def test_scripts_of_a_slice_are_found_by_name_and_must_be_described(tmp_path: Path) -> None:
    assert len(Scripts.load("platform")) == 0
    with pytest.raises(KeyError):
        Scripts.load("platform")["missing"]
    path = tmp_path / "bare.lua"
    path.write_text("return 1")
    with pytest.raises(ValueError, match="begin with a comment"):
        read_script(path)
