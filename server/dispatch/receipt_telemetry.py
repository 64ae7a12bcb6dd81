"""Figures of receipts. Labels are names of providers, never tenants or messages."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter

RECEIPTS: Final = Counter(
    "leo_receipts",
    "Receipts by provider and what became of them: recorded, repeated, kept_aside, matched_later or unmatched",
    ["provider", "state"],
)
