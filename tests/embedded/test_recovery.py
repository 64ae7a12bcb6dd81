"""What the stack survives: a killed parent, killed servers, a stop in the middle of the start."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from server.embedded.account import SubprocessAccount
from server.embedded.addresses import find_addresses
from server.embedded.options import StackOptions
from server.embedded.stack import Stack
from server.embedded.state import checkout_directory
from tests.embedded.processes import leo_up, processes_of
from tests.embedded.test_stack import fetch_value


def test_the_next_start_recovers_from_a_killed_parent(state_directory: Path) -> None:
    with leo_up(state_directory) as process:
        first = find_addresses(state_directory)
        fetch_value(first.database.superuser_url, "create table kept as select 42 as answer")
        process.kill()
        process.wait()
        orphans = processes_of(state_directory)
        assert any("postgres" in line for line in orphans)
        assert sum("redis-server" in line for line in orphans) == 2

    with Stack(StackOptions(state_directory=state_directory, shared_buffers_mb=16)) as second:
        assert fetch_value(second.database.superuser_url, "select answer from kept") == 42
        assert sum("redis-server" in line for line in processes_of(state_directory)) == 2
    assert processes_of(state_directory) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything(state_directory: Path, number: signal.Signals) -> None:
    with leo_up(state_directory) as process:
        process.send_signal(number)
        assert process.wait() == 0
    assert processes_of(state_directory) == []


def test_a_killed_postgres_comes_back_at_its_address_with_its_rows(state_directory: Path) -> None:
    stack = Stack(StackOptions(state_directory=state_directory, shared_buffers_mb=16))
    with stack as addresses:
        fetch_value(addresses.database.superuser_url, "create table kept as select 42 as answer")
        assert stack.postgres is not None
        stack.postgres.kill()
        assert stack.postgres.pid is None
        stack.postgres.start()
        assert fetch_value(addresses.database.superuser_url, "select answer from kept") == 42


def test_a_killed_redis_comes_back_empty_at_its_address(state_directory: Path) -> None:
    stack = Stack(StackOptions(state_directory=state_directory, shared_buffers_mb=16))
    with stack as addresses, redis.Redis.from_url(addresses.redis_url) as client:
        client.set("key", "value")
        run_id = client.info("server")["run_id"]
        assert stack.redis is not None
        stack.redis.kill()
        stack.redis.start()
        assert client.get("key") is None
        assert client.info("server")["run_id"] != run_id


def test_an_ordinary_user_may_run_it(state_directory: Path) -> None:
    account = _ordinary_account()
    os.chown(state_directory.parent, account["user"], account["group"])
    with leo_up(state_directory, variables={"HOME": str(state_directory)}, account=account):
        addresses = find_addresses(state_directory)
        assert fetch_value(addresses.database.app_url, "show fsync") == "on"
        assert state_directory.stat().st_uid == account["user"]
    assert processes_of(state_directory) == []


def _ordinary_account() -> SubprocessAccount:
    if os.geteuid() != 0:
        pytest.skip("this run is an ordinary user's, so every test here shows it")
    entry = pwd.getpwnam("nobody")
    account: SubprocessAccount = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    try:
        subprocess.run(
            [sys.executable, "-c", "import server"], cwd=checkout_directory(), check=True, **account
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("the account 'nobody' cannot reach this checkout or its interpreter")
    return account
