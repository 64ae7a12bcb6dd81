"""`leo run`: the stack and what serves on it, in one terminal."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from server.cli.environment import environment_with, stack_options
from server.cli.stopping import ends_on_signal
from server.cli.token import TENANT_SCOPES
from server.cli.up import print_addresses
from server.config import Settings, load_settings
from server.embedded.addresses import StackAddresses
from server.embedded.first_tenant import FIRST_TENANT
from server.embedded.stack import Stack

_STOP_SECONDS = 30.0
_TOKEN_SECONDS = 8 * 3600

_CALLS = """
[bold]gRPC[/bold] listens on {listen}. A token of the tenant '{tenant}', good for eight hours:

export LEO_TOKEN={token}

Calls to try, in another terminal:

grpcurl -plaintext {listen} list
grpcurl -plaintext -H "authorization: Bearer $LEO_TOKEN" {listen} \\
  leo.activation.v1.CatalogService/ListCampaigns
grpcurl -plaintext {listen} grpc.health.v1.Health/Check
"""


def run() -> None:
    """Start the stack of `leo up` and serve on it until Ctrl-C; print the address, a token and calls."""
    options = stack_options()
    console = Console(soft_wrap=True)
    status = 0
    with ends_on_signal():
        stack = Stack(options)
        with stack as addresses:
            print_addresses(console, options, addresses)
            with _server(addresses) as server:
                console.print(_calls(stack), markup=True, highlight=False)
                status = server.wait()
    raise typer.Exit(status)


@contextmanager
def _server(addresses: StackAddresses) -> Iterator[subprocess.Popen[bytes]]:
    """`leo serve` in a session of its own, so that Ctrl-C reaches it after us, as a request to drain."""
    process = subprocess.Popen(
        [sys.executable, "-m", "server.cli.main", "serve"],
        env=environment_with(addresses.server_environment()),
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


def _calls(stack: Stack) -> str:
    token = stack.token_issuer().issue(
        client_id=FIRST_TENANT, scopes=TENANT_SCOPES, lifetime_seconds=_TOKEN_SECONDS
    )
    return _CALLS.format(listen=load_settings(Settings).listen, tenant=FIRST_TENANT, token=token)
