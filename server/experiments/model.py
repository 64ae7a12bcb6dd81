"""The counters of an experiment, and what of them is settled. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, TypeAlias

HOLDOUT_VARIANT: Final = "holdout"
_EVENTS_AHEAD: Final = timedelta(days=1)
_LATENESS: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Count:
    """Profiles that a variant reached, and those of them that converted."""

    exposures: int
    conversions: int

    def plus(self, other: Count) -> Count:
        """Both together."""
        return Count(self.exposures + other.exposures, self.conversions + other.conversions)


Counts: TypeAlias = Mapping[str, Count]
"""By variant; the holdout under its own name."""


class Counted(NamedTuple):
    """What one variant gained among the profiles that it reached since the last settlement.

    Args:
        settled: whether this part can not change any more.
    """

    variant: str
    settled: bool
    gained: Count


@dataclass(frozen=True, slots=True)
class Measured:
    """An experiment as the job finds it.

    Args:
        settled_until: exposures recorded before are counted for good, in `settled`; None before the first time.
        counts: what is stored, of settled and open exposures together.
    """

    experiment_id: str
    conversion_event_type: str | None
    window: timedelta
    settled_until: datetime | None
    settled: Counts
    counts: Counts


def settles_until(measured: Measured, now: datetime) -> datetime | None:
    """Exposures recorded before this time can not gain a conversion any more, in whole hours.

    An event may be dated a day ahead, the window follows, and a conversion is waited for one day longer.
    """
    settled = (now - _EVENTS_AHEAD - measured.window - _LATENESS).astimezone(UTC)
    hour = settled.replace(minute=0, second=0, microsecond=0)
    return hour if measured.settled_until is None else max(hour, measured.settled_until)


def add_up(settled: Counts, counted: Iterable[Counted]) -> tuple[Counts, Counts]:
    """What is settled now, and all that is counted."""
    whole = dict(settled)
    kept = dict(settled)
    for part in counted:
        whole[part.variant] = whole.get(part.variant, Count(0, 0)).plus(part.gained)
        if part.settled:
            kept[part.variant] = kept.get(part.variant, Count(0, 0)).plus(part.gained)
    return kept, whole


def total_of(counts: Counts) -> Count:
    """All variants together; what was held out reached nobody."""
    sent = [count for variant, count in counts.items() if variant != HOLDOUT_VARIANT]
    return Count(sum(count.exposures for count in sent), sum(count.conversions for count in sent))
