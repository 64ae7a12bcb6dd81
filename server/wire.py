"""Conversions between wire messages and values that slices share. They never fail: checks come later."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp
from leo.activation.v1 import contact_policy_pb2, types_pb2

from server.contact_policy import ContactPolicy, FrequencyCap, QuietHours
from server.paging import PageRequest

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OUT_OF_RANGE = datetime.max.replace(tzinfo=UTC)
_NANOS = 1_000_000_000


def to_datetime(message: Timestamp) -> datetime:
    """The instant in microseconds; what no datetime can hold becomes one that every range check refuses."""
    nanos = message.nanos
    if not 0 <= nanos < _NANOS:
        return _OUT_OF_RANGE
    try:
        return _EPOCH + timedelta(0, message.seconds, nanos // 1000)
    except OverflowError:
        return _OUT_OF_RANGE


def to_timestamp(moment: datetime | None) -> Timestamp | None:
    """The message; None, which leaves a field absent, for None."""
    if moment is None:
        return None
    whole, rest = divmod((moment - _EPOCH) // timedelta(microseconds=1), 1_000_000)
    return Timestamp(seconds=whole, nanos=rest * 1000)


def to_page_request(message: types_pb2.PageRequest) -> PageRequest:
    """Which part of a list is wanted."""
    return PageRequest(size=message.page_size, token=message.page_token)


def to_page_response(next_token: str) -> types_pb2.PageResponse:
    """How to go on."""
    return types_pb2.PageResponse(next_page_token=next_token)


def to_contact_policy(
    caps: Iterable[contact_policy_pb2.FrequencyCap], quiet_hours: contact_policy_pb2.QuietHours | None
) -> ContactPolicy:
    """The policy; `quiet_hours` is None where the field is absent."""
    return ContactPolicy(
        frequency_caps=tuple(
            FrequencyCap(cap.channel or None, cap.topic or None, cap.window_seconds, cap.maximum)
            for cap in caps
        ),
        quiet_hours=QuietHours(quiet_hours.start, quiet_hours.end, tuple(quiet_hours.days))
        if quiet_hours
        else None,
    )


def from_frequency_caps(policy: ContactPolicy) -> list[contact_policy_pb2.FrequencyCap]:
    """The messages of the caps."""
    return [
        contact_policy_pb2.FrequencyCap(
            channel=cap.channel or "",
            topic=cap.topic or "",
            window_seconds=cap.window_seconds,
            maximum=cap.maximum,
        )
        for cap in policy.frequency_caps
    ]


def from_quiet_hours(policy: ContactPolicy) -> contact_policy_pb2.QuietHours | None:
    """The message of the quiet hours; None, which leaves a field absent, where there are none."""
    hours = policy.quiet_hours
    if hours is None:
        return None
    days = [contact_policy_pb2.Weekday.ValueType(day) for day in hours.days]
    return contact_policy_pb2.QuietHours(start=hours.start, end=hours.end, days=days)
