"""Between a message that is ready and its sending: may it go now, and if not, when does it come again?"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from server.dispatch.channels.channel import Channel
from server.dispatch.claims import Attempt, Fact, Status, Step, TaskEnd, TaskStatus, no_later
from server.dispatch.credentials.directory import Route, Routes
from server.dispatch.digests import spread
from server.dispatch.limits.shares import Shares
from server.dispatch.limits.wishes import Gate, RouteKey, Verdict, Wish

_FAULT_SECONDS: Final = 60.0
_NOT_READY_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Prepared:
    """A task with its next step, and the channels that it may still travel over.

    Args:
        route: what its attempt is sent by; None where nothing is sent. It holds a slot until it is given back.
    """

    step: Step
    channels: tuple[str, ...]
    route: Route | None = None


class Admission:
    """Lets as many attempts through as their accounts and this process may take now; defers the others.

    Args:
        gate: limits and circuits of accounts, for the whole fleet.
    """

    def __init__(self, *, gate: Gate) -> None:
        self._gate = gate
        self._shares = Shares()
        self._away: set[Channel] = set()

    def slots(self, adapters: Sequence[Channel]) -> int:
        """How many messages a queue may claim: the slots of those adapters that are used; at first of the first."""
        used = [each for each in adapters if self._shares.in_use(each.provider)] or list(adapters[:1])
        return sum(each.slots for each in used)

    def note_ready(self, adapter: Channel, ready: bool) -> None:
        """Remember whether messages can be handed over to an adapter."""
        (self._away.discard if ready else self._away.add)(adapter)

    async def admit(
        self, tenant_id: UUID, prepared: Sequence[Prepared], routes: Routes, now: datetime
    ) -> list[Prepared]:
        """The same tasks; attempts that may not be sent now are deferred. At most one round trip to Redis.

        Every attempt that is left holds a slot: see `give_back`.
        """
        result = list(prepared)
        groups: dict[str, list[int]] = defaultdict(list)
        for position, each in enumerate(prepared):
            if each.step.attempt is not None:
                groups[each.step.attempt.channel].append(position)
        for channel, positions in groups.items():
            groups[channel] = self._within_process(tenant_id, routes[channel], positions, result, now)
        await self._within_fleet(tenant_id, routes, groups, result, now)
        return result

    def give_back(self, tenant_id: UUID, prepared: Prepared, seconds: float | None = None) -> None:
        """The slot of an attempt is free again.

        Args:
            seconds: how long sending took; None when it was not sent.
        """
        if prepared.route is not None:
            self._shares.give_back(prepared.route.adapter.provider, tenant_id, 1, seconds)

    def _within_process(
        self, tenant_id: UUID, route: Route, positions: list[int], result: list[Prepared], now: datetime
    ) -> list[int]:
        """Those that have a slot; the others are deferred."""
        adapter = route.adapter
        if route.fault is not None:
            _defer(result, positions, Verdict(0, None, _FAULT_SECONDS), route.fault, now)
            return []
        if adapter in self._away:
            _defer(result, positions, Verdict(0, None, _NOT_READY_SECONDS), None, now)
            return []
        clock = asyncio.get_running_loop().time()
        verdict = self._shares.take(adapter.provider, adapter.slots, tenant_id, len(positions), clock)
        for position in positions[: verdict.granted]:
            result[position] = replace(result[position], route=route)
        _defer(result, positions[verdict.granted :], verdict, None, now)
        return positions[: verdict.granted]

    async def _within_fleet(
        self,
        tenant_id: UUID,
        routes: Routes,
        groups: Mapping[str, list[int]],
        result: list[Prepared],
        now: datetime,
    ) -> None:
        wanting = [(routes[channel], positions) for channel, positions in groups.items() if positions]
        wishes = [
            Wish(route_key(tenant_id, route), route.limit, route.credential.version, len(positions))
            for route, positions in wanting
        ]
        try:
            verdicts = await self._gate.admit(wishes)
        except BaseException:
            for each in result:
                self.give_back(tenant_id, each)
            raise
        for (_, positions), verdict in zip(wanting, verdicts, strict=True):
            held = positions[verdict.granted :]
            for position in held:
                self.give_back(tenant_id, result[position])
            _defer(result, held, verdict, verdict.reason, now)


def route_key(tenant_id: UUID, route: Route) -> RouteKey:
    """Under what name the gate knows the account."""
    return RouteKey(tenant_id, route.adapter.name, route.adapter.provider)


def _defer(
    result: list[Prepared], positions: Sequence[int], verdict: Verdict, reason: str | None, now: datetime
) -> None:
    """Put deferred steps in the places of attempts. Without a reason nothing is recorded: they come soon again."""
    for order, position in enumerate(positions):
        before = result[position]
        attempt = before.step.attempt
        assert attempt is not None
        due_at = no_later(now + timedelta(seconds=verdict.wait(order)), attempt.valid_until)
        end = TaskEnd(attempt.subject.task_id, TaskStatus.PENDING, due_at)
        step = spread(Step([_deferred(attempt, reason)] if reason else [], None, end), attempt)
        facts = [*before.step.facts, *step.facts]
        result[position] = Prepared(replace(step, facts=facts), before.channels)


def _deferred(attempt: Attempt, reason: str) -> Fact:
    """A fact about the attempt before: this one has not begun."""
    return Fact(
        subject=attempt.subject,
        channel=attempt.channel,
        delivery_key=attempt.delivery_key,
        attempt=attempt.attempt - 1,
        status=Status.DEFERRED,
        reason=reason,
        series=attempt.series,
    )
