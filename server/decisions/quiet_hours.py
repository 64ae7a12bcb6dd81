"""Quiet hours: they never lose a decision, they move its delivery."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from server.decisions.model import QuietHours


def due_at(moment: datetime, quiet_hours: QuietHours | None, time_zone: str | None) -> datetime:
    """When a delivery that is decided at `moment` may go out.

    Args:
        moment: an instant with a zone.
        quiet_hours: local hours in which nothing is delivered, or None.
        time_zone: IANA name of the profile's zone; UTC where it is unknown.

    Returns:
        `moment` itself outside the quiet hours, otherwise their end, in UTC.
    """
    if quiet_hours is None or quiet_hours.start == quiet_hours.end:
        return moment
    local = moment.astimezone(_zone(time_zone))
    if not _is_quiet(local, quiet_hours):
        return moment
    while _is_quiet(local, quiet_hours):
        local = _next_end(local, quiet_hours)
    return local.astimezone(UTC)


def _next_end(local: datetime, quiet_hours: QuietHours) -> datetime:
    """When the quiet hours end next. An end that the clock skips comes out later, perhaps in the next ones."""
    end = local.replace(hour=quiet_hours.end.hour, minute=quiet_hours.end.minute, second=0, microsecond=0)
    if end <= local:
        end += timedelta(days=1)
    return end.astimezone(UTC).astimezone(local.tzinfo)


def _is_quiet(local: datetime, quiet_hours: QuietHours) -> bool:
    now = local.timetz().replace(tzinfo=None)
    if quiet_hours.start < quiet_hours.end:
        return quiet_hours.start <= now < quiet_hours.end
    return now >= quiet_hours.start or now < quiet_hours.end


@lru_cache(maxsize=1024)
def _zone(name: str | None) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")
