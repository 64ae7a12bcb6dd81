"""What the drill prints for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

from loadtest.demo.reconcile import Figures
from loadtest.faults.deliveries.kills import Killer
from loadtest.faults.deliveries.ledger import Audit, Ledger
from loadtest.faults.deliveries.verdict import longest_pause

_SHOWN_FAULTS: Final = 20


def print_kills(console: Console, killer: Killer, ledger: Ledger, audited: Audit) -> None:
    """Who was killed when, and for how long nothing was decided or sent in what followed, up to the next kill."""
    table = Table("killed", "after purchase", "longest pause of decisions", "of messages", box=None)
    ends = [*list(killer.done.values())[1:], None]
    for (kill, at), end in zip(killer.done.items(), ends, strict=True):
        pauses = (longest_pause(times, at, end) for times in (ledger.times, audited.sent_times))
        table.add_row(kill.target, f"{kill.after:,}", *(f"{seconds:.1f} s" for seconds in pauses))
    console.print()
    console.print(table, soft_wrap=False)


def print_result(console: Console, figures: Figures, ledger: Ledger, audited: Audit) -> None:
    """The ledger against PostgreSQL and the mailbox."""
    reasons = ", ".join(
        f"{reason}: {n}" for reason, n in Counter(reason for _, reason in audited.unknown).items()
    )
    lines = {
        "decisions acknowledged": len(ledger.entries),
        "of these missing in PostgreSQL": len(audited.missing),
        "deliveries sent": figures.deliveries.get("sent", 0),
        f"deliveries unknown{f' ({reasons})' if reasons else ''}": len(audited.unknown),
        "of these in the mailbox": audited.unknown_arrived,
        "messages in the mailbox": figures.mailbox_messages,
        "deliveries with more than one message": len(audited.repeated),
    }
    table = Table(show_header=False, box=None)
    table.add_column()
    table.add_column(justify="right")
    for name, number in lines.items():
        table.add_row(name, f"{number:,}")
    console.print()
    console.print(table, soft_wrap=False)


def print_faults(console: Console, faults: Sequence[str]) -> None:
    """What must not be, or that all is well."""
    for fault in faults[:_SHOWN_FAULTS]:
        console.print(f"fault: {fault}", style="red", markup=False)
    if len(faults) > _SHOWN_FAULTS:
        console.print(f"…and {len(faults) - _SHOWN_FAULTS} more", style="red")
    if not faults:
        console.print(
            "\nnothing was lost, nothing was sent twice, and the figures are the same", style="green"
        )
