"""Processes, and work that goes on in one, that ended although nobody had killed them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from loadtest.faults.decisions.plan import Fault
from loadtest.faults.decisions.stage import Stage

_SERVES: Final = "serving"
_REPLACED: Final = "process_replaced"
_DIED: Final = "process_died"
_WORK_DIED: Final = "background_task_died"


def unplanned_ends(stage: Stage, plan: Sequence[Fault]) -> list[str]:
    """By the server's own log, and by what the keeper had to start again."""
    entries = list(_entries(stage.directory / "serve.log"))
    restarts = {name: stage.keeper.restarts.count(name) for name in ("postgres", "redis")}
    kills = {
        "serve": _count(plan, ["all servers"]),
        "postgres": _count(plan, ["PostgreSQL stopped", "PostgreSQL killed"]),
        "redis": _count(plan, ["Redis killed"]),
    }
    # One that finds PostgreSQL away at its start ends before it serves, and is started again: that is no fault.
    ends = {"serve": sum(entry["event"] == _SERVES for entry in entries) - 1, **restarts}
    return server_deaths(entries, stage.traps.killed, stage.traps.commits) + [
        f"{name} ended {number} times, but was killed {kills[name]} times"
        for name, number in ends.items()
        if number > kills[name]
    ]


def server_deaths(
    entries: Iterable[dict[str, Any]], killed: Collection[int], committed: Collection[int]
) -> list[str]:
    """Server processes that had decided something, and died by themselves; and what died inside of one.

    Args:
        entries: the lines of the server's log.
        killed: pids that the drill killed.
        committed: pids that decided something.
    """
    faults = []
    for entry in entries:
        if entry["event"] == _DIED and entry["pid"] in committed and entry["pid"] not in killed:
            faults.append(f"server process {entry['pid']} ended by itself with {entry['exit_code']}")
        elif entry["event"] == _WORK_DIED:
            faults.append(f"background work of a server ended by itself: {entry['task']}; serve.log says why")
    return faults


def _count(plan: Iterable[Fault], targets: Collection[str]) -> int:
    return sum(fault.what in targets for fault in plan)


def _entries(log: Path) -> Iterable[dict[str, Any]]:
    for line in log.read_bytes().splitlines():
        if line.startswith(b"{"):
            yield orjson.loads(line)
