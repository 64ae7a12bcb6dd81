"""A running stack: durable, private, reachable, and the only one of its directory."""

from __future__ import annotations

import asyncio
import json
import smtplib
import stat
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import jwt
import pytest
import redis

from server.embedded.addresses import StackAddresses, find_addresses
from server.embedded.errors import StackAlreadyRunning, StackNotRunning
from server.embedded.mailbox import Mailbox
from server.embedded.options import StackOptions
from server.embedded.stack import Stack
from tests.embedded.processes import processes_of

Running = tuple[Stack, StackAddresses]


def fetch_value(url: str, query: str) -> object:
    async def fetch() -> object:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    return asyncio.run(fetch())


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes", "synchronous_commit"])
def test_postgres_is_durable(stack: Running, setting: str) -> None:
    assert fetch_value(stack[1].database.app_url, f"show {setting}") == "on"


def test_each_role_logs_in_as_itself(stack: Running) -> None:
    database = stack[1].database
    urls = {
        "leo_owner": database.owner_url,
        "leo_app": database.app_url,
        "leo_worker": database.worker_url,
        "leo_admin": database.admin_url,
        "leo_proof": database.proof_url,
    }
    assert {role: fetch_value(url, "select current_user") for role, url in urls.items()} == {
        role: role for role in urls
    }


def test_a_wrong_password_is_refused(stack: Running) -> None:
    parts = urlsplit(stack[1].database.app_url)
    with pytest.raises(asyncpg.InvalidPasswordError):
        fetch_value(f"postgresql://leo_app:guess@{parts.hostname}:{parts.port}/leo", "select 1")


def test_the_first_tenant_is_registered(stack: Running) -> None:
    tenants = fetch_value(stack[1].database.proof_url, "select array_agg(keycloak_client_id) from tenant")
    assert tenants == ["demo"]


def test_passwords_are_private_files(stack: Running, module_directory: Path) -> None:
    secrets = json.loads((module_directory / "secrets.json").read_text())
    assert len(set(secrets.values())) == len(secrets)
    assert all(len(value) >= 32 for value in secrets.values())
    for name in ("secrets.json", "addresses.json", "issuer/signing-key.pem", "postgres.log", "redis.conf"):
        assert stat.S_IMODE((module_directory / name).stat().st_mode) == 0o600, name


@pytest.mark.parametrize("name", ["redis_url", "broker_url"])
def test_redis_keeps_nothing_and_evicts_nothing(stack: Running, name: str) -> None:
    with redis.Redis.from_url(getattr(stack[1], name), decode_responses=True) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("save") == {"save": ""}
        assert client.config_get("appendonly") == {"appendonly": "no"}


def test_reservations_and_broker_are_apart(stack: Running) -> None:
    assert urlsplit(stack[1].redis_url).port != urlsplit(stack[1].broker_url).port


def test_the_mailbox_keeps_a_message(stack: Running) -> None:
    address = urlsplit(stack[1].smtp_url)
    with smtplib.SMTP(str(address.hostname), address.port or 0) as client:
        client.sendmail("from@example.com", ["to@example.com"], "Subject: Xin chào\n\nĐơn hàng".encode())
    messages = Mailbox(Path(stack[1].mailbox_directory)).messages()
    assert [(m["Delivered-To"], m["Return-Path"]) for m in messages] == [
        ("to@example.com", "<from@example.com>")
    ]
    assert "Đơn hàng".encode() in messages[0].as_bytes()


def test_a_token_verifies_with_the_published_keys(stack: Running) -> None:
    running, addresses = stack
    token = running.token_issuer().issue(client_id="demo", scopes=["catalog.read", "catalog.write"])
    keys = jwt.PyJWKSet.from_json(Path(addresses.jwks_path).read_text())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(
        token, key, algorithms=["RS256"], audience=addresses.audience, issuer=addresses.issuer
    )
    assert (claims["azp"], claims["scope"]) == ("demo", "catalog.read catalog.write")


def test_other_commands_find_the_stack(stack: Running, module_directory: Path) -> None:
    assert find_addresses(module_directory) == stack[1]
    assert "LEO_ADMIN_DATABASE_URL" in stack[1].server_environment()
    assert stack[1].worker_environment()["LEO_DATABASE_URL"] == stack[1].database.worker_url


def test_a_second_stack_in_the_same_directory_is_refused(stack: Running, module_directory: Path) -> None:
    with (
        pytest.raises(StackAlreadyRunning, match="LEO_STATE_DIRECTORY"),
        Stack(StackOptions(state_directory=module_directory)),
    ):
        pass
    assert fetch_value(stack[1].database.app_url, "select 1") == 1


def test_a_second_stack_elsewhere_runs_beside_it_and_leaves_nothing(
    stack: Running, state_directory: Path
) -> None:
    with Stack(StackOptions(state_directory=state_directory, shared_buffers_mb=16)) as other:
        assert other.database.app_url != stack[1].database.app_url
        assert fetch_value(other.database.app_url, "select 1") == 1
        assert fetch_value(stack[1].database.app_url, "select 1") == 1
    assert processes_of(state_directory) == []
    with pytest.raises(StackNotRunning, match="leo up"):
        find_addresses(state_directory)
