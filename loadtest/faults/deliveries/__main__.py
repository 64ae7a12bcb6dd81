"""`python -m loadtest.faults.deliveries`: the main job while its processes are killed, each once, in the middle.

It ends with status 1 when the figures differ from those of an undisturbed run, an acknowledged decision is missing,
a message came twice, or a process ended that nobody had killed.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer
from leo.activation.v1 import decision_service_pb2 as decisions
from leo_client import LeoApiError
from rich.console import Console

from loadtest.demo.finale import NotSettled
from loadtest.demo.loader import Refused
from loadtest.demo.play import Played, play
from loadtest.demo.processes import Running, running_stack
from loadtest.demo.purchases import Purchase, read_purchases
from loadtest.faults.deliveries.kills import KILL_RULE, Killer, draw_kills
from loadtest.faults.deliveries.ledger import Audit, Ledger, audit
from loadtest.faults.deliveries.report import print_faults, print_kills, print_result
from loadtest.faults.deliveries.verdict import decided, delivery_faults, differences, unplanned_ends
from server.cli.stopping import ends_on_signal
from server.embedded.errors import StackError
from server.embedded.mailbox import Mailbox
from tests.demo.expected import expected_figures

Expectations = Mapping[str, Mapping[str, object]]

_STOPPED: Final = 130
_LEAST_PURCHASES: Final = 100

_SEED = typer.Option(help="Draws the moments of the kills.")
_LIMIT = typer.Option(min=_LEAST_PURCHASES, help="Only the first so many purchases.")
_COMPARED = typer.Option(help="Play the job undisturbed first, and compare with that.")


@dataclass(frozen=True, slots=True)
class Drill:
    """What came of the disturbed run.

    Args:
        differences: where its figures are not those that were expected.
        faults: what else must not be.
        seconds: how long it took.
    """

    played: Played
    ledger: Ledger
    killer: Killer
    audit: Audit
    differences: list[str]
    faults: list[str]
    seconds: float


def faults(
    seed: Annotated[int, _SEED] = 6,
    limit: Annotated[int | None, _LIMIT] = None,
    compare: Annotated[bool, _COMPARED] = True,
) -> None:
    """Kill server, worker, PostgreSQL, Redis and broker in mid-demo; show that nothing is lost or repeated."""
    console = Console(soft_wrap=True)
    status = _STOPPED
    with ends_on_signal():
        purchases = read_purchases(limit)
        console.print(f"seed {seed}: {KILL_RULE}", highlight=False)
        expectations = {"the plain computation": expected_figures(limit).figures}
        with running_stack(processes=1, pid_path=None) as running:
            if compare:
                expectations["the undisturbed run"] = asyncio.run(_undisturbed(console, running, purchases))
            drill = asyncio.run(_disturbed(console, running, purchases, seed, expectations))
        print_faults(console, drill.differences + drill.faults)
        print(_last_line(seed, drill), flush=True)
        status = 1 if drill.differences or drill.faults else 0
    raise typer.Exit(status)


async def _undisturbed(console: Console, running: Running, purchases: list[Purchase]) -> dict[str, object]:
    console.print("\n[bold]undisturbed[/bold]")
    played = await play(console, running, purchases, started=time.perf_counter())
    # The mailbox is the stack's, not the tenant's: the next run starts with an empty one.
    for path in Mailbox(Path(running.addresses.mailbox_directory)).files():
        path.unlink()
    return decided(played.figures)


async def _disturbed(
    console: Console,
    running: Running,
    purchases: list[Purchase],
    seed: int,
    expectations: Expectations,
) -> Drill:
    console.print("\n[bold]disturbed[/bold]")
    ledger = Ledger()
    mailbox = Mailbox(Path(running.addresses.mailbox_directory))
    killer = Killer(
        plan=draw_kills(seed, len(purchases)),
        pid_of=lambda target: running.keeper.kept[target].pid,
        mailbox_directory=mailbox.directory,
    )

    def on_decided(decision: decisions.Decision) -> None:
        ledger.add(decision)
        for kill in killer.acknowledged(len(ledger.entries)):
            console.print(f"{kill.target} killed after purchase {len(ledger.entries):,}", style="yellow")

    started = time.perf_counter()
    played = await play(console, running, purchases, started=started, on_decided=on_decided)
    seconds = time.perf_counter() - started
    audited = await audit(running.addresses.database.app_url, played.tenant_id, ledger, mailbox)
    print_kills(console, killer, ledger, audited)
    print_result(console, played.figures, ledger, audited)
    return Drill(
        played=played,
        ledger=ledger,
        killer=killer,
        audit=audited,
        differences=_differences(decided(played.figures), expectations),
        faults=_faults(played, audited, running),
        seconds=seconds,
    )


def _differences(found: Mapping[str, object], expectations: Expectations) -> list[str]:
    return [fault for name, figures in expectations.items() for fault in differences(figures, found, name)]


def _faults(played: Played, audited: Audit, running: Running) -> list[str]:
    """Everything that must not be but for the figures, in words."""
    found = delivery_faults(played.figures, audited.unknown_arrived)
    found += [f"acknowledged, but not recorded so: {entry}" for entry in audited.missing]
    return found + unplanned_ends(running.keeper.restarts, running.directory)


def _last_line(seed: int, drill: Drill) -> str:
    figures = drill.played.figures
    return json.dumps(
        {
            "seed": seed,
            "kills": {kill.target: kill.after for kill in drill.killer.plan},
            "events": len(drill.ledger.entries),
            "decisions": figures.decisions,
            "send": figures.send,
            "suppressed": dict(sorted(figures.suppressed.items())),
            "deliveries": dict(sorted(figures.deliveries.items())),
            "mailbox_messages": figures.mailbox_messages,
            "orphans": sum(figures.orphans.values()),
            "figures_equal": not drill.differences,
            "acknowledged": len(drill.ledger.entries),
            "missing": len(drill.audit.missing),
            "duplicates": drill.audit.duplicates,
            "unknown": len(drill.audit.unknown),
            "unknown_in_mailbox": drill.audit.unknown_arrived,
            "seconds": round(drill.seconds, 2),
        }
    )


def main() -> None:
    """Run the drill; what a user can cure is printed without a traceback."""
    app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    app.command()(faults)
    try:
        app()
    except (StackError, LeoApiError, NotSettled, Refused) as error:
        Console(stderr=True, soft_wrap=True).print(f"faults: {error}", style="red", markup=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
