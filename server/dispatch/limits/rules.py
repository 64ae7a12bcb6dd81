"""What one account of a tenant at a provider may be sent now. Pure: no clock, no I/O.

Times are whole microseconds, so that `admit.lua` and `report.lua` compute the same numbers: they are these two
functions over a hash in Redis.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from math import ceil
from typing import Final

from server.dispatch.channels.channel import RateLimit

MICROSECONDS: Final = 1_000_000
_MOST_DOUBLINGS: Final = 5
_LOOK_AGAIN: Final = MICROSECONDS


class Held(StrEnum):
    """Why messages may not be sent now."""

    CIRCUIT_OPEN = "CIRCUIT_OPEN"
    """The account or the provider failed so often in a row that it is left alone for a while."""
    PROVIDER_ASKED_TO_WAIT = "PROVIDER_ASKED_TO_WAIT"
    """The provider named a time before which it takes nothing."""
    RATE_LIMITED = "RATE_LIMITED"
    """The account has had its share for now."""


@dataclass(frozen=True, slots=True)
class Pace:
    """A rate limit in whole microseconds.

    Args:
        interval: between two messages of the sustained rate.
        burst: how many may come at once after a rest.
    """

    interval: int
    burst: int

    @classmethod
    def of(cls, limit: RateLimit, *, shared_by: int = 1) -> Pace:
        """The pace of a limit, or of an equal part of it."""
        return cls(ceil(MICROSECONDS * shared_by / limit.per_second), max(1, limit.burst // shared_by))


@dataclass(frozen=True, slots=True)
class CircuitPolicy:
    """When an account is left alone, and for how long.

    Args:
        failures: so many in a row open the circuit.
        open_for: microseconds, doubled with each failed probe, five times at most.
        probe_for: microseconds that a probe may take before there is another one.
    """

    failures: int
    open_for: int
    probe_for: int


@dataclass(frozen=True, slots=True)
class RouteState:
    """What is remembered of an account.

    Args:
        version: of its credential; a newer one closes the circuit.
        earliest: when the next message would be due if all came at the sustained rate (GCRA's arrival time).
        line_end: when the last message that was held back will come again.
        paused_until: the provider's wish.
        failures: in a row.
        opened: how often the circuit opened without having closed.
        open_until: 0 while it is closed.
        probe_until: when the running probe counts as lost; 0 without one.
    """

    version: int = 0
    earliest: int = 0
    line_end: int = 0
    paused_until: int = 0
    failures: int = 0
    opened: int = 0
    open_until: int = 0
    probe_until: int = 0


@dataclass(frozen=True, slots=True)
class Admission:
    """How many of the wanted messages may be sent now; the others are told when to come again.

    Args:
        reason: why the others may not; None when all may.
        first_at: when the first of the others comes again, microseconds.
        interval: between each of the others and the next one, microseconds.
        troubled: whether failures or an open circuit are remembered, so that a success is worth reporting.
    """

    granted: int
    reason: Held | None
    first_at: int
    interval: int
    troubled: bool


def admit(
    state: RouteState, *, now: int, version: int, wanted: int, pace: Pace, policy: CircuitPolicy
) -> tuple[RouteState, Admission]:
    """How many messages may be sent at this moment.

    Args:
        version: of the credential that they would be sent with.
        wanted: how many there are, at least 1.
    """
    if version > state.version:
        state = replace(state, version=version, failures=0, opened=0, open_until=0, probe_until=0)
    troubled = state.failures > 0 or state.open_until > 0
    if now < state.paused_until:
        held = _in_line(state, state.paused_until, wanted, pace)
        return held[0], Admission(0, Held.PROVIDER_ASKED_TO_WAIT, held[1], pace.interval, troubled)
    if now < state.open_until:
        return state, Admission(0, Held.CIRCUIT_OPEN, state.open_until, 0, troubled)
    if now < state.probe_until:
        return state, Admission(0, Held.CIRCUIT_OPEN, _look_again(state, now), 0, troubled)
    half_open = state.open_until > 0
    earliest = max(state.earliest, now)
    fitting = max(0, (now + pace.burst * pace.interval - earliest) // pace.interval)
    granted = min(wanted, fitting, 1 if half_open else wanted)
    state = replace(state, earliest=earliest + granted * pace.interval)
    if half_open and granted:
        state = replace(state, probe_until=now + policy.probe_for)
        reason = Held.CIRCUIT_OPEN if wanted > 1 else None
        return state, Admission(granted, reason, _look_again(state, now), 0, troubled)
    if granted == wanted:
        return state, Admission(granted, None, 0, 0, troubled)
    next_at = state.earliest - (pace.burst - 1) * pace.interval
    state, first_at = _in_line(state, next_at, wanted - granted, pace)
    return state, Admission(granted, Held.RATE_LIMITED, first_at, pace.interval, troubled)


def _look_again(state: RouteState, now: int) -> int:
    """Most probes are answered soon, and then everything may go."""
    return min(state.probe_until, now + _LOOK_AGAIN)


def _in_line(state: RouteState, not_before: int, count: int, pace: Pace) -> tuple[RouteState, int]:
    """Places behind those that were held back before, one interval apart, so that each comes again once."""
    first_at = max(state.line_end, not_before)
    return replace(state, line_end=first_at + count * pace.interval), first_at


def report(
    state: RouteState, *, now: int, succeeded: bool, failed: int, pause: int, policy: CircuitPolicy
) -> RouteState:
    """What is remembered after some answers of the provider.

    Args:
        succeeded: whether any message passed; it counts as before the failures.
        failed: how many failed in a row since.
        pause: microseconds that the provider asked for; 0 for none.
    """
    if now < state.open_until:
        # Answers to what was sent before the circuit opened say nothing new.
        return _paused(state, now, pause)
    if succeeded:
        state = replace(state, failures=0, opened=0, open_until=0, probe_until=0)
    if failed:
        state = replace(state, failures=state.failures + failed)
        if state.open_until > 0 or state.failures >= policy.failures:
            lasts = policy.open_for << min(state.opened, _MOST_DOUBLINGS)
            state = replace(state, opened=state.opened + 1, open_until=now + lasts, probe_until=0)
    return _paused(state, now, pause)


def _paused(state: RouteState, now: int, pause: int) -> RouteState:
    return replace(state, paused_until=max(state.paused_until, now + pause)) if pause else state
