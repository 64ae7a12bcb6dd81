"""`python -m loadtest.faults.workers`: decisions go on while one worker after the other is killed.

It ends with status 1 when an acknowledged decision has no delivery that ended, when a message came twice on a channel
where the recipient gets both, when one is `unknown` without a reason, or when a worker ended that nobody had killed.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Final

import typer
import uvloop
from leo_client import LeoApiError
from rich.console import Console

from loadtest.bench.stage import open_stage
from loadtest.faults.workers.drill import play
from loadtest.faults.workers.report import print_result, summary
from loadtest.faults.workers.slot import NotReached
from loadtest.faults.workers.steps import check_steps
from server.cli.stopping import ends_on_signal
from server.embedded.errors import StackError

_STOPPED: Final = 130

_SEED = typer.Option(help="Draws who is killed when, and the events.")
_KILLS = typer.Option(min=1, help="How many workers are killed.")


def faults(seed: Annotated[int, _SEED] = 6, kills: Annotated[int, _KILLS] = 30) -> None:
    """Kill workers at random moments and at named steps; show that nothing is lost, and nothing unsafe comes twice."""
    console = Console(soft_wrap=True)
    status = _STOPPED
    with ends_on_signal(), open_stage() as stage:
        check_steps()
        directory = Path(tempfile.mkdtemp(prefix="leo-faults-"))
        console.print(f"workers, seed {seed}: {kills} kills; logs in {directory}", highlight=False)
        started = time.perf_counter()
        played = uvloop.run(play(stage, directory, seed=seed, kills=kills))
        print_result(console, played)
        print(json.dumps(summary(played, seed=seed, seconds=time.perf_counter() - started)), flush=True)
        status = 1 if played.audit.faults else 0
    raise typer.Exit(status)


def main() -> None:
    """Run the drill; what a user can cure is printed without a traceback."""
    app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    app.command()(faults)
    try:
        app()
    except (StackError, LeoApiError, NotReached) as error:
        Console(stderr=True, soft_wrap=True).print(f"faults: {error}", style="red", markup=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
