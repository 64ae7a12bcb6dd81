"""`leo run`: the stack and what serves on it, in one terminal."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console

from server.cli.calling import reached_at
from server.cli.environment import environment_with, stack_options
from server.cli.stopping import ends_on_signal
from server.cli.token import TENANT_SCOPES
from server.cli.up import print_addresses
from server.config import Settings, load_settings
from server.embedded.first_tenant import FIRST_TENANT
from server.embedded.ports import free_port
from server.embedded.stack import Stack

_STOP_SECONDS = 30.0
_TOKEN_SECONDS = 8 * 3600
_POLL_SECONDS = 0.05

_CALLS = """
gRPC listens on {listen}. A token of the tenant '{tenant}', good for eight hours:

export LEO_TOKEN={token}

Three calls to try, in another terminal. The Python client adds a customer:

{programs}/python - <<'END'
import os
from leo.activation.v1 import profile_service_pb2 as profiles
from leo_client import LeoSyncClient

with LeoSyncClient("{reached}", token=os.environ["LEO_TOKEN"]) as leo:
    ann = profiles.ProfilePatch(profile_id="ann", primary_email="ann@example.com")
    print(leo.profiles.UpsertProfiles(profiles.UpsertProfilesRequest(profiles=[ann])))
END

grpcurl asks what is known of her (`grpcurl -plaintext {reached} list` shows all services):

grpcurl -plaintext -H "authorization: Bearer $LEO_TOKEN" -d '{{"profile_id": "ann"}}' \\
  {reached} leo.activation.v1.ProfileService/GetProfile

The command line asks what to do when she buys something; `leo trace ann` shows her journey afterwards:

{programs}/leo decide ann --server {reached} --event-type purchase --attributes '{{"amount": 120}}'
"""


def run() -> None:
    """Start the stack of `leo up` and serve on it until Ctrl-C; print the address, a token and calls."""
    options = stack_options()
    listen = _with_port(load_settings(Settings).listen)
    console = Console(soft_wrap=True)
    status = 0
    with ends_on_signal():
        stack = Stack(options)
        with stack as addresses:
            print_addresses(console, options, addresses)
            server_environment = {**addresses.server_environment(), "LEO_LISTEN": listen}
            with (
                _command("serve", server_environment) as server,
                # Both on one machine, with one address for figures: it is the server's.
                _command("worker", {**addresses.worker_environment(), "LEO_METRICS_LISTEN": ""}),
            ):
                if _serves(server, listen):
                    console.print(_calls(stack, listen), markup=False, highlight=False)
                status = server.wait()
    raise typer.Exit(status)


@contextmanager
def _command(name: str, variables: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A `leo` command in a session of its own, so that Ctrl-C reaches it after us, as a request to drain."""
    process = subprocess.Popen(
        [sys.executable, "-m", "server.cli.main", name],
        env=environment_with(variables),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


def _with_port(listen: str) -> str:
    """Port 0 asks for any free one; it has to be known here, to be printed."""
    host, _, port = listen.rpartition(":")
    return listen if port != "0" else f"{host}:{free_port()}"


def _serves(server: subprocess.Popen[bytes], listen: str) -> bool:
    """Wait until the server takes connections; False when it ended instead."""
    host, _, port = reached_at(listen).rpartition(":")
    address = (host.strip("[]"), int(port))
    while server.poll() is None:
        try:
            socket.create_connection(address, timeout=1.0).close()
            return True
        except OSError:
            time.sleep(_POLL_SECONDS)
    return False


def _calls(stack: Stack, listen: str) -> str:
    token = stack.token_issuer().issue(
        client_id=FIRST_TENANT, scopes=TENANT_SCOPES, lifetime_seconds=_TOKEN_SECONDS
    )
    programs = Path(sys.executable).parent
    return _CALLS.format(
        listen=listen, reached=reached_at(listen), tenant=FIRST_TENANT, token=token, programs=programs
    )
