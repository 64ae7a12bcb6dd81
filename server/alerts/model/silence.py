"""A silence: whose alerts make no message until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from server.platform.ids import content_id
from server.validation import Violations

LONGEST_REASON: Final = 500
_LONGEST: Final = timedelta(days=366)
_LONGEST_ID: Final = 200
_LONGEST_SYMBOL: Final = 64


class TargetKind(StrEnum):
    """What a silence is about; also the name of the field that says so."""

    RULE = "rule_id"
    SYMBOL = "symbol"
    PROFILE = "profile_id"


_WORDS: Final = {TargetKind.RULE: "rule", TargetKind.SYMBOL: "symbol", TargetKind.PROFILE: "profile"}
_KINDS: Final = {word: kind for kind, word in _WORDS.items()}


@dataclass(frozen=True, slots=True)
class Target:
    """One rule, all rules on a symbol, or all rules of a profile."""

    kind: TargetKind
    value: str

    @classmethod
    def parse(cls, text: str) -> Target:
        """What `text` gave."""
        word, _, value = text.partition(":")
        return cls(_KINDS[word], value)

    @property
    def text(self) -> str:
        """As it is stored, e.g. `symbol:AAPL`; `fire_alert_rules` compares with it."""
        return f"{_WORDS[self.kind]}:{self.value}"

    def check(self, violations: Violations) -> None:
        """Note every fault."""
        if self.kind is TargetKind.RULE:
            violations.sha256(self.kind, self.value)
        else:
            longest = _LONGEST_SYMBOL if self.kind is TargetKind.SYMBOL else _LONGEST_ID
            violations.text(self.kind, self.value, maximum=longest)


@dataclass(frozen=True, slots=True)
class SilenceInput:
    """A silence as it is asked for.

    Args:
        target: None where the caller gave none.
        ends_at: None where the caller gave none.
        requested_by: subject of the caller's token.
    """

    target: Target | None
    ends_at: datetime | None
    reason: str
    requested_by: str

    def check(self, violations: Violations, *, ends_at_field: str = "ends_at") -> None:
        """Note every fault but the time, which is checked where the silence is new."""
        if self.target is None:
            violations.add("target", "is required: rule_id, symbol or profile_id")
        else:
            self.target.check(violations)
        if self.ends_at is None:
            violations.add(ends_at_field, "is required")
        violations.moment(ends_at_field, self.ends_at)
        violations.text("reason", self.reason, maximum=LONGEST_REASON, required=False)

    def check_end(self, violations: Violations, now: datetime, *, field: str = "ends_at") -> None:
        """Note an end that is past or too far ahead. Only of a checked one."""
        assert self.ends_at is not None
        if not now < self.ends_at <= now + _LONGEST:
            violations.add(field, f"must be ahead, by at most {_LONGEST.days} days")

    def silence_id(self, tenant_id: UUID) -> str:
        """The same request of the same caller gives the same id. Only of a checked one."""
        assert self.target is not None
        assert self.ends_at is not None
        content = {
            "target": self.target.text,
            "ends_at": self.ends_at.isoformat(),
            "reason": self.reason,
            "requested_by": self.requested_by,
        }
        return content_id("alert_silence", tenant_id, content)


@dataclass(frozen=True, slots=True)
class Silence:
    """A stored silence.

    Args:
        active: whether it was in force when it was read.
        ended_at: when somebody ended it before its time.
    """

    silence_id: str
    target: Target
    ends_at: datetime
    reason: str
    requested_by: str
    created_at: datetime
    active: bool
    ended_at: datetime | None
    ended_by: str
