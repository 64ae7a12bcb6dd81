"""What is counted, and how counts are asked for and grouped. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias

from server.validation import Violations

MOST_DAYS: Final = 92
STATUSES: Final = (
    "queued",
    "sent",
    "delivered",
    "read",
    "bounced",
    "failed",
    "suppressed",
    "expired",
    "unknown",
    "cancelled",
)
"""The statuses that are counted; `sending` and `deferred` are steps on the way."""

_EARLIEST: Final = date(1990, 1, 1)


class Dimension(StrEnum):
    """What counts may be told apart by, in the order of an answer."""

    DAY = "day"
    CAMPAIGN = "campaign"
    MARKETING_EVENT = "marketing_event"
    CHANNEL = "channel"


class Source(StrEnum):
    """Where counts come from."""

    CACHE = "cache"
    DATABASE = "database"


class CountKey(NamedTuple):
    """What one counter of a day counts."""

    campaign_id: str
    marketing_event_id: str
    channel: str
    status: str


Counts: TypeAlias = Mapping[CountKey, int]
DayCounts: TypeAlias = Mapping[date, Counts]
Group: TypeAlias = tuple[str, str, str, str]
"""Day, campaign, marketing event and channel; empty where they are not told apart."""


@dataclass(frozen=True, slots=True)
class MetricsRequest:
    """What is asked for, as it came.

    Args:
        since, until: days as text; an empty `until` means today.
        group_by: what to tell apart; None stands for a value that is none.
    """

    since: str
    until: str
    group_by: Sequence[Dimension | None]
    campaign_id: str
    marketing_event_id: str
    channel: str

    @property
    def listing(self) -> list[str]:
        """What names this list and no other one."""
        named = sorted(each for each in self.group_by if each is not None)
        return [self.since, self.until, *named, "", self.campaign_id, self.marketing_event_id, self.channel]

    def days(self, today: date) -> list[date]:
        """The days that are asked for, in their order.

        Raises:
            InvalidInput: the days are none or too many, or a filter or a dimension is none.
        """
        violations = Violations()
        self._check_filters(violations)
        since = _day(violations, "since", self.since)
        until = _day(violations, "until", self.until) if self.until else today
        if since is not None and until is not None and not 0 <= (until - since).days < MOST_DAYS:
            violations.add("until" if self.until else "since", f"must make a span of 1 to {MOST_DAYS} days")
        violations.raise_if_any()
        if since is None or until is None:
            return []
        return [since + timedelta(days=n) for n in range((until - since).days + 1)]

    def matches(self, key: CountKey) -> bool:
        """Whether the filters let this counter pass."""
        wanted = (self.campaign_id, self.marketing_event_id, self.channel)
        return all(not want or want == has for want, has in zip(wanted, key, strict=False))

    def group(self, day: date, key: CountKey) -> Group:
        """Where this counter of this day belongs."""
        told = dict.fromkeys(self.group_by)
        return (
            day.isoformat() if Dimension.DAY in told else "",
            key.campaign_id if Dimension.CAMPAIGN in told else "",
            key.marketing_event_id if Dimension.MARKETING_EVENT in told else "",
            key.channel if Dimension.CHANNEL in told else "",
        )

    def _check_filters(self, violations: Violations) -> None:
        violations.text("campaign_id", self.campaign_id, maximum=100, required=False)
        if self.marketing_event_id:
            violations.sha256("marketing_event_id", self.marketing_event_id)
        if self.channel:
            violations.channel("channel", self.channel)
        for position, dimension in enumerate(self.group_by):
            if dimension is None:
                violations.add(f"group_by[{position}]", "must be a dimension")
            elif dimension in self.group_by[:position]:
                violations.add(f"group_by[{position}]", "was named before")


@dataclass(frozen=True, slots=True)
class Metrics:
    """The counts of one group, by status; those that nothing came to are left out."""

    group: Group
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Counted:
    """Counts by day.

    Args:
        as_of: everything that was recorded up to here is counted.
    """

    days: DayCounts
    source: Source
    as_of: datetime


def grouped(request: MetricsRequest, days: DayCounts) -> list[Metrics]:
    """The groups that have any count, in the order of their names."""
    found: dict[Group, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for day, counts in days.items():
        for key, number in counts.items():
            if number and request.matches(key):
                found[request.group(day, key)][key.status] += number
    return [Metrics(group, dict(counts)) for group, counts in sorted(found.items())]


def differences(expected: Counts, held: Counts) -> dict[CountKey, int]:
    """What to add to each counter that is held, so that it is as expected."""
    keys: Iterable[CountKey] = {**expected, **held}
    changes = {key: expected.get(key, 0) - held.get(key, 0) for key in keys}
    return {key: change for key, change in changes.items() if change}


def _day(violations: Violations, field: str, text: str) -> date | None:
    try:
        parsed = date.fromisoformat(text) if len(text) == 10 else None
    except ValueError:
        parsed = None
    if parsed is None or not _EARLIEST <= parsed < date.max - timedelta(days=MOST_DAYS):
        violations.add(field, f"must be a day from {_EARLIEST} on, as YYYY-MM-DD")
        return None
    return parsed
