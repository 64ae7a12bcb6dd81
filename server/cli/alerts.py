"""`leo alerts`: rules that wait for a price."""

from __future__ import annotations

import typer

from server.cli.alert_backtest import backtest

app = typer.Typer(help="Alert rules: try them on ticks of the past.", no_args_is_help=True)
app.command()(backtest)


@app.callback()
def group() -> None:
    """Alert rules: try them on ticks of the past."""
