"""Asks whether messages may be sent now, in Redis for the whole fleet, or alone while Redis is away."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from server.dispatch.limits.fleet import FleetSize
from server.dispatch.limits.local import LocalRoutes
from server.dispatch.limits.rules import MICROSECONDS, Admission, CircuitPolicy, Held, Pace
from server.dispatch.limits.telemetry import CIRCUITS, HELD, LOCAL
from server.dispatch.limits.wishes import LONGEST_WAIT_SECONDS, RouteKey, Verdict, Wish
from server.errors import Unavailable
from server.platform.logging import get_logger
from server.platform.redis import RedisPool, Script, ScriptCall, Scripts

_ALONE_SECONDS: Final = 5.0


@dataclass(slots=True)
class Outcomes:
    """Answers of a provider since the last report.

    Args:
        succeeded: whether any message passed.
        failed: how many failed in a row since.
        pause: seconds that the provider asked for.
    """

    succeeded: bool = False
    failed: int = 0
    pause: float = 0.0


class ProviderGate:
    """The gate of a worker process. Methods return at once where they are not awaited.

    Args:
        worker: names this process among those that share the limits.
    """

    def __init__(self, *, redis: RedisPool, policy: CircuitPolicy, worker: str) -> None:
        scripts = Scripts.load("dispatch/limits")
        self._admit, self._report = scripts["admit"], scripts["report"]
        self._redis = redis
        self._policy = policy
        self._local = LocalRoutes(policy)
        self._fleet = FleetSize(redis=redis, worker=worker)
        self._alone_until = 0.0
        self._alone = False
        self._troubled: set[RouteKey] = set()
        self._open: set[RouteKey] = set()
        self._pending: dict[RouteKey, Outcomes] = defaultdict(Outcomes)
        self._reporting: asyncio.Task[None] | None = None

    async def admit(self, wishes: Sequence[Wish]) -> list[Verdict]:
        """A verdict for each wish. One round trip to Redis for all of them; none while Redis is away."""
        if not wishes:
            return []
        await self._tell()
        admissions = await self._admissions(wishes)
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

    async def _admissions(self, wishes: Sequence[Wish]) -> list[tuple[int, Admission]]:
        if time.monotonic() >= self._alone_until:
            try:
                admissions = await self._shared(wishes)
            except Unavailable:
                self._go_alone()
            else:
                self._come_back()
                return admissions
        return [
            self._local.admit(
                wish.key.redis_key(),
                version=wish.version,
                wanted=wish.wanted,
                pace=Pace.of(wish.limit, shared_by=self._fleet.size),
            )
            for wish in wishes
        ]

    async def _shared(self, wishes: Sequence[Wish]) -> list[tuple[int, Admission]]:
        await self._fleet.announce()
        calls = []
        for wish in wishes:
            pace = Pace.of(wish.limit)
            arguments = (wish.version, wish.wanted, pace.interval, pace.burst, self._policy.probe_for)
            calls.append(([wish.key.redis_key()], arguments))
        return [_admission(answer) for answer in await self._run(self._admit, calls)]

    async def _run(self, script: Script, calls: Sequence[ScriptCall]) -> list[Any]:
        """Raises:
        Unavailable: Redis is away, or refuses to write (it is full).
        """
        answers = await self._redis.run_many(script, calls)
        refusal = next((answer for answer in answers if isinstance(answer, Exception)), None)
        if refusal is not None:
            raise Unavailable("REDIS_UNAVAILABLE", "Redis refused the script") from refusal
        return answers

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
            # Whoever is ready in this turn of the loop joins the report.
            await asyncio.sleep(0)
            await self._tell()
        finally:
            self._reporting = None

    async def _tell(self) -> None:
        """What providers answered, to Redis, or to ourselves while it is away. One round trip."""
        if not self._pending:
            return
        pending, self._pending = self._pending, defaultdict(Outcomes)
        for key, (before, after) in (await self._told(pending)).items():
            self._announce(key, before, after)

    async def _told(self, pending: dict[RouteKey, Outcomes]) -> dict[RouteKey, tuple[int, int]]:
        """When each circuit was and is open until."""
        if time.monotonic() >= self._alone_until:
            try:
                calls = [([key.redis_key()], self._report_arguments(o)) for key, o in pending.items()]
                answers = await self._run(self._report, calls)
            except Unavailable:
                self._go_alone()
            else:
                return {key: (a[1], a[2]) for key, a in zip(pending, answers, strict=True)}
        return {
            key: self._local.report(
                key.redis_key(),
                succeeded=outcomes.succeeded,
                failed=outcomes.failed,
                pause=int(outcomes.pause * MICROSECONDS),
            )
            for key, outcomes in pending.items()
        }

    def _report_arguments(self, outcomes: Outcomes) -> tuple[int, ...]:
        return (
            int(outcomes.succeeded),
            outcomes.failed,
            int(outcomes.pause * MICROSECONDS),
            self._policy.failures,
            self._policy.open_for,
        )

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

    def _go_alone(self) -> None:
        if not self._alone:
            get_logger().warning("provider_limits_local", count=self._fleet.size)
        self._alone = True
        self._alone_until = time.monotonic() + _ALONE_SECONDS
        LOCAL.set(1)

    def _come_back(self) -> None:
        if self._alone:
            get_logger().warning("provider_limits_shared")
        self._alone = False
        LOCAL.set(0)


def _admission(answer: Sequence[Any]) -> tuple[int, Admission]:
    now, granted, reason, first_at, interval, troubled = answer
    held = Held(reason.decode()) if reason else None
    return now, Admission(granted, held, first_at, interval, bool(troubled))


def _verdict(now: int, admission: Admission) -> Verdict:
    if admission.reason is None:
        return Verdict(admission.granted)
    first_wait = (admission.first_at - now) / MICROSECONDS
    return Verdict(admission.granted, admission.reason, first_wait, admission.interval / MICROSECONDS)
