"""What an active rule remembers between ticks. It survives a restart, with the commit of the ticks that changed it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class Phase(StrEnum):
    """Where a rule is on its way to the next firing."""

    ARMED = "armed"
    HOLDING = "holding"
    FIRED = "fired"
    COOLING = "cooling"


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a rule remembers.

    Args:
        phase: FIRED until it has cleared, then COOLING until its cooldown is over.
        since_us: HOLDING: time of the tick since which it holds; FIRED and COOLING: of the tick that it fired at.
        level_nanos: HOLDING: the price that must not be left again, in the direction that the rule does not want.
        reference_nanos: HOLDING: the price that the first tick was compared with; 0 for none but the rule's own.
        day: FIRED: the number of the day of that tick.
    """

    phase: Phase = Phase.ARMED
    since_us: int = 0
    level_nanos: int = 0
    reference_nanos: int = 0
    day: int = 0

    def document(self) -> dict[str, Any] | None:
        """As it is stored; None for an armed rule, which remembers nothing."""
        if self.phase is Phase.ARMED:
            return None
        document: dict[str, Any] = {"phase": self.phase, "since_us": self.since_us}
        for name in ("level_nanos", "reference_nanos", "day"):
            if value := getattr(self, name):
                document[name] = value
        return document

    @classmethod
    def from_document(cls, document: Mapping[str, Any] | None) -> Runtime:
        """Out of what is stored."""
        if document is None:
            return ARMED
        return cls(**{**document, "phase": Phase(document["phase"])})


ARMED: Final = Runtime()
