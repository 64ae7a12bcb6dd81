"""Accounts through the server: put, listed without values, validated by field, removed; and out of sight of others."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import asyncpg
import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from leo.activation.v1 import dispatch_service_pb2 as wire
from leo.activation.v1.dispatch_service_pb2_grpc import DispatchServiceStub

from server.config import ServerSettings
from server.main import running_server as serve
from tests.fixtures import planted
from tests.fixtures.logs import LogReader
from tests.fixtures.server import bearer
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor

SCOPES = ("channels.read", "channels.write")
ZALO = {
    "app_id": "4040",
    "app_secret": planted.SECRET,
    "refresh_token": f"refresh-{planted.SECRET}",
}


class Caller:
    """A tenant's stub."""

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        self._stub: Any = DispatchServiceStub(channel)
        self._metadata = bearer(token)

    async def put(
        self, channel: str, provider: str, values: dict[str, str], **more: Any
    ) -> wire.ChannelCredential:
        request = wire.PutChannelCredentialRequest(channel=channel, provider=provider, values=values, **more)
        answer = await self._stub.PutChannelCredential(request, metadata=self._metadata)
        stored: wire.ChannelCredential = answer.credential
        return stored

    async def list(self, channel: str = "") -> list[wire.ChannelCredential]:
        request = wire.ListChannelCredentialsRequest(channel=channel)
        return list((await self._stub.ListChannelCredentials(request, metadata=self._metadata)).credentials)

    async def delete(self, channel: str) -> bool:
        request = wire.DeleteChannelCredentialRequest(channel=channel)
        return bool((await self._stub.DeleteChannelCredential(request, metadata=self._metadata)).deleted)


@pytest.fixture
def a(channel: grpc.aio.Channel, token_for: TokenFor, tenant_a: Tenant) -> Caller:
    """Tenant A."""
    return Caller(channel, token_for(tenant_a, SCOPES))


@pytest.fixture
def b(channel: grpc.aio.Channel, token_for: TokenFor, tenant_b: Tenant) -> Caller:
    """Tenant B."""
    return Caller(channel, token_for(tenant_b, SCOPES))


async def test_an_account_is_stored_listed_changed_and_removed_and_never_shown(
    a: Caller, b: Caller, proof: asyncpg.Connection, logged: LogReader
) -> None:
    stored = await a.put("zalo", "zalo_zns", ZALO)
    assert (stored.version, stored.key_id, stored.HasField("expires_at")) == (1, "test", False)
    assert await a.put("zalo", "zalo_zns", ZALO) == stored
    changed = await a.put("zalo", "zalo_zns", ZALO, messages_per_second=5.0)
    assert (changed.version, changed.messages_per_second) == (2, 5.0)
    await a.put("telegram", "telegram", {"bot_token": "123456789:" + "A" * 35})

    assert [each.channel for each in await a.list()] == ["telegram", "zalo"]
    assert [each.channel for each in await a.list("zalo")] == ["zalo"]
    assert await b.list() == []
    assert not await b.delete("zalo")
    shown = str(await a.list()) + logged.text()
    rows = await proof.fetch("select tenant::text as row from tenant")
    for text in (shown, *(row["row"] for row in rows)):
        assert not any(value in text for value in ZALO.values() if len(value) > 4)

    assert await a.delete("zalo")
    assert not await a.delete("zalo")
    assert [each.channel for each in await a.list()] == ["telegram"]


@pytest.mark.parametrize(
    ("given", "faults"),
    [
        ({"channel": "fax"}, {"channel"}),
        ({"provider": "sendgrid"}, {"provider"}),
        ({"channel": "zalo_oa", "provider": "zalo_oa"}, {"provider"}),
        ({"channel": "email", "provider": "smtp"}, {"provider"}),
        (
            {"values": {"app_id": "x", "app_secret": "", planted.SECRET: "1", "colour": "2"}},
            {"values", "values.app_id", "values.app_secret", "values.refresh_token", "values.colour"},
        ),
        ({"values": {**ZALO, "app_secret": planted.SECRET * 1000}}, {"values.app_secret"}),
        ({"messages_per_second": 0.0}, {"messages_per_second"}),
    ],
)
async def test_every_fault_is_named_by_its_path_and_no_value_with_it(
    a: Caller, logged: LogReader, given: dict[str, Any], faults: set[str]
) -> None:
    request = {"channel": "zalo", "provider": "zalo_zns", "values": ZALO, **given}
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await a.put(**request)
    error = caught.value
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert set(_violations(error)) == faults
    assert planted.SECRET not in str(error) + str(_violations(error)) + logged.text()
    assert await a.list() == []


async def test_a_server_without_a_key_stores_nothing_and_says_so(
    settings: ServerSettings, token_for: TokenFor, tenant_a: Tenant
) -> None:
    keyless = ServerSettings.model_validate({**settings.model_dump(), "credential_keys": None})
    async with serve(keyless) as address, grpc.aio.insecure_channel(address) as channel:
        caller = Caller(channel, token_for(tenant_a, SCOPES))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await caller.put("zalo", "zalo_zns", ZALO)
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert await caller.list() == []


async def test_rights_to_dispatch_are_none_to_accounts(
    channel: grpc.aio.Channel, token_for: TokenFor, tenant_a: Tenant
) -> None:
    for scopes in (["dispatch.write"], ["channels.read"]):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await Caller(channel, token_for(tenant_a, scopes)).put("zalo", "zalo_zns", ZALO)
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_the_servers_role_writes_nothing_else_of_a_tenant(
    app: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await app.execute("select set_config('app.current_tenant_id', $1, false)", str(UUID(int=tenant_a.int)))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.execute("update tenant set metadata = '{}'")


def _violations(error: grpc.aio.AioRpcError) -> dict[str, str]:
    status, bad = status_pb2.Status(), error_details_pb2.BadRequest()
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status = status_pb2.Status.FromString(value)
    for detail in status.details:
        if detail.Unpack(bad):
            return {violation.field: violation.description for violation in bad.field_violations}
    return {}
