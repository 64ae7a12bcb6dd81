"""A rule: whom it alerts, what it waits for on which instrument, and on what terms."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from server.alerts.model.logic import Logic
from server.alerts.model.runtime import ARMED, Runtime
from server.platform.ids import content_id
from server.validation import Violations

_LONGEST_COOLDOWN_SECONDS: Final = 365 * 86_400
_LONGEST_ID: Final = 200
LONGEST_SYMBOL: Final = 64
_LONGEST_NOTE: Final = 500


class Source(StrEnum):
    """Who made a rule."""

    USER_MANUAL = "USER_MANUAL"
    AI_AGENT = "AI_AGENT"


class RuleStatus(StrEnum):
    """How far a rule is, as it stands in `alert_rules`."""

    ACTIVE = "ACTIVE"
    TRIGGERED = "TRIGGERED"
    DISABLED = "DISABLED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class Terms:
    """What of a rule is not part of its id: the last put stands.

    Args:
        rearms: whether it goes on after it has fired; None where the caller said what there is not.
        cooldown_seconds: least time between a firing and the next time that it is armed.
        expires_at: it does not fire from then on; None for no end.
        note: words for the message.
        source: None where the caller gave none.
    """

    source: Source | None
    note: str = ""
    rearms: bool | None = False
    cooldown_seconds: int = 0
    expires_at: datetime | None = None

    def check(self, violations: Violations, now: datetime) -> None:
        """Note every fault."""
        if self.source is None:
            violations.add("source", "is required: USER_MANUAL or AI_AGENT")
        violations.text("note", self.note, maximum=_LONGEST_NOTE, required=False)
        if self.rearms is None:
            violations.add("repeat", "must be ONCE or REARM")
        elif self.cooldown_seconds and not self.rearms:
            violations.add(
                "cooldown_seconds", "is for rules that re-arm; leave it out, or set repeat to REARM"
            )
        else:
            violations.between("cooldown_seconds", self.cooldown_seconds, 0, _LONGEST_COOLDOWN_SECONDS)
        violations.moment("expires_at", self.expires_at)
        if self.expires_at is not None and self.expires_at <= now:
            violations.add("expires_at", "is past; give a later one, or none")


@dataclass(frozen=True, slots=True)
class AlertRuleInput:
    """A rule as it is put."""

    profile_id: str
    symbol: str
    logic: Logic
    terms: Terms

    def check(self, violations: Violations, now: datetime) -> None:
        """Note every fault."""
        violations.text("profile_id", self.profile_id, maximum=_LONGEST_ID)
        violations.text("symbol", self.symbol, maximum=LONGEST_SYMBOL)
        self.logic.check(violations.under("logic"), rearms=self.terms.rearms is True)
        self.terms.check(violations, now)

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
        runtime: where it is on its way to the next firing, as of the last tick.
    """

    rule_id: str
    profile_id: str
    symbol: str
    own_instrument: bool
    logic: Logic
    terms: Terms
    status: str
    generation: int
    last_fired_at: datetime | None
    last_fired_price_nanos: int | None
    created_at: datetime
    runtime: Runtime = ARMED
