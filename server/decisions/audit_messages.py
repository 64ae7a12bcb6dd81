"""Replays and backtests on the wire: messages to models and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import orjson
from leo.activation.v1 import decision_service_pb2 as wire

from server.conditions.checks import Check
from server.decisions.backtest.draft import Draft
from server.decisions.backtest.simulation import BacktestReport, Changed, Message
from server.decisions.backtest.store import BacktestSpan, Source
from server.decisions.model import Reason
from server.decisions.replay.comparison import Difference
from server.decisions.replay.service import ReplayReport
from server.errors import FieldViolation, InvalidInput
from server.wire import to_contact_policy, to_datetime, to_timestamp

_SOURCES: Final = {
    wire.BACKTEST_SOURCE_UNSPECIFIED: Source.DECISIONS,
    wire.BACKTEST_SOURCE_DECISIONS: Source.DECISIONS,
    wire.BACKTEST_SOURCE_EVENTS: Source.EVENTS,
}
_REASONS: Final = {reason: wire.DecisionReason.Value(f"DECISION_REASON_{reason}") for reason in Reason}


def from_replay(report: ReplayReport) -> wire.ReplayResponse:
    """What a replay came to."""
    replayed = report.replayed
    return wire.ReplayResponse(
        task_id=report.task_id,
        equal=not replayed.differences,
        rule_bundle_id=report.rule_bundle_id,
        recorded_output_sha256=report.recorded_output_sha256,
        replayed_output_sha256=replayed.decision.output_sha256,
        differences=[_difference(difference) for difference in replayed.differences],
    )


def _difference(difference: Difference) -> wire.ReplayDifference:
    return wire.ReplayDifference(
        field=difference.field,
        recorded=orjson.dumps(difference.recorded).decode(),
        replayed=orjson.dumps(difference.replayed).decode(),
    )


def add_checks(decision: wire.Decision, checks: Mapping[str, Sequence[Check]]) -> None:
    """Tell each candidate what it was held against."""
    for candidate in decision.candidates:
        candidate.checks.extend(_check(check) for check in checks.get(candidate.marketing_event_id, ()))


def _check(check: Check) -> wire.Check:
    message = wire.Check(
        path=check.path,
        subject=check.subject,
        operator=check.operator,
        holds=check.holds,
        hidden=check.hidden,
        words=check.words,
    )
    if not check.hidden:
        message.expected = orjson.dumps(check.expected).decode()
        message.actual = orjson.dumps(check.actual).decode()
    return message


def to_span(tenant_id: UUID, request: wire.BacktestRequest) -> BacktestSpan:
    """Which events.

    Raises:
        InvalidInput: a bound is missing.
    """
    missing = [name for name in ("since", "until") if not request.HasField(name)]
    if missing:
        raise InvalidInput([FieldViolation(name, "is required") for name in missing])
    since, until = to_datetime(request.since), to_datetime(request.until)
    return BacktestSpan(tenant_id, _SOURCES[request.source], since, until)


def to_draft(message: wire.DraftMarketingEvent) -> Draft:
    """The draft, unchecked."""
    return Draft(
        campaign_id=message.campaign_id,
        event_name=message.event_name,
        channels=tuple(message.channels),
        trigger_event_type=message.trigger_event_type or None,
        topic=message.topic or None,
        condition=message.condition,
        priority=message.priority,
        cooldown_seconds=message.cooldown_seconds,
        start_at=to_datetime(message.start_at) if message.HasField("start_at") else None,
        end_at=to_datetime(message.end_at) if message.HasField("end_at") else None,
        frequency_caps=to_contact_policy(message.frequency_caps, None).frequency_caps,
    )


def from_backtest(report: BacktestReport) -> wire.BacktestResponse:
    """What a backtest came to."""
    return wire.BacktestResponse(
        events=report.events,
        sends=report.sends,
        profiles=report.profiles,
        cooldown_hits=report.reasons[Reason.COOLDOWN],
        cap_hits=report.reasons[Reason.CAPPED],
        reasons=[
            wire.ReasonCount(reason=_REASONS[reason], count=report.reasons[reason])
            for reason in Reason
            if report.reasons[reason]
        ],
        recorded_sends=report.recorded_sends,
        all_sends=report.all_sends,
        added=report.added,
        removed=report.removed,
        replaced=report.replaced,
        changed_profiles=report.changed_profiles,
        skipped=report.skipped,
        completed=report.completed,
        completed_with=sorted(report.completed_with),
        sample=[_changed(changed) for changed in report.sample],
    )


def _changed(changed: Changed) -> wire.BacktestDifference:
    recorded = changed.happened.reason
    return wire.BacktestDifference(
        task_id=changed.task_id,
        source_event_id=changed.source_event_id,
        profile_id=changed.profile_id,
        occurred_at=to_timestamp(changed.occurred_at),
        recorded_reason=_REASONS[Reason(recorded)] if recorded else wire.DECISION_REASON_UNSPECIFIED,
        recorded=_message(changed.happened.message),
        reason=_REASONS[Reason(changed.reason)],
        simulated=_message(changed.message),
    )


def _message(message: Message | None) -> wire.BacktestMessage | None:
    if message is None:
        return None
    campaign_id, event_name = message
    return wire.BacktestMessage(campaign_id=campaign_id, event_name=event_name)
