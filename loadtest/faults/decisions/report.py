"""What the drill prints."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from statistics import median
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from loadtest.faults.decisions.drill import Drill
from loadtest.faults.decisions.recovery import BOUND_SECONDS, Recovery

_SHOWN_FAULTS: Final = 20


def print_recoveries(console: Console, drill: Drill) -> None:
    """For each kind of fault, how long it took until calls were answered, and until both processes decided."""
    table = Table("fault", "n", "served p50", "max", "whole p50", "max", box=None)
    by_name: dict[str, list[Recovery]] = defaultdict(list)
    for recovery in drill.recoveries:
        by_name[recovery.struck.fault.name].append(recovery)
    for name, found in [*sorted(by_name.items()), ("all", drill.recoveries)]:
        served, whole = [r.served for r in found], [r.whole for r in found if not r.disturbed]
        table.add_row(name, str(len(found)), *_spread(served), *_spread(whole))
    console.print(table)


def _spread(seconds: Sequence[float | None]) -> tuple[str, str]:
    known = [each for each in seconds if each is not None]
    if not known:
        return "", ""
    longest = f"{max(known):.2f} s" if len(known) == len(seconds) else f"over {BOUND_SECONDS:g} s"
    return f"{median(known):.2f} s", longest


def print_faults(console: Console, drill: Drill) -> None:
    """What must not be, or that there is nothing of the kind; and where to look."""
    if not drill.faults:
        console.print(
            f"{len(drill.rows):,} decisions, all as acknowledged, no half, no limit broken", style="green"
        )
        return
    for fault in drill.faults[:_SHOWN_FAULTS]:
        console.print(fault, style="red", markup=False, highlight=False)
    if len(drill.faults) > _SHOWN_FAULTS:
        console.print(f"and {len(drill.faults) - _SHOWN_FAULTS} more", style="red")
    console.print(f"ledgers and logs are in {drill.directory}; the same seed plays it again", highlight=False)


def summary(drill: Drill) -> dict[str, Any]:
    """The last line."""
    served = [r.served for r in drill.recoveries if r.served is not None]
    whole = [r.whole for r in drill.recoveries if r.whole is not None]
    failures: Counter[str] = Counter()
    for ledger in drill.ledgers:
        failures.update(ledger.failures)
    return {
        "seed": drill.seed,
        "kills": sum(recovery.struck.fault.kills for recovery in drill.recoveries),
        "other_faults": sum(not recovery.struck.fault.kills for recovery in drill.recoveries),
        "acknowledgements": sum(len(ledger.acknowledged) for ledger in drill.ledgers),
        "decisions": len(drill.rows),
        "send": sum(row.send is not None for row in drill.rows.values()),
        "duplicates": sum(entry.duplicate for ledger in drill.ledgers for entry in ledger.acknowledged),
        "changed_bodies_refused": sum(len(ledger.refused) for ledger in drill.ledgers),
        "failed_tries": dict(failures),
        "unanswered": drill.unanswered,
        "unanswered_absent": drill.absent,
        "server_processes": len(drill.commits),
        "half_checks": drill.checks,
        "answered_again_p50": round(median(served), 3) if served else None,
        "answered_again_max": round(max(served), 3) if served else None,
        "all_back_p50": round(median(whole), 3) if whole else None,
        "all_back_max": round(max(whole), 3) if whole else None,
        "faults": len(drill.faults),
        "seconds": round(drill.seconds, 1),
    }
