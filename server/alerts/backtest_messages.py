"""Backtests: messages of AlertService to models and back. Conversions never fail: checks come later."""

from __future__ import annotations

from leo.activation.v1 import alert_service_pb2 as wire

from server.alerts import messages, rule_messages
from server.alerts.model import AlertDraft, BacktestReport, Hit, Source, Terms
from server.alerts.rows import moment_of
from server.wire import to_datetime, to_timestamp


def to_draft(message: wire.AlertDraft) -> AlertDraft:
    """The rule to try."""
    terms = Terms(
        source=Source.USER_MANUAL,
        rearms=rule_messages.REARMS.get(message.repeat),
        cooldown_seconds=message.cooldown_seconds,
        expires_at=to_datetime(message.expires_at) if message.HasField("expires_at") else None,
    )
    return AlertDraft(message.symbol, rule_messages.to_logic(message.logic), terms, message.sample_size)


def from_report(report: BacktestReport) -> wire.BacktestAlertResponse:
    """The answer."""
    return wire.BacktestAlertResponse(
        fired_count=report.fired_count,
        firings=map(_from_hit, report.firings),
        accepted_count=report.accepted_count,
        duplicate_count=report.duplicate_count,
        other_count=report.other_count,
        bad_count=report.bad_count,
        bad_ticks=map(messages.from_bad_tick, report.bad_ticks),
        first_at=to_timestamp(None if report.first_us is None else moment_of(report.first_us)),
        last_at=to_timestamp(None if report.last_us is None else moment_of(report.last_us)),
    )


def _from_hit(hit: Hit) -> wire.DraftFiring:
    return wire.DraftFiring(
        fired_at=to_timestamp(moment_of(hit.observed_at_us)),
        price_nanos=hit.price_nanos,
        previous_price_nanos=hit.previous_price_nanos or 0,
        reference_price_nanos=hit.reference_price_nanos,
        day_volume_micros=hit.day_volume_micros or 0,
    )
