"""Rules of the naive evaluator as messages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp
from leo.activation.v1 import alert_service_pb2 as wire

from tests.alerts.naive import MICRO, NaiveHours, NaiveRule

_OPERATORS: Final = {
    ">": wire.ALERT_OPERATOR_ABOVE,
    "<": wire.ALERT_OPERATOR_BELOW,
    "crosses": wire.ALERT_OPERATOR_CROSSES,
    "between": wire.ALERT_OPERATOR_BETWEEN,
    "leaves": wire.ALERT_OPERATOR_LEAVES_BAND,
    "close": wire.ALERT_OPERATOR_CHANGE_FROM_CLOSE,
    "within": wire.ALERT_OPERATOR_MOVES_WITHIN,
    "volume": wire.ALERT_OPERATOR_VOLUME_ABOVE,
}
_WAYS: Final = {
    "": wire.ALERT_DIRECTION_UNSPECIFIED,
    "up": wire.ALERT_DIRECTION_UP,
    "down": wire.ALERT_DIRECTION_DOWN,
}


def message_of(rule: NaiveRule, profile_id: str) -> wire.AlertRuleInput:
    """What PutAlertRules takes; the rule's name is not in it."""
    message = wire.AlertRuleInput(
        profile_id=profile_id,
        symbol=rule.symbol,
        logic=logic_of(rule),
        source=wire.ALERT_SOURCE_USER_MANUAL,
        repeat=wire.ALERT_REPEAT_REARM if rule.rearms else wire.ALERT_REPEAT_ONCE,
        cooldown_seconds=rule.cooldown,
    )
    if rule.expires is not None:
        message.expires_at.CopyFrom(_timestamp(rule.expires))
    return message


def logic_of(rule: NaiveRule) -> wire.AlertLogic:
    """What it waits for."""
    kind, _, way = rule.kind.partition(" ")
    logic = wire.AlertLogic(
        change_ppm=rule.ppm,
        window_seconds=rule.seconds,
        days=rule.days,
        volume_micros=rule.volume,
        hold_seconds=rule.hold,
    )
    if kind == "new":
        logic.operator = wire.ALERT_OPERATOR_NEW_HIGH if way == "up" else wire.ALERT_OPERATOR_NEW_LOW
    else:
        logic.operator, logic.direction = _OPERATORS[kind], _WAYS[way]
    if kind in ("between", "leaves"):
        logic.low_price_nanos, logic.high_price_nanos = rule.price, rule.high
    else:
        logic.price_nanos = rule.price
    if rule.ppm:
        logic.clear_change_ppm = rule.clear
    else:
        logic.clear_price_nanos = rule.clear
    if rule.hours is not None:
        logic.active_hours.CopyFrom(_hours(rule.hours))
    return logic


def _hours(hours: NaiveHours | str) -> wire.ActiveHours:
    if isinstance(hours, str):
        return wire.ActiveHours(market=True)
    days = hours.days
    return wire.ActiveHours(time_zone=hours.zone, start=hours.start, end=hours.end, days=days)  # type: ignore[arg-type]


def _timestamp(moment_us: int) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(datetime.fromtimestamp(moment_us // MICRO, UTC))
    return timestamp
