"""The rules over this process's own memory: what is left of the limits while Redis is away."""

from __future__ import annotations

import time
from typing import Final

from server.dispatch.limits.rules import Admission, CircuitPolicy, Pace, RouteState, admit, report

_MOST_ROUTES: Final = 10_000


class LocalRoutes:
    """States of accounts by name, on the clock of this process; starts without a memory."""

    def __init__(self, policy: CircuitPolicy) -> None:
        self._policy = policy
        self._states: dict[str, RouteState] = {}

    def admit(self, name: str, *, version: int, wanted: int, pace: Pace) -> tuple[int, Admission]:
        """The time in microseconds, and the admission at it."""
        now = time.monotonic_ns() // 1000
        state, admission = admit(
            self._state(name), now=now, version=version, wanted=wanted, pace=pace, policy=self._policy
        )
        self._states[name] = state
        return now, admission

    def report(self, name: str, *, succeeded: bool, failed: int, pause: int) -> tuple[int, int]:
        """Until when the circuit was open before, and is now."""
        before = self._state(name)
        after = report(
            before,
            now=time.monotonic_ns() // 1000,
            succeeded=succeeded,
            failed=failed,
            pause=pause,
            policy=self._policy,
        )
        self._states[name] = after
        return before.open_until, after.open_until

    def _state(self, name: str) -> RouteState:
        if len(self._states) >= _MOST_ROUTES:
            self._states.clear()
        return self._states.get(name, RouteState())
