"""Asks whether messages may be sent now, and tells what became of them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from server.dispatch.limits.rules import MICROSECONDS, Admission, CircuitPolicy, Held
from server.dispatch.limits.states import Outcomes, RouteStates
from server.dispatch.limits.telemetry import CIRCUITS, HELD
from server.dispatch.limits.wishes import LONGEST_WAIT_SECONDS, RouteKey, Verdict, Wish
from server.platform.logging import get_logger
from server.platform.redis import RedisPool


class ProviderGate:
    """The gate of a worker process. Methods return at once where they are not awaited.

    Args:
        worker: names this process among those that share the limits.
    """

    def __init__(self, *, redis: RedisPool, policy: CircuitPolicy, worker: str) -> None:
        self._states = RouteStates(redis=redis, policy=policy, worker=worker)
        self._troubled: set[RouteKey] = set()
        self._open: set[RouteKey] = set()
        self._pending: dict[RouteKey, Outcomes] = defaultdict(Outcomes)
        self._reporting: asyncio.Task[None] | None = None

    async def admit(self, wishes: Sequence[Wish]) -> list[Verdict]:
        """A verdict for each wish. One round trip to Redis for all of them; none while Redis is away."""
        if not wishes:
            return []
        await self._tell()
        admissions = await self._states.admit(wishes)
        for wish, (_, admission) in zip(wishes, admissions, strict=True):
            self._note(wish, admission)
        return [_verdict(now, admission) for now, admission in admissions]

    def passed(self, key: RouteKey) -> None:
        """Worth a report only where failures are remembered."""
        if key in self._troubled or key in self._pending:
            outcomes = self._pending[key]
            outcomes.succeeded, outcomes.failed = True, 0
            self._begin_report()

    def failed(self, key: RouteKey) -> None:
        """One more failure in a row."""
        self._troubled.add(key)
        self._pending[key].failed += 1
        self._begin_report()

    def asked_to_wait(self, key: RouteKey, seconds: float) -> None:
        """Nothing is sent over this account for so long, by no process."""
        outcomes = self._pending[key]
        outcomes.pause = max(outcomes.pause, min(seconds, LONGEST_WAIT_SECONDS))
        self._begin_report()

    async def close(self) -> None:
        """Report what was learnt."""
        while self._reporting is not None:
            await asyncio.wait([self._reporting])

    def _note(self, wish: Wish, admission: Admission) -> None:
        if admission.troubled:
            self._troubled.add(wish.key)
        else:
            self._troubled.discard(wish.key)
        self._count_open(wish.key, admission.reason is Held.CIRCUIT_OPEN)
        if admission.reason is not None:
            held = wish.wanted - admission.granted
            HELD.labels(wish.key.provider, admission.reason.value).inc(held)

    def _begin_report(self) -> None:
        if self._reporting is None:
            self._reporting = asyncio.create_task(self._tell_after_this_turn())

    async def _tell_after_this_turn(self) -> None:
        try:
            # What is learnt while a report is under way goes with the next one.
            while self._pending:
                # Whoever is ready in this turn of the loop joins the report.
                await asyncio.sleep(0)
                await self._tell()
        finally:
            self._reporting = None

    async def _tell(self) -> None:
        """What providers answered since the last time. One round trip."""
        if not self._pending:
            return
        pending, self._pending = self._pending, defaultdict(Outcomes)
        for key, (before, after) in (await self._states.report(pending)).items():
            self._announce(key, before, after)

    def _announce(self, key: RouteKey, before: int, after: int) -> None:
        """Say that a circuit opened or closed; a failed probe opens it again."""
        self._count_open(key, bool(after))
        if before == after:
            return
        get_logger().warning(
            "circuit_opened" if after else "circuit_closed",
            tenant_id=str(key.tenant_id),
            channel=key.channel,
            provider=key.provider,
        )

    def _count_open(self, key: RouteKey, is_open: bool) -> None:
        if is_open == (key in self._open):
            return
        (self._open.add if is_open else self._open.discard)(key)
        same = sum(1 for known in self._open if known.provider == key.provider)
        CIRCUITS.labels(key.provider).set(same)


def _verdict(now: int, admission: Admission) -> Verdict:
    if admission.reason is None:
        return Verdict(admission.granted)
    first_wait = (admission.first_at - now) / MICROSECONDS
    return Verdict(admission.granted, admission.reason, first_wait, admission.interval / MICROSECONDS)
