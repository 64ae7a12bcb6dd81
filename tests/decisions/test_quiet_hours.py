"""Quiet hours move a delivery, never into other quiet hours, whatever the clocks of the zone do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from server.contact_policy import QuietHours
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
minutes = st.builds(
    "{:02}:{:02}".format, st.integers(min_value=0, max_value=23), st.integers(min_value=0, max_value=59)
)
weekdays = st.lists(st.integers(min_value=1, max_value=7), unique=True).map(tuple)
_HOUR = timedelta(hours=1)
instants = st.one_of(
    st.datetimes(datetime(2010, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.builds(datetime.__add__, st.sampled_from([SPRING, AUTUMN]), st.timedeltas(-30 * _HOUR, 30 * _HOUR)),
)


def is_quiet(moment: datetime, hours: QuietHours, zone: str) -> bool:
    """Whether the wall clock of the zone shows quiet hours that began today or yesterday: written out by the day."""
    shown = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    for begun in (shown.date(), shown.date() - timedelta(days=1)):
        start = datetime.combine(begun, hours.starts_at)
        end = datetime.combine(begun, hours.ends_at)
        if end <= start:
            end += timedelta(days=1)
        if begun.isoweekday() in (hours.days or range(1, 8)) and start <= shown < end:
            return True
    return False


@given(moment=instants, start=minutes, end=minutes, days=weekdays, zone=st.sampled_from(ZONES))
@example(moment=SPRING.replace(hour=0, minute=30), start="03:15", end="02:30", days=(), zone="Europe/Berlin")
def test_nothing_is_due_in_quiet_hours(
    moment: datetime, start: str, end: str, days: tuple[int, ...], zone: str
) -> None:
    hours = QuietHours(start, end, days)
    assume(hours.has_end)
    due = due_at(moment, hours, zone)
    assert not is_quiet(due, hours, zone)
    assert moment <= due <= moment + timedelta(days=7)
    if not is_quiet(moment, hours, zone):
        assert due == moment


@given(moment=instants, start=minutes, end=minutes, days=weekdays, zone=st.sampled_from(ZONES))
def test_all_that_is_before_due_is_quiet(
    moment: datetime, start: str, end: str, days: tuple[int, ...], zone: str
) -> None:
    """A delivery does not wait longer than it must, but for the hour that a change of clocks may cost."""
    hours = QuietHours(start, end, days)
    assume(hours.has_end)
    waited = due_at(moment, hours, zone) - moment
    for part in range(8):
        between = moment + waited * part / 8
        assert between == moment + waited or any(
            is_quiet(between + shift * _HOUR, hours, zone) for shift in (-1, 0, 1)
        )


NIGHT = QuietHours("22:00", "08:00")
FRIDAY_NIGHT = QuietHours("22:00", "08:00", (5,))
WEEKEND = QuietHours("00:00", "00:00", (6, 7))
LUNCH = QuietHours("12:00", "13:00", (1, 5))


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
            QuietHours("22:00", "02:30"),
            "2026-03-29T01:30",
            id="an end that the clock skips",
        ),
        pytest.param(
            "2026-10-25T01:10",
            QuietHours("22:00", "02:30"),
            "2026-10-25T01:30",
            id="in the second 02:10 of the night: until the second 02:30",
        ),
        pytest.param("2026-03-02T21:00", None, "2026-03-02T21:00", id="no quiet hours"),
        pytest.param(
            "2026-03-02T21:00", QuietHours("05:00", "05:00"), "2026-03-02T21:00", id="endless: none"
        ),
        pytest.param("2026-03-06T22:00", FRIDAY_NIGHT, "2026-03-07T07:00", id="Friday 23:00: until Saturday"),
        pytest.param(
            "2026-03-07T05:00", FRIDAY_NIGHT, "2026-03-07T07:00", id="Saturday 06:00 is Friday's night"
        ),
        pytest.param(
            "2026-03-06T05:00", FRIDAY_NIGHT, "2026-03-06T05:00", id="Friday 06:00 is Thursday's night"
        ),
        pytest.param("2026-03-07T22:00", FRIDAY_NIGHT, "2026-03-07T22:00", id="Saturday 23:00: not named"),
        pytest.param("2026-03-07T12:00", WEEKEND, "2026-03-08T23:00", id="Saturday: until Monday"),
        pytest.param("2026-03-28T12:00", WEEKEND, "2026-03-29T22:00", id="a weekend that is an hour shorter"),
        pytest.param("2026-03-08T23:00", WEEKEND, "2026-03-08T23:00", id="Monday 00:00: at once"),
        pytest.param("2026-03-02T11:30", LUNCH, "2026-03-02T12:00", id="Monday's lunch"),
        pytest.param("2026-03-03T11:30", LUNCH, "2026-03-03T11:30", id="no lunch on Tuesday"),
    ],
)
def test_in_berlin(moment: str, hours: QuietHours | None, due: str) -> None:
    found = due_at(datetime.fromisoformat(f"{moment}+00:00"), hours, "Europe/Berlin")
    assert found == datetime.fromisoformat(f"{due}+00:00")


@pytest.mark.parametrize("zone", [None, "", "Mars/Olympus", "Europe", "../../etc/passwd", "x" * 300])
def test_an_unknown_zone_counts_as_utc(zone: str | None) -> None:
    late = datetime(2026, 3, 2, 23, tzinfo=UTC)
    assert due_at(late, NIGHT, zone) == datetime(2026, 3, 3, 8, tzinfo=UTC)
