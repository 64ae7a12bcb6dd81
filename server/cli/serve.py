"""`leo serve`: the gRPC server."""

from __future__ import annotations

from server.cli.environment import adopt, names_a_database, running_stack
from server.config import ServerSettings, load_settings


def serve() -> None:
    """Serve gRPC until SIGTERM or Ctrl-C, then let running calls finish.

    Configured by LEO_* variables and LEO_CONFIG; without them it joins the stack of `leo up`.
    """
    from server.main import serve as serve_until_stopped

    if not names_a_database():
        adopt(running_stack().server_environment())
    serve_until_stopped(load_settings(ServerSettings))
