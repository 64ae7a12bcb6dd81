"""The only place that reads the time of day; pure code gets it as a value."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The present time, with its zone."""
    return datetime.now(UTC)
