"""How long a provider asks us to wait."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from server.platform.clock import utc_now

LONGEST_SECONDS: Final = 86_400.0
"""No wish for a longer wait is taken at its word."""

_NUMBER: Final = re.compile(r"\d{1,12}(\.\d{1,9})?")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from the header Retry-After, a number or a date; None where there is none."""
    value = headers.get("retry-after", "").strip()
    if _NUMBER.fullmatch(value):
        return bounded(float(value))
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    return until(when if when.tzinfo else when.replace(tzinfo=UTC))


def until(when: datetime) -> float:
    """Seconds from now to then."""
    return bounded((when - utc_now()).total_seconds())


def bounded(seconds: float) -> float:
    """At least none, at most a day."""
    return min(max(seconds, 0.0), LONGEST_SECONDS)
