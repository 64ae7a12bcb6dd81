"""The server that `leo serve` runs: health, reflection, roles, and the drain of a real process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from server.config import ServerSettings
from server.embedded.database_setup import DatabaseUrls
from server.errors import UnsafeRole
from server.main import running_server as serve
from server.rpc.server import PortNotFree

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def health(channel: grpc.aio.Channel, service: str = "") -> int:
    """What the health service says of a service."""
    stub = health_pb2_grpc.HealthStub(channel)
    response = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=20)
    return int(response.status)


async def test_health_and_reflection_need_no_token(channel: grpc.aio.Channel) -> None:
    assert await health(channel) == SERVING
    assert await health(channel, "leo.activation.v1.ProfileService") == SERVING
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await health(channel, "nothing")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    async for response in stub.ServerReflectionInfo(iter([request])):
        names = {service.name for service in response.list_services_response.service}
    assert {"leo.activation.v1.CatalogService", "grpc.health.v1.Health"} <= names


async def test_a_port_is_not_shared_by_accident(running_server: str, settings: ServerSettings) -> None:
    with pytest.raises(PortNotFree):
        async with serve(settings.model_copy(update={"listen": running_server})):
            pass


@pytest.mark.parametrize("role", ["superuser_url", "owner_url", "proof_url"])
async def test_a_server_refuses_to_start_with_a_role_that_could_bypass_isolation(
    settings: ServerSettings, database: DatabaseUrls, role: str
) -> None:
    url = ServerSettings.model_validate({**settings.model_dump(), "database_url": getattr(database, role)})
    with pytest.raises(UnsafeRole):
        async with serve(url):
            pass


@asynccontextmanager
async def server_process(
    settings: ServerSettings, *, processes: int = 1, command: Sequence[str] = ("tests.rpc.serving_process",)
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """`serve` in a process of its own, and its address once it logs that it serves.

    Args:
        command: the module that serves, and its arguments.
    """
    environment = {
        f"LEO_{name.upper()}": str(getattr(value, "get_secret_value", lambda value=value: value)())
        for name, value in settings.model_copy(update={"processes": processes})
        if value is not None
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *command),
        env={"PYTHONPATH": ":".join(sys.path), **environment},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process, (await logged(process, "serving"))["address"]
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def logged(process: asyncio.subprocess.Process, event: str) -> dict[str, str]:
    """The next log line with this event."""
    assert process.stderr is not None
    seen = []
    async for line in process.stderr:
        seen.append(line.decode())
        if line.startswith(b"{") and (entry := json.loads(line))["event"] == event:
            return dict(entry)
    pytest.fail(f"the process never logged {event!r}:\n{''.join(seen)}")


@pytest.mark.parametrize("processes", [1, 2])
async def test_a_process_drains_on_sigterm(settings: ServerSettings, processes: int) -> None:
    async with (
        server_process(settings, processes=processes) as (process, address),
        grpc.aio.insecure_channel(address) as channel,
    ):
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == SERVING
        process.send_signal(signal.SIGTERM)
        assert (await watch.read()).status == NOT_SERVING
        watch.cancel()
        assert await process.wait() == 0


async def test_a_dead_process_is_replaced(settings: ServerSettings) -> None:
    async with server_process(settings, processes=2) as (process, address):
        victim = children_of(process.pid)[0]
        os.kill(victim, signal.SIGKILL)
        assert (await logged(process, "process_died"))["pid"] == victim
        await logged(process, "process_replaced")
        async with grpc.aio.insecure_channel(address) as channel:
            assert await health(channel) == SERVING
        assert len(children_of(process.pid)) == 2


def children_of(pid: int) -> list[int]:
    """The processes that a supervisor started to serve."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(c) for c in children if b"spawn_main" in Path(f"/proc/{c}/cmdline").read_bytes()]


async def test_children_end_with_a_supervisor_that_is_killed(settings: ServerSettings) -> None:
    async with server_process(settings, processes=2) as (process, _):
        process.kill()
        assert process.stderr is not None
        # The children hold the same pipe: its end means that the last of them is gone.
        await asyncio.wait_for(process.stderr.read(), 60)


async def test_a_start_that_fails_ends_the_process(settings: ServerSettings, database: DatabaseUrls) -> None:
    unsafe = ServerSettings.model_validate({**settings.model_dump(), "database_url": database.owner_url})
    for processes in (1, 2):
        with pytest.raises(pytest.fail.Exception, match="UnsafeRole"):
            async with server_process(unsafe, processes=processes):
                pass
