"""Where the states of accounts are: in Redis for the whole fleet, in this process while Redis is away."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from server.dispatch.limits.fleet import FleetSize
from server.dispatch.limits.local import LocalRoutes
from server.dispatch.limits.rules import MICROSECONDS, Admission, CircuitPolicy, Held, Pace
from server.dispatch.limits.telemetry import LOCAL
from server.dispatch.limits.wishes import RouteKey, Wish
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


class RouteStates:
    """Admits and reports in one round trip for all accounts; none while Redis is away, for five seconds each time.

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
        self._alone_until: float | None = None

    async def admit(self, wishes: Sequence[Wish]) -> list[tuple[int, Admission]]:
        """For each wish, the time in microseconds and the admission at it."""
        if self._may_ask():
            try:
                await self._fleet.announce()
                answers = await self._run(self._admit, [self._admit_call(wish) for wish in wishes])
            except Unavailable:
                self._go_alone()
            else:
                self._come_back()
                return [_admission(answer) for answer in answers]
        return [self._admit_alone(wish) for wish in wishes]

    async def report(self, outcomes: Mapping[RouteKey, Outcomes]) -> dict[RouteKey, tuple[int, int]]:
        """For each account, until when its circuit was open, and is open now; 0 for closed."""
        if self._may_ask():
            try:
                calls = [self._report_call(key, each) for key, each in outcomes.items()]
                answers = await self._run(self._report, calls)
            except Unavailable:
                self._go_alone()
            else:
                return {key: (answer[1], answer[2]) for key, answer in zip(outcomes, answers, strict=True)}
        return {key: self._report_alone(key, each) for key, each in outcomes.items()}

    async def _run(self, script: Script, calls: Sequence[ScriptCall]) -> list[Any]:
        """Raises:
        Unavailable: Redis is away, or refuses to write (it is full).
        """
        answers = await self._redis.run_many(script, calls)
        refusal = next((answer for answer in answers if isinstance(answer, Exception)), None)
        if refusal is not None:
            raise Unavailable("REDIS_UNAVAILABLE", "Redis refused the script") from refusal
        return answers

    def _admit_call(self, wish: Wish) -> ScriptCall:
        pace = Pace.of(wish.limit)
        arguments = (wish.version, wish.wanted, pace.interval, pace.burst, self._policy.probe_for)
        return [wish.key.redis_key()], arguments

    def _report_call(self, key: RouteKey, outcomes: Outcomes) -> ScriptCall:
        pause = int(outcomes.pause * MICROSECONDS)
        policy = self._policy
        arguments = (int(outcomes.succeeded), outcomes.failed, pause, policy.failures, policy.open_for)
        return [key.redis_key()], arguments

    def _admit_alone(self, wish: Wish) -> tuple[int, Admission]:
        pace = Pace.of(wish.limit, shared_by=self._fleet.size)
        return self._local.admit(wish.key.redis_key(), version=wish.version, wanted=wish.wanted, pace=pace)

    def _report_alone(self, key: RouteKey, outcomes: Outcomes) -> tuple[int, int]:
        return self._local.report(
            key.redis_key(),
            succeeded=outcomes.succeeded,
            failed=outcomes.failed,
            pause=int(outcomes.pause * MICROSECONDS),
        )

    def _may_ask(self) -> bool:
        return self._alone_until is None or time.monotonic() >= self._alone_until

    def _go_alone(self) -> None:
        if self._alone_until is None:
            get_logger().warning("provider_limits_local", count=self._fleet.size)
        self._alone_until = time.monotonic() + _ALONE_SECONDS
        LOCAL.set(1)

    def _come_back(self) -> None:
        if self._alone_until is not None:
            get_logger().warning("provider_limits_shared")
        self._alone_until = None
        LOCAL.set(0)


def _admission(answer: Sequence[Any]) -> tuple[int, Admission]:
    now, granted, reason, first_at, interval, troubled = answer
    held = Held(reason.decode()) if reason else None
    return now, Admission(granted, held, first_at, interval, bool(troubled))
