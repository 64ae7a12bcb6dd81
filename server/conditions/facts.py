"""What a condition is evaluated on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from server.conditions.windows import WindowValue

_NOTHING: Mapping[str, object] = {}
_NO_MARKET: Mapping[str, Mapping[str, object]] = {}
_NO_AGGREGATES: Mapping[str, WindowValue] = {}


class Facts:
    """Everything that a condition may read; nothing else is consulted, no clock either.

    Args:
        occurred_at: the instant of evaluation: the event's time. The only clock.
        profile: columns of the cdp_profiles row, JSON columns decoded (numbers as int, float or Decimal).
        segments: the profile's segments; by default those of the row.
        event_type: type of the triggering event, or None where there is none.
        event: decoded attributes of the triggering event.
        market: rows of market_snapshot (`price`, `change_percent`) by symbol.
        aggregates: values by `Window.key`, as `windows.measure` gives them.
    """

    __slots__ = (
        "aggregates",
        "event",
        "event_type",
        "market",
        "occurred_at",
        "profile",
        "raw_attributes",
        "segments",
    )

    def __init__(
        self,
        *,
        occurred_at: datetime,
        profile: Mapping[str, object] = _NOTHING,
        segments: Collection[str] | None = None,
        event_type: str | None = None,
        event: Mapping[str, object] = _NOTHING,
        market: Mapping[str, Mapping[str, object]] = _NO_MARKET,
        aggregates: Mapping[str, WindowValue] = _NO_AGGREGATES,
    ) -> None:
        # Arithmetic on a zone with daylight saving is wall-clock arithmetic: only UTC counts real seconds.
        self.occurred_at = occurred_at if occurred_at.tzinfo is UTC else occurred_at.astimezone(UTC)
        self.profile = profile
        self.raw_attributes: object = profile.get("raw_attributes")
        self.segments: object = profile.get("segments") if segments is None else segments
        self.event_type = event_type
        self.event = event
        self.market = market
        self.aggregates = aggregates
