"""Calls that come while a server drains and another takes its place."""

from __future__ import annotations

import asyncio

from leo.activation.v1 import snapshot_service_pb2 as wire
from leo_client import LeoClient

from server.embedded.token_issuer import TokenIssuer
from tests.client.scripted import ScriptedServicer, serving


async def test_no_call_fails_while_servers_take_turns(token_issuer: TokenIssuer) -> None:
    token = token_issuer.issue(client_id="a-client", scopes=["snapshots.read"])
    stopped = asyncio.Event()
    async with serving(ScriptedServicer(), token_issuer) as address:
        client = LeoClient(address, token=token, wait_for_ready=True)
        callers = [asyncio.create_task(_call_until(stopped, client)) for _ in range(8)]
        await client.snapshots.GetSnapshot(wire.GetSnapshotRequest())
    for turn in range(3):
        servicer = ScriptedServicer()
        async with serving(servicer, token_issuer, listen=address):
            while servicer.calls < 100:
                await client.snapshots.GetSnapshot(wire.GetSnapshotRequest())
            if turn == 2:
                stopped.set()
                await asyncio.gather(*callers)
    await client.close()


async def _call_until(stopped: asyncio.Event, client: LeoClient) -> None:
    while not stopped.is_set():
        await client.snapshots.GetSnapshot(wire.GetSnapshotRequest())
