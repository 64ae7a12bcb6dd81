"""`python -m feeder FILE`: stream the daily bars of a CSV file."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
from leo_client import LeoApiError, LeoClient
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from feeder.bars import BadFile, Tick, feed_name, read_bars
from feeder.feeding import Feeder, Summary
from feeder.position import Position

_FILE = typer.Argument(
    exists=True, dir_okay=False, help="CSV, or CSV in gzip: Ticker, Date, Open, High, Low, Close."
)
_SERVER = typer.Option(help="host:port of a server; may be repeated. It names the owners of other symbols.")
_TOKEN = typer.Option(envvar="LEO_TOKEN", help="The token to call with, e.g. of `leo token`.")
_POSITION = typer.Option(help="Keeps how far the feed has come; FILE.position where it is left out.")
_GLOBAL = typer.Option("--global", help="The symbols are global instruments; needs the scope ticks.write.")
_BATCH = typer.Option(min=1, max=10_000, help="Ticks in a message.")
_PATIENCE = typer.Option(min=0, help="Seconds to try without any progress.")


def feed(
    path: Annotated[Path, _FILE],
    token: Annotated[str, _TOKEN],
    server: Annotated[list[str], _SERVER] = ["127.0.0.1:50051"],  # noqa: B006 - typer copies it
    position: Annotated[Path | None, _POSITION] = None,
    global_instruments: Annotated[bool, _GLOBAL] = False,
    batch_size: Annotated[int, _BATCH] = 500,
    patience_seconds: Annotated[float, _PATIENCE] = 60.0,
) -> None:
    """Stream each day of the file as open, high, low and close. It goes on after what was acknowledged before."""
    name = feed_name(path)
    ticks = read_bars(path)
    noted = Position(position or path.with_name(f"{path.name}.position"), name)
    feeder_of = Feeder(
        connect=lambda address: LeoClient(address, token=token),
        addresses=server,
        feed=name,
        position=noted,
        global_instruments=global_instruments,
        batch_size=batch_size,
        patience_seconds=patience_seconds,
    )
    summary = asyncio.run(_run(feeder_of, ticks))
    Console().print(
        f"{len(ticks)} ticks: {summary.accepted} accepted, {summary.duplicates} known already, "
        f"{summary.bad} refused; {summary.fired} alerts fired",
        highlight=False,
    )


async def _run(feeder_of: Feeder, ticks: list[Tick]) -> Summary:
    columns = (TextColumn("ticks"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("ticks", total=len(ticks))
        return await feeder_of.run(ticks, lambda done: progress.update(task, completed=done))


def main() -> None:
    """Run the command; exit status 1 when it cannot do its work."""
    try:
        typer.run(feed)
    except (BadFile, LeoApiError, OSError) as error:
        Console(stderr=True, soft_wrap=True).print(f"feeder: {error}", style="red", markup=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
