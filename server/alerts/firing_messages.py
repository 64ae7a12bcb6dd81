"""Messages about firings and silences to models and back. Conversions never fail: checks come later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from leo.activation.v1 import alert_service_pb2 as wire

from server.alerts.model import (
    FiringFilter,
    FiringStatus,
    RecordedFiring,
    Silence,
    SilenceInput,
    Target,
    TargetKind,
)
from server.alerts.watching import Watched
from server.wire import to_datetime, to_timestamp

STATUSES: Final[Mapping[wire.AlertFiringStatus.ValueType, FiringStatus]] = {
    wire.AlertFiringStatus.Value(f"ALERT_FIRING_STATUS_{status.name}"): status for status in FiringStatus
}
_STATUS_OF: Final = {value: key for key, value in STATUSES.items()}
_ERASED: Final = b"{}"


def to_silence(message: wire.SilenceAlertsRequest, *, requested_by: str) -> SilenceInput:
    """The silence that is asked for."""
    field = message.WhichOneof("target")
    return SilenceInput(
        target=None if field is None else Target(TargetKind(field), getattr(message, field)),
        ends_at=to_datetime(message.ends_at) if message.HasField("ends_at") else None,
        reason=message.reason,
        requested_by=requested_by,
    )


def from_silence(silence: Silence) -> wire.AlertSilence:
    """The message of a stored silence."""
    message = wire.AlertSilence(
        silence_id=silence.silence_id,
        ends_at=to_timestamp(silence.ends_at),
        reason=silence.reason,
        requested_by=silence.requested_by,
        created_at=to_timestamp(silence.created_at),
        active=silence.active,
        ended_at=to_timestamp(silence.ended_at),
        ended_by=silence.ended_by,
    )
    setattr(message, silence.target.kind, silence.target.value)
    return message


def to_filter(message: wire.ListAlertFiringsRequest | wire.WatchAlertsRequest) -> FiringFilter:
    """Which firings are wanted."""
    return FiringFilter(message.profile_id or None, message.symbol or None, message.rule_id or None)


def from_firing(firing: RecordedFiring) -> wire.RecordedFiring:
    """The message of a firing as it was recorded."""
    message = wire.RecordedFiring(
        firing=wire.AlertFiring(
            rule_id=firing.rule_id,
            generation=firing.generation,
            profile_id=firing.profile_id,
            symbol=firing.symbol,
            price_nanos=firing.price_nanos,
            previous_price_nanos=firing.previous_price_nanos or 0,
            fired_at=to_timestamp(firing.fired_at),
            source_event_id=firing.source_event_id,
            silence_id=firing.silence_id,
        ),
        status=_STATUS_OF[firing.status],
        reason=firing.reason,
        silence_id=firing.silence_id,
        attributes=b"" if firing.attributes == _ERASED else firing.attributes,
        recorded_at=to_timestamp(firing.recorded_at),
    )
    seen = firing.acknowledgement
    if seen is not None:
        message.acknowledgement.acknowledged_by = seen.acknowledged_by
        message.acknowledgement.acknowledged_at.FromDatetime(seen.acknowledged_at)
        message.acknowledgement.note = seen.note
    return message


def from_watched(watched: Watched) -> wire.WatchAlertsResponse:
    """One message of the stream."""
    firing = None if watched.firing is None else from_firing(watched.firing)
    return wire.WatchAlertsResponse(firing=firing, resume_token=watched.resume_token)
