"""A rule: which price of which instrument somebody waits for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from server.platform.ids import content_id
from server.validation import Violations

LARGEST_PRICE: Final = 2**63 - 1
_LONGEST_ID: Final = 200
_LONGEST_SYMBOL: Final = 64
_LONGEST_NOTE: Final = 500


class Operator(StrEnum):
    """What a price must do."""

    ABOVE = "above"
    BELOW = "below"
    CROSSES = "crosses"


class Direction(StrEnum):
    """Which way a price goes."""

    UP = "up"
    DOWN = "down"


class Source(StrEnum):
    """Who made a rule."""

    USER_MANUAL = "USER_MANUAL"
    AI_AGENT = "AI_AGENT"


class RuleStatus(StrEnum):
    """How far a rule is, as it stands in `alert_rules`."""

    ACTIVE = "ACTIVE"
    TRIGGERED = "TRIGGERED"
    DISABLED = "DISABLED"


_DIRECTION_OF: Final = {Operator.ABOVE: Direction.UP, Operator.BELOW: Direction.DOWN}


@dataclass(frozen=True, slots=True)
class Logic:
    """What a rule waits for.

    Args:
        operator: None where the caller gave none.
        price_nanos: in 1e-9 units.
        direction: None where the caller gave none.
    """

    operator: Operator | None
    price_nanos: int
    direction: Direction | None = None

    def check(self, violations: Violations) -> None:
        """Note every fault."""
        if self.operator is None:
            violations.add("operator", "is required: ABOVE, BELOW or CROSSES")
        violations.between("price_nanos", self.price_nanos, 1, LARGEST_PRICE)
        if self.operator is Operator.CROSSES and self.direction is None:
            violations.add("direction", "is required for CROSSES: UP or DOWN")
        if self.operator in _DIRECTION_OF and self.direction is not None:
            violations.add("direction", "is for CROSSES alone; leave it out")

    def document(self) -> dict[str, str | int]:
        """The logic as it is stored; equal logic gives an equal document. Only of a checked one."""
        assert self.operator is not None
        direction = self.direction or _DIRECTION_OF[self.operator]
        return {"operator": self.operator, "direction": direction, "price_nanos": self.price_nanos}


@dataclass(frozen=True, slots=True)
class AlertRuleInput:
    """A rule as it is put.

    Args:
        source: None where the caller gave none.
    """

    profile_id: str
    symbol: str
    logic: Logic
    source: Source | None
    note: str

    def check(self, violations: Violations) -> None:
        """Note every fault."""
        violations.text("profile_id", self.profile_id, maximum=_LONGEST_ID)
        violations.text("symbol", self.symbol, maximum=_LONGEST_SYMBOL)
        self.logic.check(violations.under("logic"))
        if self.source is None:
            violations.add("source", "is required: USER_MANUAL or AI_AGENT")
        violations.text("note", self.note, maximum=_LONGEST_NOTE, required=False)

    def rule_id(self, tenant_id: UUID, *, own_instrument: bool) -> str:
        """Id of the rule: whom it alerts, on which instrument, for what. Only of a checked one."""
        content = {
            "profile_id": self.profile_id,
            "symbol": self.symbol,
            "own_instrument": own_instrument,
            "logic": self.logic.document(),
        }
        return content_id("alert_rule", tenant_id, content)


@dataclass(frozen=True, slots=True)
class AlertRule:
    """A stored rule.

    Args:
        own_instrument: whether the instrument is the tenant's own, else a global one.
        generation: how often it was armed, from 1.
        last_fired_at: time of the tick that it last fired at; None where it never did.
        last_fired_price_nanos: price of that tick in 1e-9 units.
    """

    rule_id: str
    profile_id: str
    symbol: str
    own_instrument: bool
    logic: Logic
    source: Source
    note: str
    status: str
    generation: int
    last_fired_at: datetime | None
    last_fired_price_nanos: int | None
    created_at: datetime
