"""From the rows that were loaded to what a decision reads: the profile's state and the facts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import orjson

from server.conditions import Facts
from server.conditions.windows import WindowValue
from server.decisions.arms.model import NO_ARMS, Arm, Holdout
from server.decisions.model import (
    Bundle,
    Columns,
    DecisionInputs,
    Event,
    ProfileState,
    Screened,
    Verdict,
)

_JSON_COLUMNS: Final = frozenset(
    {"identities", "job_titles", "interests", "data_labels", "portfolio_snapshot"}
)
_TEMPLATE_LISTS: Final = frozenset({"job_titles", "interests", "segments"})
_TEMPLATE_COLUMNS: Final = _TEMPLATE_LISTS | {
    *("ext_id", "primary_email", "mobile_number", "living_location", "language", "time_zone")
}
# Of these it is loaded only whether they are there.
_PRESENCE: Final = {"primary_email": "has_email", "mobile_number": "has_mobile_number"}
# Channels whose address is a column of the profile unless `channel_addresses` names another.
_EMAIL_CHANNELS: Final = frozenset({"email"})
_PHONE_CHANNELS: Final = frozenset({"sms", "whatsapp", "zalo"})
_BY_COLUMN: Final = {
    (False, False): frozenset[str](),
    (True, False): _EMAIL_CHANNELS,
    (False, True): _PHONE_CHANNELS,
    (True, True): _EMAIL_CHANNELS | _PHONE_CHANNELS,
}


@dataclass(slots=True)
class Considered:
    """An event on its way through the batch, with all that was loaded for it.

    Args:
        sends: what was sent to the profile since the earliest time that a limit reaches back to, as the JSON list
            of `load_decisions`; None for nothing.
        erased: whether the profile was erased.
    """

    event: Event
    profile: ProfileState | None
    facts: Facts | None
    aggregates: Mapping[str, WindowValue] = field(default_factory=dict)
    market: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    arms: Mapping[str, Arm] = field(default_factory=lambda: NO_ARMS)
    holdout: Holdout | None = None
    screened: list[Screened] = field(default_factory=list)
    sends: str | None = None
    erased: bool = False

    def inputs(self, verdicts: Mapping[str, Verdict], decided_at: datetime) -> DecisionInputs:
        """All that the decision may use, with the answers of the reservation and the clock."""
        return DecisionInputs(
            self.event,
            self.profile,
            self.facts,
            verdicts,
            decided_at,
            self.arms,
            self.holdout,
            self.erased,
        )


def profile_state(row: Columns, bundle: Bundle) -> ProfileState | None:
    """The profile as the bundle's conditions may read it, or None when the tenant has none of that id."""
    if row["profile_id"] is None:
        return None
    return ProfileState(
        profile_id=row["profile_id"],
        attributes=_attributes(row, bundle),
        segments=_segments(row["segments"]),
        reachable=_reachable(row),
        consented=frozenset(row["consented"] or ()),
        time_zone=row["time_zone"],
        language=row["language"] if bundle.templates.any else None,
        lacks=bundle.templates.lacks(_seen_by_templates(row, bundle))
        if bundle.templates.any
        else frozenset(),
    )


def _seen_by_templates(row: Columns, bundle: Bundle) -> dict[str, Any]:
    """What templates need of the profile: raw attributes under the columns, as whoever sends sees them."""
    names = bundle.templates.profile_names
    raw = orjson.loads(row["raw_attributes"]) if names - _TEMPLATE_COLUMNS else {}
    seen = {name: raw.get(name) for name in names - _TEMPLATE_COLUMNS}
    for name in names & _TEMPLATE_COLUMNS:
        present = _PRESENCE.get(name)
        seen[name] = row[name] if present is None else (name if row[present] else None)
        if name in _TEMPLATE_LISTS:
            seen[name] = orjson.loads(row[name] or "[]")
    return seen


@lru_cache(maxsize=16_384)
def _segments(document: str) -> frozenset[str]:
    """Many profiles are in the same segments."""
    return frozenset(orjson.loads(document))


def _attributes(row: Columns, bundle: Bundle) -> dict[str, Any]:
    """Only what some condition reads: the rest is neither decoded nor stored with the decision."""
    attributes: dict[str, Any] = {}
    for column in bundle.profile_columns:
        value = row[column]
        attributes[column] = orjson.loads(value) if column in _JSON_COLUMNS else value
    if bundle.raw_attributes:
        raw = orjson.loads(row["raw_attributes"])
        attributes["raw_attributes"] = {key: raw[key] for key in bundle.raw_attributes if key in raw}
    return attributes


def _reachable(row: Columns) -> frozenset[str]:
    by_column = _BY_COLUMN[row["has_email"], row["has_mobile_number"]]
    addresses = row["channel_addresses"]
    if addresses == "{}":
        return by_column
    return by_column | {channel for channel, address in orjson.loads(addresses).items() if address}


def facts_of(
    event: Event,
    profile: ProfileState,
    aggregates: Mapping[str, WindowValue],
    market: Mapping[str, Mapping[str, object]],
) -> Facts:
    """What the conditions are evaluated on."""
    return Facts(
        occurred_at=event.occurred_at,
        profile=profile.attributes,
        segments=profile.segments,
        event_type=event.event_type,
        event=event.attributes,
        market=market,
        aggregates=aggregates,
    )
