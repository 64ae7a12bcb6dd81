"""A marketing event that is not in force: checked, compiled, and put among the rules of some moment. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import orjson

from server.conditions import parse
from server.contact_policy import LONGEST_TOPIC, LONGEST_WINDOW_SECONDS, ContactPolicy, FrequencyCap
from server.decisions.bundle import compile_bundle
from server.decisions.model import Bundle, Rule
from server.errors import InvalidInput
from server.validation import Violations

# After every id that is a hash: at equal priority the draft comes last.
DRAFT_ID: Final = "~draft"
_MOST_CHANNELS: Final = 10
_HIGHEST_PRIORITY: Final = 1_000_000
_ALWAYS: Final = {"status": "active", "start_at": None, "end_at": None}


@dataclass(frozen=True, slots=True)
class Draft:
    """A definition to try out.

    Args:
        campaign_id: whose audience, caps and quiet hours it gets.
        event_name: it stands in for the campaign's definition of this name, where there is one.
        trigger_event_type, topic: None for every type, and for no topic.
        condition: JSON; empty always holds.
        frequency_caps: instead of the campaign's; without any, those of the campaign count.
    """

    campaign_id: str
    event_name: str
    channels: tuple[str, ...]
    trigger_event_type: str | None = None
    topic: str | None = None
    condition: bytes = b""
    priority: int = 0
    cooldown_seconds: int = 0
    start_at: datetime | None = None
    end_at: datetime | None = None
    frequency_caps: tuple[FrequencyCap, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """By what definitions are the same message, whatever their version."""
        return self.campaign_id, self.event_name

    def check(self, violations: Violations) -> None:
        """Note every fault, those of the condition under its own paths."""
        violations.identifier("campaign_id", self.campaign_id)
        violations.text("event_name", self.event_name, maximum=200)
        violations.text("trigger_event_type", self.trigger_event_type or "", maximum=100, required=False)
        violations.text("topic", self.topic or "", maximum=LONGEST_TOPIC, required=False)
        violations.between("priority", self.priority, -_HIGHEST_PRIORITY, _HIGHEST_PRIORITY)
        violations.between("cooldown_seconds", self.cooldown_seconds, 0, LONGEST_WINDOW_SECONDS)
        violations.period(self.start_at, self.end_at)
        violations.count("channels", self.channels, lowest=1, highest=_MOST_CHANNELS)
        for place, channel in enumerate(self.channels[:_MOST_CHANNELS]):
            violations.channel(f"channels[{place}]", channel)
        ContactPolicy(self.frequency_caps).check(violations)
        self._check_condition(violations)

    def _check_condition(self, violations: Violations) -> None:
        try:
            if self.condition:
                parse(self.condition)
        except InvalidInput as faults:
            violations.include("condition", faults.violations)

    def document(self) -> dict[str, Any]:
        """As a definition of a rule bundle."""
        return {
            "marketing_event_id": DRAFT_ID,
            "campaign_id": self.campaign_id,
            "event_name": self.event_name,
            "event_type": "TRIGGER",
            "trigger_event_type": self.trigger_event_type,
            "topic": self.topic,
            "channels": self.channels,
            "condition": orjson.loads(self.condition) if self.condition else None,
            "priority": self.priority,
            "cooldown_seconds": self.cooldown_seconds,
            "start_at": self.start_at,
            "end_at": self.end_at,
        }


def with_draft(base: Bundle, draft: Draft, campaign: Mapping[str, Any]) -> Bundle:
    """The rules of a moment, with the draft among them.

    Args:
        base: the rules; their other definitions stay as they are.
        draft: its campaign counts as active at all times.
        campaign: the campaign as it is now, used where the base does not know it yet.
    """
    content = orjson.loads(base.document)
    known = (c for c in content["campaigns"] if c["campaign_id"] == draft.campaign_id)
    own = {**next(known, campaign), **_ALWAYS}
    if draft.frequency_caps:
        own["frequency_caps"] = ContactPolicy(draft.frequency_caps).caps_document()
    alone = {"tenant": content["tenant"], "campaigns": [own], "marketing_events": [draft.document()]}
    return _merged(base, compile_bundle(DRAFT_ID, base.version, orjson.dumps(alone).decode()), draft)


def _merged(base: Bundle, alone: Bundle, draft: Draft) -> Bundle:
    rule = alone.by_id[DRAFT_ID]
    trigger = draft.trigger_event_type
    types = {*base.by_event_type, *([trigger] if trigger else [])}
    return replace(
        base,
        by_event_type={
            event_type: _ranked(
                base.by_event_type.get(event_type, base.always),
                [rule] if trigger in (None, event_type) else [],
                draft,
            )
            for event_type in types
        },
        always=_ranked(base.always, [] if trigger else [rule], draft),
        profile_columns=base.profile_columns | alone.profile_columns,
        raw_attributes=base.raw_attributes | alone.raw_attributes,
        windows=base.windows | alone.windows,
        symbols=base.symbols | alone.symbols,
        longest_window_us=max(base.longest_window_us, alone.longest_window_us),
    )


def _ranked(rules: Iterable[Rule], added: Sequence[Rule], draft: Draft) -> tuple[Rule, ...]:
    """Without the definition that the draft stands in for, and best first as ever."""
    others = [rule for rule in rules if (rule.campaign_id, rule.event_name) != draft.key]
    return tuple(sorted([*others, *added], key=lambda rule: (-rule.priority, rule.marketing_event_id)))
