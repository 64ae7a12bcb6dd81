"""Figures of limits and circuits in one worker. Labels are names of providers, never tenants."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge

HELD: Final = Counter(
    "leo_deliveries_held",
    "Deliveries that were told to come again, by provider and reason",
    ["provider", "reason"],
)
CIRCUITS: Final = Gauge(
    "leo_provider_circuits_open",
    "Accounts that a worker knows to be left alone, by provider",
    ["provider"],
    multiprocess_mode="livemax",
)
LOCAL: Final = Gauge(
    "leo_provider_limits_local",
    "1 while Redis is away and a worker keeps to its own part of every limit",
    multiprocess_mode="livemax",
)
