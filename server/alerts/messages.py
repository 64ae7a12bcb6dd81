"""Messages of AlertService to models and back. Conversions never fail: checks come later."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Final
from uuid import UUID

from leo.activation.v1 import alert_service_pb2 as wire
from leo.activation.v1 import error_reason_pb2

from server.alerts.model import (
    AlertRule,
    AlertRuleInput,
    BatchOutcome,
    Direction,
    Firing,
    Logic,
    Operator,
    RuleStatus,
    Source,
    TickBatch,
    TickFault,
)
from server.alerts.service import ArmedRule, PutAnswer
from server.errors import InvalidInput
from server.wire import to_timestamp

OPERATORS: Final[Mapping[wire.AlertOperator.ValueType, Operator]] = {
    wire.ALERT_OPERATOR_ABOVE: Operator.ABOVE,
    wire.ALERT_OPERATOR_BELOW: Operator.BELOW,
    wire.ALERT_OPERATOR_CROSSES: Operator.CROSSES,
}
DIRECTIONS: Final[Mapping[wire.AlertDirection.ValueType, Direction]] = {
    wire.ALERT_DIRECTION_UP: Direction.UP,
    wire.ALERT_DIRECTION_DOWN: Direction.DOWN,
}
SOURCES: Final[Mapping[wire.AlertSource.ValueType, Source]] = {
    wire.ALERT_SOURCE_USER_MANUAL: Source.USER_MANUAL,
    wire.ALERT_SOURCE_AI_AGENT: Source.AI_AGENT,
}
STATUSES: Final[Mapping[wire.AlertRuleStatus.ValueType, RuleStatus]] = {
    wire.ALERT_RULE_STATUS_ACTIVE: RuleStatus.ACTIVE,
    wire.ALERT_RULE_STATUS_TRIGGERED: RuleStatus.TRIGGERED,
    wire.ALERT_RULE_STATUS_DISABLED: RuleStatus.DISABLED,
}
_OPERATOR_OF: Final = {value: key for key, value in OPERATORS.items()}
_DIRECTION_OF: Final = {value: key for key, value in DIRECTIONS.items()}
_SOURCE_OF: Final = {value: key for key, value in SOURCES.items()}
_STATUS_OF: Final = {value.value: key for key, value in STATUSES.items()}
_FAULT_OF: Final = {
    TickFault.SYMBOL_INDEX: wire.TICK_FAULT_SYMBOL_INDEX,
    TickFault.UNKNOWN_SYMBOL: wire.TICK_FAULT_UNKNOWN_SYMBOL,
    TickFault.PRICE: wire.TICK_FAULT_PRICE,
    TickFault.TIME_RANGE: wire.TICK_FAULT_TIME_RANGE,
    TickFault.TIME_BACKWARDS: wire.TICK_FAULT_TIME_BACKWARDS,
}
# A round price may be what a hundred thousand wait for; the answer has to stay one that a client may receive.
_MOST_FIRINGS: Final = 1_000


def to_rule(message: wire.AlertRuleInput) -> AlertRuleInput:
    """The rule as it is put."""
    logic = message.logic
    return AlertRuleInput(
        profile_id=message.profile_id,
        symbol=message.symbol,
        logic=Logic(OPERATORS.get(logic.operator), logic.price_nanos, DIRECTIONS.get(logic.direction)),
        source=SOURCES.get(message.source),
        note=message.note,
    )


def from_rule(rule: AlertRule) -> wire.AlertRule:
    """The message of a stored rule."""
    assert rule.logic.operator is not None
    logic = wire.AlertLogic(operator=_OPERATOR_OF[rule.logic.operator], price_nanos=rule.logic.price_nanos)
    if rule.logic.direction is not None:
        logic.direction = _DIRECTION_OF[rule.logic.direction]
    return wire.AlertRule(
        rule_id=rule.rule_id,
        profile_id=rule.profile_id,
        symbol=rule.symbol,
        own_instrument=rule.own_instrument,
        logic=logic,
        source=_SOURCE_OF[rule.source],
        note=rule.note,
        status=_STATUS_OF.get(rule.status, wire.ALERT_RULE_STATUS_DISABLED),
        generation=rule.generation,
        last_fired_at=to_timestamp(rule.last_fired_at),
        last_fired_price_nanos=rule.last_fired_price_nanos or 0,
        created_at=to_timestamp(rule.created_at),
    )


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


def to_batch(message: wire.TickBatch, tenant_id: UUID) -> TickBatch:
    """The ticks of a message of this tenant."""
    return TickBatch(
        owner=None if message.global_instruments else tenant_id,
        symbols=list(message.symbols),
        symbol_indices=list(message.symbol_indices),
        price_nanos=list(message.price_nanos),
        observed_at_us=list(message.observed_at_us),
        feed=message.feed,
        sequences=list(message.sequences),
    )


def from_outcome(outcome: BatchOutcome, batch: TickBatch, tenant_id: UUID) -> wire.TickBatchResult:
    """What the tenant is told: its own firings, the first 1,000 of them, and how many there were in all."""
    own = (firing for firing in outcome.firings if firing.tenant_id == tenant_id)
    return wire.TickBatchResult(
        accepted_count=outcome.accepted_count,
        duplicate_count=outcome.duplicate_count,
        bad_ticks=[wire.BadTick(index=bad.index, fault=_FAULT_OF[bad.fault]) for bad in outcome.bad_ticks],
        firings=map(_from_firing, islice(own, _MOST_FIRINGS)),
        fired_count=len(outcome.firings),
        acknowledged_sequence=batch.sequences[-1] if batch.sequences else 0,
    )


def _from_firing(firing: Firing) -> wire.AlertFiring:
    return wire.AlertFiring(
        rule_id=firing.rule_id,
        generation=firing.generation,
        profile_id=firing.profile_id,
        symbol=firing.symbol,
        price_nanos=firing.price_nanos,
        previous_price_nanos=firing.previous_price_nanos or 0,
        fired_at=to_timestamp(firing.fired_at),
        tick_index=firing.tick_index,
        source_event_id=firing.source_event_id,
    )
