"""`leo serve`: the gRPC server."""

from __future__ import annotations

from typing import Annotated

import typer

from server.cli.environment import adopt, names_a_database, running_stack
from server.cli.failure import CommandFailed
from server.config import ServerSettings, load_settings


def serve(
    workers: Annotated[
        int | None,
        typer.Option(help="Processes that share the port, each with its own part of the calls."),
    ] = None,
    metrics_listen: Annotated[
        str | None, typer.Option(help="host:port of /metrics and /healthz, which are else not served.")
    ] = None,
) -> None:
    """Serve gRPC until SIGTERM or Ctrl-C, then let running calls finish.

    Configured by LEO_* variables and LEO_CONFIG; without them it joins the stack of `leo up`.
    """
    # Here, since gRPC takes longer to import than the other commands to run.
    from server.main import serve as serve_until_stopped
    from server.rpc.processes import StartFailed
    from server.rpc.server import PortNotFree

    if not names_a_database():
        adopt(running_stack().server_environment())
    settings = load_settings(ServerSettings, {"processes": workers, "metrics_listen": metrics_listen})
    try:
        serve_until_stopped(settings)
    except (PortNotFree, StartFailed) as error:
        raise CommandFailed(str(error)) from error
