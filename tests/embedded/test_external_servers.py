"""Each LEO_*_URL replaces one embedded server, and only that one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from server.embedded.account import server_account
from server.embedded.database_setup import DatabaseUrls, with_database
from server.embedded.errors import StackError
from server.embedded.options import StackOptions
from server.embedded.ports import free_port
from server.embedded.redis_server import RedisServer
from server.embedded.stack import Stack
from server.embedded.state import StateDirectory, default_state_directory
from tests.embedded.processes import processes_of
from tests.embedded.test_stack import fetch_value


def test_a_database_url_replaces_postgres_alone(template: DatabaseUrls, state_directory: Path) -> None:
    url = with_database(template.superuser_url, f"leo_external_{os.getpid()}")
    stack = Stack(StackOptions(state_directory=state_directory, database_url=url))
    try:
        with stack as addresses:
            assert stack.postgres is None
            assert stack.redis is not None
            assert (
                fetch_value(addresses.database.app_url, "select current_database()") == url.rpartition("/")[2]
            )
            assert not any("postgres -D" in line for line in processes_of(state_directory))
    finally:
        cluster = with_database(url, "postgres")
        fetch_value(cluster, f"drop database if exists {url.rpartition('/')[2]} with (force)")


def test_other_urls_are_taken_as_they_are(state_directory: Path, template: DatabaseUrls) -> None:
    url = with_database(template.superuser_url, f"leo_external_urls_{os.getpid()}")
    options = StackOptions(
        state_directory=state_directory,
        database_url=url,
        redis_url="redis://reservations.example:6379/0",
        broker_url="amqp://broker.example/",
        smtp_url="smtp://mail.example:25",
    )
    try:
        with Stack(options) as addresses:
            assert (addresses.redis_url, addresses.broker_url, addresses.smtp_url) == (
                options.redis_url,
                options.broker_url,
                options.smtp_url,
            )
            assert processes_of(state_directory) == []
    finally:
        cluster = with_database(url, "postgres")
        fetch_value(cluster, f"drop database if exists {url.rpartition('/')[2]} with (force)")


def test_the_variables_name_them() -> None:
    options = StackOptions.from_variables(
        {
            "LEO_STATE_DIRECTORY": "/srv/leo",
            "LEO_DATABASE_URL": "postgresql://db",
            "LEO_REDIS_URL": "redis://a",
            "LEO_BROKER_URL": "redis://b",
            "LEO_SMTP_URL": "",
        }
    )
    assert options == StackOptions(Path("/srv/leo"), "postgresql://db", "redis://a", "redis://b", None)


@pytest.mark.skipif(os.geteuid() == 0, reason="root's state lies where PostgreSQL's account can reach it")
def test_state_goes_to_the_users_state_home(tmp_path: Path) -> None:
    assert default_state_directory({"XDG_STATE_HOME": str(tmp_path)}).parent == tmp_path / "leo-activation"
    assert default_state_directory({"HOME": str(tmp_path)}).is_relative_to(tmp_path / ".local/state")


def test_without_a_home_state_goes_to_a_folder_of_the_user() -> None:
    assert default_state_directory({}).parent == Path(f"/var/tmp/leo-{os.geteuid()}")


def test_two_redis_servers_share_a_directory(state_directory: Path) -> None:
    account = server_account()
    state = StateDirectory(state_directory, account)
    state.open()
    servers = [
        RedisServer(state=state, account=account, name=name, password="secret", variable="LEO_REDIS_URL")
        for name in ("one", "two")
    ]
    for server in servers:
        server.start()
    assert len({server.pid for server in servers} - {None}) == 2
    for server in servers:
        server.stop()
    assert processes_of(state_directory) == []


def test_a_url_that_does_not_answer_is_named(state_directory: Path) -> None:
    url = f"postgresql://postgres:sesame@127.0.0.1:{free_port()}/leo"
    with (
        pytest.raises(StackError, match="LEO_DATABASE_URL") as refusal,
        Stack(StackOptions(state_directory=state_directory, database_url=url)),
    ):
        pass
    assert "sesame" not in str(refusal.value)
    assert processes_of(state_directory) == []
