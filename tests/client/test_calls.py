"""The client against a real server: tokens, typed errors, retries, streams; with and without async."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import leo_client
import pytest
from leo.activation.v1 import snapshot_service_pb2 as wire
from leo_client import LeoClient, LeoSyncClient
from leo_client.calls import service_config

from server import errors
from server.embedded.token_issuer import TokenIssuer
from tests.client.scripted import ScriptedServicer, serving
from tests.rpc import four_kinds

SCOPES = ["snapshots.read", "snapshots.write"]
AWAY = errors.Unavailable("DATABASE_UNAVAILABLE", "away")


@pytest.fixture
def token(token_issuer: TokenIssuer) -> str:
    return token_issuer.issue(client_id="a-client", scopes=SCOPES)


@pytest.fixture
def servicer() -> ScriptedServicer:
    return ScriptedServicer()


@pytest.fixture
async def address(servicer: ScriptedServicer, token_issuer: TokenIssuer) -> AsyncIterator[str]:
    async with serving(servicer, token_issuer) as address:
        yield address


@pytest.fixture
async def client(address: str, token: str) -> AsyncIterator[LeoClient]:
    async with LeoClient(address, token=token) as client:
        yield client


async def test_a_call_carries_the_token_and_the_callers_metadata(
    client: LeoClient, servicer: ScriptedServicer
) -> None:
    await client.snapshots.GetSnapshot(wire.GetSnapshotRequest(), metadata=(("x-request", "1"),))
    assert servicer.metadata[0]["x-request"] == "1"
    assert servicer.metadata[0]["authorization"].startswith("Bearer ")


async def test_the_synchronous_client_does_the_same(
    address: str, token: str, servicer: ScriptedServicer
) -> None:
    def call() -> int:
        with LeoSyncClient(address, token=lambda: token) as client:
            client.snapshots.GetSnapshot(wire.GetSnapshotRequest())
            return len(list(client.snapshots.ListSnapshotMembers(wire.ListSnapshotMembersRequest())))

    assert await asyncio.to_thread(call) == 2
    assert servicer.calls == 2


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.NotFound("snapshot", "s-1"), leo_client.NotFound),
        (errors.AlreadyExists("IDENTIFIER_TAKEN", "x"), leo_client.AlreadyExists),
        (errors.PreconditionFailed("RULE_VIOLATED", "x"), leo_client.FailedPrecondition),
        (errors.PermissionDenied("SCOPE_MISSING", "x"), leo_client.PermissionDenied),
        (errors.Unauthenticated("TOKEN_EXPIRED", "x"), leo_client.Unauthenticated),
        (ZeroDivisionError(), leo_client.InternalFault),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
async def test_failures_are_typed_in_both_clients(
    client: LeoClient,
    address: str,
    token: str,
    servicer: ScriptedServicer,
    error: Exception,
    kind: type[leo_client.LeoApiError],
) -> None:
    servicer.script = [error, error]
    with pytest.raises(kind) as caught:
        await client.snapshots.GetSnapshot(wire.GetSnapshotRequest())
    assert caught.value.reason == getattr(error, "reason", "INTERNAL_FAULT")

    def call() -> None:
        with LeoSyncClient(address, token=token) as sync_client:
            sync_client.snapshots.GetSnapshot(wire.GetSnapshotRequest())

    with pytest.raises(kind):
        await asyncio.to_thread(call)


async def test_violations_and_metadata_arrive(client: LeoClient, servicer: ScriptedServicer) -> None:
    servicer.script = [errors.InvalidInput([errors.FieldViolation("snapshot_id", "must be set")])]
    with pytest.raises(leo_client.InvalidArgument) as caught:
        await client.snapshots.GetSnapshot(wire.GetSnapshotRequest())
    assert caught.value.violations == (leo_client.Violation("snapshot_id", "must be set"),)
    assert "snapshot_id: must be set" in str(caught.value)
    servicer.script = [errors.NotFound("snapshot", "s-1")]
    with pytest.raises(leo_client.NotFound) as missing:
        await client.snapshots.GetSnapshot(wire.GetSnapshotRequest())
    assert missing.value.metadata == {"resource": "snapshot", "id": "s-1"}


async def test_an_unavailable_server_is_asked_again(client: LeoClient, servicer: ScriptedServicer) -> None:
    servicer.script = [AWAY, AWAY]
    await client.snapshots.GetSnapshot(wire.GetSnapshotRequest())
    assert servicer.calls == 3


async def test_retries_end(client: LeoClient, servicer: ScriptedServicer) -> None:
    servicer.script = [AWAY] * 10
    with pytest.raises(leo_client.Unavailable):
        await client.snapshots.GetSnapshot(wire.GetSnapshotRequest())
    assert servicer.calls == 5


async def test_an_overloaded_server_is_asked_again_when_it_says(
    client: LeoClient, servicer: ScriptedServicer
) -> None:
    servicer.script = [errors.Overloaded("SERVER_OVERLOADED", "full", retry_after_ms=300)]
    await client.snapshots.GetSnapshot(wire.GetSnapshotRequest())
    assert servicer.metadata[1]["grpc-previous-rpc-attempts"] == "1"


async def test_what_the_caller_did_wrong_is_not_repeated(
    client: LeoClient, servicer: ScriptedServicer
) -> None:
    servicer.script = [errors.TooLarge("MESSAGE_TOO_LARGE", "too large")]
    with pytest.raises(leo_client.ResourceExhausted):
        await client.snapshots.GetSnapshot(wire.GetSnapshotRequest())
    assert servicer.calls == 1


async def test_a_stream_that_breaks_is_not_repeated(client: LeoClient, servicer: ScriptedServicer) -> None:
    servicer.script = [AWAY]
    with pytest.raises(leo_client.Unavailable):
        async for _ in client.snapshots.ListSnapshotMembers(wire.ListSnapshotMembersRequest()):
            pass
    assert servicer.calls == 1


async def test_a_stream_that_is_left_ends(client: LeoClient, servicer: ScriptedServicer) -> None:
    async for _ in client.snapshots.DiffSnapshots(wire.DiffSnapshotsRequest()):
        break
    await asyncio.wait_for(servicer.left.wait(), 10)


async def test_the_synchronous_client_ends_it_too(
    address: str, token: str, servicer: ScriptedServicer
) -> None:
    with LeoSyncClient(address, token=token) as client:

        def first() -> None:
            for _ in client.snapshots.DiffSnapshots(wire.DiffSnapshotsRequest()):
                break

        await asyncio.to_thread(first)
        await asyncio.wait_for(servicer.left.wait(), 10)


def test_only_methods_that_may_be_repeated_are_repeated() -> None:
    assert four_kinds.service_descriptor().methods[0].GetOptions().idempotency_level == 0
    assert service_config([four_kinds.service_descriptor()])["methodConfig"] == []


async def test_a_server_that_is_not_there_is_unavailable(token: str) -> None:
    async with LeoClient("127.0.0.1:1", token=token) as client:
        with pytest.raises(leo_client.Unavailable) as caught:
            await client.snapshots.GetSnapshot(wire.GetSnapshotRequest())
    assert caught.value.reason == ""


async def test_a_client_can_wait_for_a_server_that_starts_later(
    token: str, token_issuer: TokenIssuer, servicer: ScriptedServicer
) -> None:
    async with serving(ScriptedServicer(), token_issuer) as address:
        pass
    async with LeoClient(address, token=token, wait_for_ready=True) as client:
        call = asyncio.create_task(
            asyncio.wait_for(client.snapshots.GetSnapshot(wire.GetSnapshotRequest()), 30)
        )
        async with serving(servicer, token_issuer, listen=address):
            await call
    assert servicer.calls == 1


async def test_the_default_deadline_ends_a_call(token: str) -> None:
    silent = await asyncio.start_server(lambda _reader, _writer: asyncio.sleep(60), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with LeoClient(
        f"127.0.0.1:{port}", token=token, deadline_seconds=0.2, wait_for_ready=True
    ) as client:
        with pytest.raises(leo_client.DeadlineExceeded) as caught:
            await client.snapshots.GetSnapshot(wire.GetSnapshotRequest())
    assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
    silent.close()
