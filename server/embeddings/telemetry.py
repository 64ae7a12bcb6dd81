"""Figures of embedding. Labels are names of our source, never tenants or texts."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter

EMBEDDINGS: Final = Counter(
    "leo_embeddings",
    "Jobs by what they were about and how they ended: embedded, unchanged, removed, retried, dead or put_off",
    ["kind", "end"],
)
