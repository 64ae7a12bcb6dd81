"""`python -m loadtest.demo`: the main job on real purchases, from nothing to the mailbox.

It ends with status 1 when an orphan is found, a message that is not the one its row says, or a decision that does
not come out again.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Annotated, Final

import typer
from leo_client import LeoApiError
from rich.console import Console

from loadtest.demo.finale import NotSettled
from loadtest.demo.loader import Refused
from loadtest.demo.play import play
from loadtest.demo.processes import Running, running_stack
from loadtest.demo.purchases import Purchase, read_purchases
from loadtest.demo.report import (
    last_line,
    print_alerts,
    print_end,
    print_figures,
    print_journey,
    print_replay,
    print_rules,
)
from server.cli.stopping import ends_on_signal
from server.embedded.errors import StackError

_STOPPED: Final = 130

_LIMIT = typer.Option(min=1, envvar="LEO_DEMO_LIMIT", help="Only the first so many purchases.")
_PROCESSES = typer.Option(min=1, envvar="LEO_PROCESSES", help="Server processes that share the port.")
_PIDS = typer.Option(
    "--pids",
    envvar="LEO_DEMO_PIDS",
    help="Write the pids of all processes here, as one JSON object; what is killed is started again.",
)


def demo(
    limit: Annotated[int | None, _LIMIT] = None,
    processes: Annotated[int, _PROCESSES] = 1,
    pid_path: Annotated[Path | None, _PIDS] = None,
) -> None:
    """Decide on real purchases, send what was decided to a mailbox, and reconcile everything."""
    console = Console(soft_wrap=True)
    status = _STOPPED
    with ends_on_signal():
        started = time.perf_counter()
        purchases = read_purchases(limit)
        print_rules(console, len(purchases), len({purchase.profile_id for purchase in purchases}))
        with running_stack(processes=processes, pid_path=pid_path) as running:
            status = asyncio.run(_play(console, running, purchases, started))
    raise typer.Exit(status)


async def _play(console: Console, running: Running, purchases: list[Purchase], started: float) -> int:
    played = await play(console, running, purchases, started=started)
    figures = played.figures
    print_figures(console, figures, played.times)
    print_alerts(console, figures, played.times, played.fired, played.alert_step)
    print_journey(console, played.journey)
    print_end(
        console, figures, running.keeper.restarts, running.addresses.mailbox_directory, running.directory
    )
    print_replay(console, figures, played.replayed)
    print(last_line(figures, played.times, played.replayed), flush=True)
    came_out_again = played.replayed.replayed == figures.decisions and not played.replayed.different
    return 0 if came_out_again and not figures.mail_faults and not any(figures.orphans.values()) else 1


def main() -> None:
    """Run the demo; what a user can cure is printed without a traceback."""
    app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    app.command()(demo)
    try:
        app()
    except (StackError, LeoApiError, NotSettled, Refused) as error:
        Console(stderr=True, soft_wrap=True).print(f"demo: {error}", style="red", markup=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
