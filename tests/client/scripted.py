"""A real server whose SnapshotService does what a test tells it to."""

# ruff: noqa: N802 - methods of a service are named as in its contract

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from leo.activation.v1 import snapshot_service_pb2 as wire
from leo.activation.v1 import snapshot_service_pb2_grpc

from server.embedded.token_issuer import AUDIENCE, ISSUER, TokenIssuer
from server.rpc.authentication import Authenticator
from server.rpc.in_flight import InFlight
from server.rpc.keys import FileKeys
from server.rpc.registry import Deadlines, ServiceRegistry
from server.rpc.server import RpcServer


class ScriptedServicer(snapshot_service_pb2_grpc.SnapshotServiceServicer):
    """Runs the next step of the script at each call; without steps left, answers.

    Args:
        script: steps that return, or raise what the call is to fail with.
    """

    def __init__(self, *script: Exception) -> None:
        self.script = list(script)
        self.calls = 0
        self.metadata: list[dict[str, Any]] = []
        self.left = asyncio.Event()

    def _step(self, context: Any) -> None:
        self.calls += 1
        self.metadata.append(dict(context.invocation_metadata()))
        if self.script:
            raise self.script.pop(0)

    async def Snapshot(self, request: Any, context: Any) -> wire.SnapshotResponse:
        self._step(context)
        return wire.SnapshotResponse()

    async def GetSnapshot(self, request: Any, context: Any) -> wire.GetSnapshotResponse:
        self._step(context)
        return wire.GetSnapshotResponse()

    async def ListSnapshotMembers(
        self, request: Any, context: Any
    ) -> AsyncIterator[wire.ListSnapshotMembersResponse]:
        yield wire.ListSnapshotMembersResponse()
        self._step(context)
        yield wire.ListSnapshotMembersResponse()

    async def DiffSnapshots(self, request: Any, context: Any) -> AsyncIterator[wire.DiffSnapshotsResponse]:
        """Goes on until the call is cancelled."""
        try:
            while True:
                yield wire.DiffSnapshotsResponse()
        finally:
            self.left.set()

    async def _unused(self, request: Any, context: Any) -> None:
        """No test calls the others; a server registers coroutine functions only."""
        raise NotImplementedError

    EstimateSegment = ListSnapshots = VerifySnapshot = _unused


class _OneTenant:
    async def resolve(self, realm: str, client: str) -> Any:
        return uuid4()


@asynccontextmanager
async def serving(
    servicer: ScriptedServicer, token_issuer: TokenIssuer, listen: str = "127.0.0.1:0"
) -> AsyncIterator[str]:
    """Serves it, with authentication and errors as in production, and yields the address."""
    registry = ServiceRegistry(
        authenticator=Authenticator(
            issuer=ISSUER, audience=AUDIENCE, keys=FileKeys(token_issuer.jwks_path), tenants=_OneTenant()
        ),
        deadlines=Deadlines(default=20, longest=60, longest_stream=60),
        in_flight=InFlight(maximum_bytes=64 * 1024 * 1024),
    )
    snapshot_service_pb2_grpc.add_SnapshotServiceServicer_to_server(servicer, registry)
    server = RpcServer(registry=registry, max_message_bytes=1024 * 1024, share_port=False)
    address = await server.start(listen)
    try:
        yield address
    finally:
        await server.drain(0)
