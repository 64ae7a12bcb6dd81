"""Figures of limits and circuits in one worker. Labels are names of providers, never tenants."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class LimitsTelemetry:
    """What was held back, and what is open.

    Args:
        registry: where the figures are read from.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.held = Counter(
            "leo_deliveries_held",
            "Deliveries that were told to come again, by provider and reason",
            ["provider", "reason"],
            registry=registry,
        )
        self.circuits = Gauge(
            "leo_provider_circuits_open",
            "Accounts that this worker knows to be left alone, by provider",
            ["provider"],
            registry=registry,
        )
        self.local = Gauge(
            "leo_provider_limits_local",
            "1 while Redis is away and this worker keeps to its own part of every limit",
            registry=registry,
        )
