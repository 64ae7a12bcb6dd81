"""Rules: messages of AlertService to models and back. Conversions never fail: checks come later."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from leo.activation.v1 import alert_service_pb2 as wire
from leo.activation.v1 import contact_policy_pb2, error_reason_pb2

from server.alerts.model import (
    ActiveHours,
    AlertRule,
    AlertRuleInput,
    Direction,
    Logic,
    Operator,
    Phase,
    RuleStatus,
    Source,
    Terms,
)
from server.alerts.service import ArmedRule, PutAnswer
from server.errors import InvalidInput
from server.trading_calendar import Hours
from server.wire import to_datetime, to_timestamp

OPERATORS: Final[Mapping[wire.AlertOperator.ValueType, Operator]] = {
    wire.AlertOperator.Value(f"ALERT_OPERATOR_{operator.name}"): operator for operator in Operator
}
DIRECTIONS: Final[Mapping[wire.AlertDirection.ValueType, Direction]] = {
    wire.AlertDirection.Value(f"ALERT_DIRECTION_{direction.name}"): direction for direction in Direction
}
SOURCES: Final[Mapping[wire.AlertSource.ValueType, Source]] = {
    wire.AlertSource.Value(f"ALERT_SOURCE_{source.name}"): source for source in Source
}
STATUSES: Final[Mapping[wire.AlertRuleStatus.ValueType, RuleStatus]] = {
    wire.AlertRuleStatus.Value(f"ALERT_RULE_STATUS_{status.name}"): status for status in RuleStatus
}
PHASES: Final[Mapping[wire.AlertPhase.ValueType, Phase]] = {
    wire.AlertPhase.Value(f"ALERT_PHASE_{phase.name}"): phase for phase in Phase
}
REARMS: Final[Mapping[wire.AlertRepeat.ValueType, bool]] = {
    wire.ALERT_REPEAT_UNSPECIFIED: False,
    wire.ALERT_REPEAT_ONCE: False,
    wire.ALERT_REPEAT_REARM: True,
}
_OPERATOR_OF: Final = {value: key for key, value in OPERATORS.items()}
_DIRECTION_OF: Final = {value: key for key, value in DIRECTIONS.items()}
_SOURCE_OF: Final = {value: key for key, value in SOURCES.items()}
_STATUS_OF: Final = {value.value: key for key, value in STATUSES.items()}
_PHASE_OF: Final = {value: key for key, value in PHASES.items()}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBERS: Final = (
    "price_nanos",
    "low_price_nanos",
    "high_price_nanos",
    "change_ppm",
    "window_seconds",
    "days",
    "volume_micros",
    "hold_seconds",
    "clear_price_nanos",
    "clear_change_ppm",
)


def to_rule(message: wire.AlertRuleInput) -> AlertRuleInput:
    """The rule as it is put."""
    terms = Terms(
        source=SOURCES.get(message.source),
        note=message.note,
        rearms=REARMS.get(message.repeat),
        cooldown_seconds=message.cooldown_seconds,
        expires_at=to_datetime(message.expires_at) if message.HasField("expires_at") else None,
    )
    return AlertRuleInput(message.profile_id, message.symbol, to_logic(message.logic), terms)


def to_logic(message: wire.AlertLogic) -> Logic:
    """What the rule waits for."""
    hours = message.active_hours if message.HasField("active_hours") else None
    return Logic(
        OPERATORS.get(message.operator),
        message.price_nanos,
        DIRECTIONS.get(message.direction),
        message.low_price_nanos,
        message.high_price_nanos,
        message.change_ppm,
        message.window_seconds,
        message.days,
        message.volume_micros,
        message.hold_seconds,
        message.clear_price_nanos,
        message.clear_change_ppm,
        None if hours is None else _to_hours(hours),
    )


def _to_hours(message: wire.ActiveHours) -> ActiveHours:
    given = message.time_zone or message.start or message.end or message.days
    hours = Hours(message.time_zone, message.start, message.end, tuple(message.days)) if given else None
    return ActiveHours(message.market, hours)


def from_rule(rule: AlertRule) -> wire.AlertRule:
    """The message of a stored rule."""
    message = wire.AlertRule(
        rule_id=rule.rule_id,
        profile_id=rule.profile_id,
        symbol=rule.symbol,
        own_instrument=rule.own_instrument,
        logic=from_logic(rule.logic),
        note=rule.terms.note,
        status=_STATUS_OF.get(rule.status, wire.ALERT_RULE_STATUS_DISABLED),
        generation=rule.generation,
        last_fired_at=to_timestamp(rule.last_fired_at),
        last_fired_price_nanos=rule.last_fired_price_nanos or 0,
        created_at=to_timestamp(rule.created_at),
        repeat=wire.ALERT_REPEAT_REARM if rule.terms.rearms else wire.ALERT_REPEAT_ONCE,
        cooldown_seconds=rule.terms.cooldown_seconds,
        expires_at=to_timestamp(rule.terms.expires_at),
    )
    if rule.terms.source is not None:
        message.source = _SOURCE_OF[rule.terms.source]
    if rule.status == RuleStatus.ACTIVE:
        _add_phase(message, rule)
    return message


def _add_phase(message: wire.AlertRule, rule: AlertRule) -> None:
    runtime = rule.runtime
    message.phase = _PHASE_OF[runtime.phase]
    since = _EPOCH + timedelta(microseconds=runtime.since_us)
    if runtime.phase is Phase.HOLDING:
        message.holding_since.FromDatetime(since)
    elif runtime.phase is not Phase.ARMED:
        cooldown = timedelta(seconds=rule.terms.cooldown_seconds)
        message.cooldown_until.FromDatetime(since + cooldown)


def from_logic(logic: Logic) -> wire.AlertLogic:
    """The message of what a rule waits for."""
    message = wire.AlertLogic(**{name: getattr(logic, name) for name in _NUMBERS})
    if logic.operator is not None:
        message.operator = _OPERATOR_OF[logic.operator]
    if logic.direction is not None:
        message.direction = _DIRECTION_OF[logic.direction]
    if logic.active_hours is not None:
        message.active_hours.CopyFrom(_from_hours(logic.active_hours))
    return message


def _from_hours(active: ActiveHours) -> wire.ActiveHours:
    hours = active.hours
    if hours is None:
        return wire.ActiveHours(market=True)
    days = [contact_policy_pb2.Weekday.ValueType(day) for day in hours.days]
    return wire.ActiveHours(time_zone=hours.time_zone, start=hours.start, end=hours.end, days=days)


def from_put_answer(answer: PutAnswer) -> wire.PutAlertRuleResult:
    """The answer for one rule."""
    if isinstance(answer, ArmedRule):
        put = wire.PutAlertRule(rule_id=answer.rule_id, generation=answer.generation, armed=answer.armed)
        return wire.PutAlertRuleResult(put=put)
    violations = answer.violations if isinstance(answer, InvalidInput) else ()
    error = wire.AlertRuleError(
        reason=error_reason_pb2.ErrorReason.Value(answer.reason),
        field=violations[0].field if violations else "",
        message=violations[0].description if violations else answer.message,
    )
    return wire.PutAlertRuleResult(error=error)
