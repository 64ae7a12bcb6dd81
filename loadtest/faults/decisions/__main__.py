"""`python -m loadtest.faults.decisions`: load, and one kill after the other.

It ends with status 1 when an acknowledged decision is missing or another one, when a half is visible, a limit is
broken, calls are not answered again in time, or a process ended that nobody had killed.
"""

from __future__ import annotations

import json
import sys
from typing import Annotated, Final

import typer
import uvloop
from leo_client import LeoApiError
from rich.console import Console

from loadtest.faults.decisions.drill import Drill, play
from loadtest.faults.decisions.plan import draw_plan
from loadtest.faults.decisions.report import print_faults, print_recoveries, summary
from loadtest.faults.decisions.wire import check_steps
from server.cli.stopping import ends_on_signal
from server.embedded.errors import StackError

_STOPPED: Final = 130

_SEED = typer.Option(help="Draws what is struck, where, in which order, and the events.")
_KILLS = typer.Option(min=1, help="How many processes are killed.")


def faults(seed: Annotated[int, _SEED] = 6, kills: Annotated[int, _KILLS] = 30) -> None:
    """Kill servers, PostgreSQL, Redis and callers under load; show that no acknowledged decision is lost or halved."""
    console = Console(soft_wrap=True)
    status = _STOPPED
    with ends_on_signal():
        check_steps()
        drill = Drill(seed, draw_plan(seed, kills))
        others = len(drill.plan) - kills
        console.print(f"decisions, seed {seed}: {kills} kills and {others} other faults", highlight=False)
        uvloop.run(play(console, drill))
        print_recoveries(console, drill)
        print_faults(console, drill)
        print(json.dumps(summary(drill)), flush=True)
        status = 1 if drill.faults else 0
    raise typer.Exit(status)


def main() -> None:
    """Run the drill; what a user can cure is printed without a traceback."""
    app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    app.command()(faults)
    try:
        app()
    except (StackError, LeoApiError) as error:
        Console(stderr=True, soft_wrap=True).print(f"faults: {error}", style="red", markup=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
