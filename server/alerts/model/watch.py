"""A rule with modifiers, or of a kind that needs more than the price: from armed over holding to fired, and back.

It may be looked at on any tick: only ticks at which one of its `waits` is reached can change it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from uuid import UUID

from server.alerts.model import conditions
from server.alerts.model.conditions import Met, Wait
from server.alerts.model.logic import Logic, Operator
from server.alerts.model.runtime import ARMED, Phase, Runtime
from server.alerts.model.view import TIME, View
from server.trading_calendar import Calendar, Hours

_SECOND_US: Final = 1_000_000
_TENANT_BYTES: Final = 16


class Turn(NamedTuple):
    """What a tick makes of a rule.

    Args:
        fired: how it was met, where it fires; else None.
    """

    runtime: Runtime
    fired: Met | None = None


@dataclass(frozen=True, slots=True)
class WatchedRule:
    """What of a rule stays the same from tick to tick.

    Args:
        key: tenant and rule id.
        rearms: whether it goes on after it has fired.
        expires_at_us: it does not fire from then on; None for no end.
    """

    key: bytes
    logic: Logic
    rearms: bool = False
    cooldown_seconds: int = 0
    expires_at_us: int | None = None

    @property
    def tenant_id(self) -> UUID:
        """Whose rule it is."""
        return UUID(bytes=self.key[:_TENANT_BYTES])

    @property
    def rule_id(self) -> str:
        """Its id: 64 hexadecimal digits."""
        return self.key[_TENANT_BYTES:].hex()

    def look(self, runtime: Runtime, view: View) -> Turn:
        """What a tick makes of it."""
        if self._is_over(view.moment_us):
            return Turn(runtime)
        runtime = self._freed(runtime, view)
        if not view.span(self._hours(view.calendar)).open:
            return Turn(runtime)
        if runtime.phase is Phase.HOLDING:
            held = view.moment_us >= self._held_at(runtime)
            return self._fire(view, Met(0, runtime.reference_nanos)) if held else Turn(runtime)
        if runtime.phase is not Phase.ARMED:
            return Turn(runtime)
        met = conditions.met(self.logic, view)
        if met is None:
            return Turn(runtime)
        if not self.logic.hold_seconds:
            return self._fire(view, met)
        return Turn(Runtime(Phase.HOLDING, view.moment_us, met.level_nanos, met.reference_nanos))

    def waits(self, runtime: Runtime, view: View) -> list[Wait]:
        """What has to be reached before a later tick can change it."""
        if self._is_over(view.moment_us):
            return []
        if runtime.phase is Phase.FIRED:
            return conditions.waits_to_clear(self.logic, view)
        if runtime.phase is Phase.COOLING:
            return [Wait(TIME, True, self._cooled_at(runtime))]
        span = view.span(self._hours(view.calendar))
        if runtime.phase is Phase.HOLDING:
            held_at = self._held_at(runtime)
            next_look = held_at if held_at > view.moment_us else span.until_us
            return [*conditions.waits_to_end(self.logic, runtime, view), Wait(TIME, True, next_look)]
        return (
            conditions.waits_to_be_met(self.logic, view) if span.open else [Wait(TIME, True, span.until_us)]
        )

    def _freed(self, runtime: Runtime, view: View) -> Runtime:
        """What the tick ends: the wait for clearing, the cooldown, the holding."""
        if runtime.phase is Phase.HOLDING and not conditions.still_met(self.logic, runtime, view):
            return ARMED
        if runtime.phase is Phase.FIRED and conditions.cleared(self.logic, runtime, view):
            runtime = Runtime(Phase.COOLING, runtime.since_us)
        if runtime.phase is Phase.COOLING and view.moment_us >= self._cooled_at(runtime):
            return ARMED
        return runtime

    def _fire(self, view: View, met: Met) -> Turn:
        return Turn(Runtime(Phase.FIRED, view.moment_us, day=view.past.day), met)

    def _is_over(self, moment_us: int) -> bool:
        return self.expires_at_us is not None and moment_us >= self.expires_at_us

    def _held_at(self, runtime: Runtime) -> int:
        return runtime.since_us + self.logic.hold_seconds * _SECOND_US

    def _cooled_at(self, runtime: Runtime) -> int:
        return runtime.since_us + self.cooldown_seconds * _SECOND_US

    def _hours(self, calendar: Calendar) -> Hours | None:
        active = self.logic.active_hours
        if active is None:
            return None
        return calendar.hours if active.market else active.hours


@dataclass(slots=True, eq=False)
class Watch:
    """A rule on its way.

    Args:
        waits: where it stands in the agenda of its instrument.
    """

    rule: WatchedRule
    generation: int
    runtime: Runtime = ARMED
    waits: list[Wait] = field(default_factory=list)

    @property
    def window_seconds(self) -> int:
        """Length of the window that it needs; 0 for none."""
        return self.rule.logic.window_seconds

    @property
    def shows_volume(self) -> bool:
        """Whether the volume of the day is what it fires for."""
        return self.rule.logic.operator is Operator.VOLUME_ABOVE

    @classmethod
    def from_document(cls, key: bytes, generation: int, document: Mapping[str, Any]) -> Watch:
        """Out of what `load_alert_rules` gives as details.

        Raises:
            ValueError, KeyError, TypeError: it is none of this version's.
        """
        rule = WatchedRule(
            key,
            Logic.from_document(document["logic"]),
            document["rearm"],
            document["cooldown_seconds"],
            document["expires_at_us"],
        )
        return cls(rule, generation, Runtime.from_document(document["runtime"]))
