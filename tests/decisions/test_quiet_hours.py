"""Quiet hours move a delivery, never into other quiet hours, whatever the clocks of the zone do."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.decisions.model import QuietHours
from server.decisions.quiet_hours import due_at

ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Asia/Ho_Chi_Minh",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Pacific/Apia",
    "UTC",
]
SPRING = datetime(2026, 3, 29, tzinfo=UTC)
AUTUMN = datetime(2026, 10, 25, tzinfo=UTC)
minutes = st.builds(time, st.integers(min_value=0, max_value=23), st.integers(min_value=0, max_value=59))
_HOUR = timedelta(hours=1)
instants = st.one_of(
    st.datetimes(datetime(2010, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.builds(datetime.__add__, st.sampled_from([SPRING, AUTUMN]), st.timedeltas(-30 * _HOUR, 30 * _HOUR)),
)


def is_quiet(moment: datetime, hours: QuietHours, zone: str) -> bool:
    """Whether the wall clock of the zone shows a quiet hour."""
    shown = moment.astimezone(ZoneInfo(zone)).time()
    if hours.start <= hours.end:
        return hours.start <= shown < hours.end
    return not hours.end <= shown < hours.start


@given(moment=instants, start=minutes, end=minutes, zone=st.sampled_from(ZONES))
@example(moment=SPRING.replace(hour=0, minute=30), start=time(3, 15), end=time(2, 30), zone="Europe/Berlin")
def test_nothing_is_due_in_quiet_hours(moment: datetime, start: time, end: time, zone: str) -> None:
    hours = QuietHours(start, end)
    due = due_at(moment, hours, zone)
    assert not is_quiet(due, hours, zone)
    assert moment <= due <= moment + timedelta(days=3)
    if not is_quiet(moment, hours, zone):
        assert due == moment


NIGHT = QuietHours(time(22), time(8))


@pytest.mark.parametrize(
    ("moment", "hours", "due"),
    [
        pytest.param("2026-03-02T12:00", NIGHT, "2026-03-02T12:00", id="by day: at once"),
        pytest.param("2026-03-02T21:00", NIGHT, "2026-03-03T07:00", id="22:00 in Berlin: quiet from now on"),
        pytest.param("2026-03-03T07:00", NIGHT, "2026-03-03T07:00", id="08:00 in Berlin: no longer quiet"),
        pytest.param("2026-03-28T22:00", NIGHT, "2026-03-29T06:00", id="the night that is an hour shorter"),
        pytest.param("2026-10-24T21:00", NIGHT, "2026-10-25T07:00", id="the night that is an hour longer"),
        pytest.param(
            "2026-03-28T22:00",
            QuietHours(time(22), time(2, 30)),
            "2026-03-29T01:30",
            id="an end that the clock skips",
        ),
        pytest.param(
            "2026-10-25T01:10",
            QuietHours(time(22), time(2, 30)),
            "2026-10-25T01:30",
            id="in the second 02:10 of the night: until the second 02:30",
        ),
        pytest.param("2026-03-02T21:00", None, "2026-03-02T21:00", id="no quiet hours"),
        pytest.param("2026-03-02T21:00", QuietHours(time(5), time(5)), "2026-03-02T21:00", id="empty"),
    ],
)
def test_in_berlin(moment: str, hours: QuietHours | None, due: str) -> None:
    found = due_at(datetime.fromisoformat(f"{moment}+00:00"), hours, "Europe/Berlin")
    assert found == datetime.fromisoformat(f"{due}+00:00")


@pytest.mark.parametrize("zone", [None, "", "Mars/Olympus", "Europe", "../../etc/passwd", "x" * 300])
def test_an_unknown_zone_counts_as_utc(zone: str | None) -> None:
    late = datetime(2026, 3, 2, 23, tzinfo=UTC)
    assert due_at(late, NIGHT, zone) == datetime(2026, 3, 3, 8, tzinfo=UTC)
