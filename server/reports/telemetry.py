"""Figures of the counters. Labels are names of our source, never tenants."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter

DRIFT: Final = Counter(
    "leo_metrics_drift",
    "By how much counters differed from the delivery log when they were repaired, in facts",
)
ANSWERS: Final = Counter(
    "leo_metrics_answers", "Answers of GetActivationMetrics, by where they came from", ["source"]
)
