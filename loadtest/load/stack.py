"""The stack as `leo run` starts it, in a state directory and on a port of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc

from loadtest.bench.stage import environment, stop
from loadtest.bench.world import tenant_client
from server.embedded.addresses import StackAddresses, find_addresses
from server.embedded.database_setup import DatabaseUrls
from server.embedded.errors import StackNotRunning, log_tail
from server.embedded.ports import free_port
from server.embedded.state import checkout_directory
from server.embedded.token_issuer import TokenIssuer, issuer_directory

_START_SECONDS = 90.0
_SCOPES = ("decisions.write", "snapshots.write", "alerts.write")
_LIFETIME_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class RunningStack:
    """Where it is, a token of its tenant, and its processes by what they do."""

    address: str
    token: str
    database: DatabaseUrls
    environment: dict[str, str]
    processes: dict[str, psutil.Process]


@contextmanager
def running_stack(directory: Path) -> Iterator[RunningStack]:
    """`leo run`, until the block ends."""
    address = f"127.0.0.1:{free_port()}"
    state, log_path = directory / "state", directory / "run.log"
    variables = {**environment(), "LEO_STATE_DIRECTORY": str(state), "LEO_LISTEN": address}
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "server.cli.main", "run"],
            cwd=checkout_directory(),
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        _wait_for(address, process, log_path)
        addresses = _addresses(state)
        yield RunningStack(
            address=address,
            token=_token(state),
            database=addresses.database,
            environment=environment(),
            processes=_processes(process.pid),
        )
    finally:
        stop(process)


def _wait_for(address: str, process: subprocess.Popen[bytes], log_path: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    with grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        while time.monotonic() < deadline and process.poll() is None:
            try:
                stub.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=1.0)
            except grpc.RpcError:
                continue
            return
    raise SystemExit(f"`leo run` does not serve:\n{log_tail(log_path)}")


def _addresses(state: Path) -> StackAddresses:
    try:
        return find_addresses(state)
    except StackNotRunning as error:
        raise SystemExit(str(error)) from error


def _token(state: Path) -> str:
    issuer = TokenIssuer(issuer_directory(state))
    return issuer.issue(client_id=tenant_client(0), scopes=_SCOPES, lifetime_seconds=_LIFETIME_SECONDS)


def _processes(pid: int) -> dict[str, psutil.Process]:
    """Server, worker and postmaster among the children of `leo run`."""
    found = {}
    for child in psutil.Process(pid).children():
        command = child.cmdline()
        if command[-1:] == ["serve"]:
            found["server"] = child
        elif command[-1:] == ["worker"]:
            found["worker"] = child
        elif command and Path(command[0]).name == "postgres":
            found["postgres"] = child
    return found
