"""What the drill prints."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from loadtest.faults.workers.drill import Played

_SHOWN_FAULTS = 20


def print_result(console: Console, played: Played) -> None:
    """Kills by step, ends by channel, and what must not be."""
    table = Table("killed", "workers", box=None)
    for name, number in sorted(played.kills.items()):
        table.add_row(name, f"{number:,}")
    console.print(table, soft_wrap=False)
    ends = Table("channel", "deliveries", "reason", "number", box=None)
    for (channel, status, reason), number in sorted(played.audit.ends.items()):
        ends.add_row(channel, status, reason, f"{number:,}")
    console.print(ends, soft_wrap=False)
    for fault in played.audit.faults[:_SHOWN_FAULTS]:
        console.print(f"fault: {fault}", style="red", markup=False)
    if not played.audit.faults:
        console.print("nothing was lost, and nothing came twice where it must not", style="green")


def summary(played: Played, *, seed: int, seconds: float) -> dict[str, Any]:
    """The last line."""
    found = played.audit
    return {
        "seed": seed,
        "kills": dict(sorted(played.kills.items())),
        "acknowledged": played.acknowledged,
        "deliveries": found.deliveries,
        "ends": {" ".join(filter(None, end)): number for end, number in sorted(found.ends.items())},
        "unknown_arrived": dict(found.unknown_arrived),
        "requests": played.requests,
        "repeated_where_safe": found.repeated,
        "faults": len(found.faults),
        "seconds": round(seconds, 1),
    }
