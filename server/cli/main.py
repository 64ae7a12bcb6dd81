"""Entry point of `leo`: the commands, and the errors that a user can cure, printed without a traceback."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from server.cli import (
    alerts,
    channels,
    deliveries,
    dispatch,
    embeddings,
    events,
    news,
    profiles,
    snapshots,
    sources,
)
from server.cli.backtest import backtest
from server.cli.decide import decide
from server.cli.failure import CommandFailed
from server.cli.importing.command import import_profiles
from server.cli.metrics import metrics
from server.cli.migrate import migrate
from server.cli.replay import replay
from server.cli.run import run
from server.cli.serve import serve
from server.cli.token import token
from server.cli.trace import trace
from server.cli.up import up
from server.cli.worker import worker
from server.config import ConfigurationError
from server.embedded.errors import StackError
from server.errors import LeoError
from server.mapping.failure import FileNotReadable
from server.platform.migrations import MigrationFailed

_CURABLE = (CommandFailed, FileNotReadable, StackError, ConfigurationError, MigrationFailed, LeoError)

app = typer.Typer(
    help="LEO Activation: decides what is the right action for a customer now, and says why.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in (up, serve, worker, run, token, decide, trace, metrics, replay, backtest, migrate):
    app.command()(command)
app.add_typer(alerts.app, name="alerts")
app.command("import")(import_profiles)
app.add_typer(channels.app, name="channels")
app.add_typer(deliveries.app, name="deliveries")
app.add_typer(dispatch.app, name="dispatch")
app.add_typer(news.app, name="news")
app.add_typer(embeddings.app, name="embeddings")
app.add_typer(events.app, name="events")
app.add_typer(profiles.app, name="profiles")
app.add_typer(snapshots.app, name="snapshots")
app.add_typer(sources.app, name="sources")


def main() -> None:
    """Run one command; exit status 1 when it cannot do its work."""
    try:
        app()
    except _CURABLE as error:
        Console(stderr=True, soft_wrap=True).print(f"leo: {error}", style="red", markup=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
