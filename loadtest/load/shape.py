"""How a rate of events becomes users; shared by locust's process and the one that starts it."""

from __future__ import annotations

import math
from dataclasses import dataclass

BATCH = 20
"""Events of one DecideBatch."""
SNAPSHOT_SECONDS = 5
"""Between two snapshots."""
TICKS_OF_A_BATCH = 100
"""Ticks of one AlertEvaluate; one batch comes every second, and one of its ticks crosses a rule's price."""
RULES = 10_000
"""The rules that ticks meet."""
SYMBOLS = 100
"""What the rules are on."""
_ONE_BY_ONE_SHARE = 0.6
_CALLS_OF_A_USER = 5.0
_FREEZERS = 1
_FEEDERS = 1


@dataclass(frozen=True, slots=True)
class Shape:
    """Three fifths of the events come one by one, the others in batches.

    Args:
        events_per_minute: of all users.
    """

    events_per_minute: float

    @property
    def single_calls(self) -> float:
        """Decide calls a second."""
        return self.events_per_minute / 60 * _ONE_BY_ONE_SHARE

    @property
    def batch_calls(self) -> float:
        """DecideBatch calls a second."""
        return self.events_per_minute / 60 * (1 - _ONE_BY_ONE_SHARE) / BATCH

    @property
    def single_users(self) -> int:
        """Users who decide one event a call, so many that none has to hurry."""
        return max(1, math.ceil(self.single_calls / _CALLS_OF_A_USER))

    @property
    def batch_users(self) -> int:
        """Users who decide batches."""
        return max(1, math.ceil(self.batch_calls))

    @property
    def users(self) -> int:
        """All users, with the one who freezes audiences and the one who brings prices."""
        return self.single_users + self.batch_users + _FREEZERS + _FEEDERS
