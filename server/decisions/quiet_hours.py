"""Quiet hours: they never lose a decision, they move its delivery."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from server.contact_policy import QuietHours


def due_at(moment: datetime, quiet_hours: QuietHours | None, time_zone: str | None) -> datetime:
    """When a delivery that is decided at `moment` may go out.

    Args:
        moment: an instant with a zone.
        quiet_hours: local hours in which nothing is delivered, or None.
        time_zone: IANA name of the profile's zone; UTC where it is unknown.

    Returns:
        `moment` itself outside the quiet hours, otherwise their end, in UTC.
    """
    if quiet_hours is None or not quiet_hours.has_end:
        return moment
    local = moment.astimezone(_zone(time_zone))
    if not _is_quiet(local, quiet_hours):
        return moment
    while _is_quiet(local, quiet_hours):
        local = _next_end(local, quiet_hours)
    return local.astimezone(UTC)


def _next_end(local: datetime, quiet_hours: QuietHours) -> datetime:
    """When the quiet hours end next. An end that the clock skips comes out later, perhaps in the next ones."""
    ends_at = quiet_hours.ends_at
    end = local.replace(hour=ends_at.hour, minute=ends_at.minute, second=0, microsecond=0)
    if end <= local:
        end += timedelta(days=1)
    return end.astimezone(UTC).astimezone(local.tzinfo)


def _is_quiet(local: datetime, quiet_hours: QuietHours) -> bool:
    starts_at, ends_at = quiet_hours.starts_at, quiet_hours.ends_at
    now, today = local.timetz().replace(tzinfo=None), local.isoweekday()
    if starts_at < ends_at:
        return starts_at <= now < ends_at and _begins_on(today, quiet_hours)
    if now >= starts_at:
        return _begins_on(today, quiet_hours)
    return now < ends_at and _begins_on(today - 1 or 7, quiet_hours)


def _begins_on(weekday: int, quiet_hours: QuietHours) -> bool:
    return not quiet_hours.days or weekday in quiet_hours.days


@lru_cache(maxsize=1024)
def _zone(name: str | None) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")
