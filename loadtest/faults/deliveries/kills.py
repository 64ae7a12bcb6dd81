"""What is killed, and when: drawn from a seed, so that a run that went wrong can be played again."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from server.platform.clock import utc_now

TARGETS: Final = ("serve", "worker", "postgres", "redis", "broker")
KILL_RULE: Final = (
    "each process is killed once (SIGKILL), right after the acknowledgement that the seed names for it,"
    " between a tenth and nine tenths of the purchases, the worker while the next message is handed over;"
    " whatever ended is started again within moments,"
    " Redis and the broker empty"
)
# Neither at the very start nor so late that nothing is left to come back to.
_EARLIEST: Final = 0.1
_LATEST: Final = 0.9
_MESSAGE_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.0002


@dataclass(frozen=True, slots=True)
class Kill:
    """One process's end.

    Args:
        target: which of `TARGETS`.
        after: how many decisions are acknowledged before it.
    """

    target: str
    after: int


def draw_kills(seed: int, purchases: int) -> list[Kill]:
    """One kill for each target, the earliest first.

    Args:
        purchases: how many there are.

    Raises:
        ValueError: too few purchases for as many different moments.
    """
    chance = random.Random(seed)
    moments = range(int(purchases * _EARLIEST), int(purchases * _LATEST))
    after = chance.sample(moments, len(TARGETS))
    return sorted(map(Kill, TARGETS, after), key=lambda kill: kill.after)


@dataclass(slots=True)
class Killer:
    """Kills what is due as decisions are acknowledged.

    Args:
        plan: the earliest first.
        pid_of: the pid of a target while it runs.
        mailbox_directory: changes as a message is handed over.
        done: when each kill happened.
    """

    plan: Sequence[Kill]
    pid_of: Callable[[str], int | None]
    mailbox_directory: Path
    done: dict[Kill, datetime] = field(default_factory=dict)

    def acknowledged(self, number: int) -> list[Kill]:
        """Kill what is due after so many acknowledgements; what does not run at the moment waits for the next.

        Returns:
            What was killed now.
        """
        due = [kill for kill in self.plan if kill.after <= number and kill not in self.done]
        return [kill for kill in due if self._kill(kill)]

    def _kill(self, kill: Kill) -> bool:
        pid = self.pid_of(kill.target)
        if pid is not None:
            if kill.target == "worker":
                self._await_message()
            os.kill(pid, signal.SIGKILL)
            self.done[kill] = utc_now()
        return pid is not None

    def _await_message(self) -> None:
        """Return as soon as a message begins to arrive, or after a second; nothing else is done meanwhile.

        An idle worker has nothing to lose: the moment that matters is between `sending` and the result.
        """
        before = self.mailbox_directory.stat().st_mtime_ns
        deadline = time.monotonic() + _MESSAGE_SECONDS
        while self.mailbox_directory.stat().st_mtime_ns == before and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
