"""How long it takes after a fault until calls are answered again, without anybody's help."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from loadtest.faults.decisions.stage import PROCESSES, Stage
from loadtest.faults.decisions.strikes import Struck

# Stated in docs/faults.md: after any single fault, calls are answered within this time.
BOUND_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True)
class Recovery:
    """What came of a fault.

    Args:
        served: seconds from the fault until the answer to a call that was made after it; None for not in time.
        whole: seconds until every server process committed again; None for not in time, or not before the next fault.
        disturbed: whether the next fault came before everything was back.
    """

    struck: Struck
    served: float | None
    whole: float | None
    disturbed: bool


async def seconds_until_served(stage: Stage, struck: Struck) -> float | None:
    """Seconds from the fault until the answer to a call that was made after it; None for not in time."""
    return await _seconds_until(struck, lambda: _is_served(stage, struck), lambda: False)


async def recover(
    stage: Stage, struck: Struck, served: asyncio.Task[float | None], is_disturbed: Callable[[], bool]
) -> Recovery:
    """Watch until everything is back, or the bound has passed.

    Args:
        served: `seconds_until_served` of this fault.
        is_disturbed: whether another fault was struck since: then some processes may be dead all the time.
    """
    before = Counter(stage.traps.commits)
    answered = await served
    whole = await _seconds_until(struck, lambda: _is_whole(stage, before), is_disturbed)
    return Recovery(struck, answered, whole, whole is None and is_disturbed())


async def _seconds_until(
    struck: Struck, look: Callable[[], float | None], ends: Callable[[], bool]
) -> float | None:
    while time.monotonic() < struck.at + BOUND_SECONDS:
        if (moment := look()) is not None:
            return moment - struck.at
        if ends():
            return None
        await asyncio.sleep(_LOOK_SECONDS)
    return None


def _is_served(stage: Stage, struck: Struck) -> float | None:
    """When the first call was answered that was begun after the fault; of a killed caller, its successor's."""
    ledgers = stage.callers[struck.caller].ledgers[-1:] if struck.caller else stage.ledgers
    moments = []
    for ledger in ledgers:
        for tried_at, told_at in reversed(ledger.answers):
            if told_at < struck.at:
                break
            if tried_at > struck.at:
                moments.append(told_at)
    return min(moments, default=None)


def _is_whole(stage: Stage, before: Counter[int]) -> float | None:
    alive = [pid for pid in stage.server_pids() if stage.traps.commits[pid] > before[pid]]
    return time.monotonic() if len(alive) >= PROCESSES else None
