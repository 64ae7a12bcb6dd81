"""Whether the figures of the disturbed run are those of an undisturbed one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final

from loadtest.demo.reconcile import Figures

_WINDOW: Final = timedelta(seconds=30)
_EMBEDDED: Final = ("postgres", "redis", "broker")
# What a process logs once it has started. One that finds PostgreSQL away at its start ends before, and is started
# again: that is no fault.
_STARTED: Final = {"serve": '"event":"serving"', "worker": '"event":"working"'}


def decided(figures: Figures) -> dict[str, object]:
    """What was decided: all that has to be the same however often a process died."""
    return {
        "decisions": figures.decisions,
        "send": figures.send,
        "suppressed": dict(sorted(figures.suppressed.items())),
        "candidates": dict(sorted(figures.candidates.items())),
    }


def differences(expected: Mapping[str, object], found: Mapping[str, object], name: str) -> list[str]:
    """Where two runs differ, of what both of them tell.

    Args:
        name: what the expectation is, for the text.
    """
    shared = expected.keys() & found.keys()
    return [
        f"{key}: {found[key]}, but {expected[key]} in {name}"
        for key in sorted(shared)
        if found[key] != expected[key]
    ]


def delivery_faults(figures: Figures, unknown_arrived: int) -> list[str]:
    """What is wrong with deliveries: each has to be sent or unknown, and the mailbox has to say the same.

    Args:
        unknown_arrived: how many of the unknown ones are in the mailbox.
    """
    sent, unknown = figures.deliveries.get("sent", 0), figures.deliveries.get("unknown", 0)
    faults = [f"{number} {kind.replace('_', ' ')}" for kind, number in figures.orphans.items() if number]
    if sent + unknown != figures.send or sum(figures.deliveries.values()) != figures.send:
        faults.append(f"{figures.send} decisions to send, but deliveries {dict(figures.deliveries)}")
    if figures.mailbox_messages != sent + unknown_arrived:
        faults.append(f"{figures.mailbox_messages} messages, but {sent} sent and {unknown_arrived} unknown")
    return faults + figures.mail_faults


def longest_pause(times: Iterable[datetime], start: datetime, end: datetime | None) -> float:
    """The longest time without one of the moments after `start`, in seconds.

    Args:
        times: in order.
        end: where to stop looking, in the middle of a pause too; None for half a minute after the start.
    """
    limit = end or start + _WINDOW
    moments = [start, *(moment for moment in times if start <= moment)]
    pauses = [min(later, limit) - earlier for earlier, later in pairwise(moments) if earlier < limit]
    return max(pauses, default=timedelta(0)).total_seconds()


def unplanned_ends(restarts: Sequence[str], directory: Path) -> list[str]:
    """Processes that ended although nobody killed them, when each was killed once.

    Args:
        restarts: names of what was started again.
        directory: where `serve.log` and `worker.log` are.
    """
    ends = {name: restarts.count(name) for name in _EMBEDDED}
    for name, words in _STARTED.items():
        ends[name] = (directory / f"{name}.log").read_text("utf-8").count(words) - 1
    return [
        f"{name} ended {number} times, but was killed once" for name, number in ends.items() if number != 1
    ]
