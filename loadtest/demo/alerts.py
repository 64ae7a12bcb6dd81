"""The demo's prices and those who wait for them: instruments, rules, the stream of prices, and what fired."""

from __future__ import annotations

import asyncio
import csv
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Final

import grpc
from feeder import Feeder, Position, Recorded, Tick
from leo.activation.v1 import alert_service_pb2 as alerts
from leo.activation.v1 import catalog_service_pb2 as catalog
from leo.activation.v1 import decision_service_pb2 as decisions
from leo.activation.v1 import types_pb2
from leo_client import LeoApiError, LeoClient
from leo_client.prices import from_price_nanos, to_price_nanos

from loadtest.demo.finale import NotSettled
from loadtest.demo.holders import CHANGE_KINDS, EXTREME_KINDS, THRESHOLDS, Holding
from loadtest.demo.loader import Refused
from loadtest.demo.persistence import PATIENCE_SECONDS, persistently

_PAGE: Final = 1_000
_TICKS_IN_A_MESSAGE: Final = 250
_POLL_SECONDS: Final = 0.1
_PPM_OF_A_PERCENT: Final = 10_000
_UP: Final = alerts.ALERT_DIRECTION_UP
_DOWN: Final = alerts.ALERT_DIRECTION_DOWN
_LOGIC: Final = {
    "above": alerts.AlertLogic(operator=alerts.ALERT_OPERATOR_ABOVE),
    "below": alerts.AlertLogic(operator=alerts.ALERT_OPERATOR_BELOW),
    "crosses up": alerts.AlertLogic(operator=alerts.ALERT_OPERATOR_CROSSES, direction=_UP),
    "crosses down": alerts.AlertLogic(operator=alerts.ALERT_OPERATOR_CROSSES, direction=_DOWN),
    "rises": alerts.AlertLogic(operator=alerts.ALERT_OPERATOR_CHANGE_FROM_CLOSE, direction=_UP),
    "falls": alerts.AlertLogic(operator=alerts.ALERT_OPERATOR_CHANGE_FROM_CLOSE, direction=_DOWN),
    "new high": alerts.AlertLogic(operator=alerts.ALERT_OPERATOR_NEW_HIGH),
    "new low": alerts.AlertLogic(operator=alerts.ALERT_OPERATOR_NEW_LOW),
}


@dataclass(frozen=True, slots=True)
class Fired:
    """An alert that fired, and what was decided on it.

    Args:
        alert: in words, e.g. "AAPL crosses up 100 $".
        price: of the tick that fired it, in dollars.
        fired_at: time of that tick.
        outcome: "send" or "suppressed".
        summary: why, in one sentence.
    """

    profile_id: str
    symbol: str
    alert: str
    price: Decimal
    fired_at: datetime
    source_event_id: str
    outcome: str
    reason: str
    summary: str


async def put_rules(client: LeoClient, holdings: Sequence[Holding]) -> None:
    """Put the instruments, and arm everybody's alert. Idempotent.

    Raises:
        Refused: the server does not take one of them.
    """
    instruments = [
        catalog.Instrument(symbol=symbol, type=catalog.INSTRUMENT_TYPE_STOCK, currency="USD")
        for symbol in THRESHOLDS
    ]
    await persistently(
        lambda: client.catalog.PutInstruments(catalog.PutInstrumentsRequest(instruments=instruments))
    )
    for start in range(0, len(holdings), _PAGE):
        request = alerts.PutAlertRulesRequest(rules=map(_rule, holdings[start : start + _PAGE]))
        answer = await persistently(partial(client.alerts.PutAlertRules, request))
        if faults := [result.error for result in answer.results if result.HasField("error")]:
            raise Refused(f"{len(faults)} alert rules were refused, the first one with: {faults[0].message}")


def _rule(holding: Holding) -> alerts.AlertRuleInput:
    return alerts.AlertRuleInput(
        profile_id=holding.profile_id,
        symbol=holding.symbol,
        logic=_logic(holding),
        source=alerts.ALERT_SOURCE_USER_MANUAL,
        note=holding.words,
    )


def _logic(holding: Holding) -> alerts.AlertLogic:
    logic = alerts.AlertLogic()
    logic.CopyFrom(_LOGIC[holding.kind])
    if holding.kind in CHANGE_KINDS:
        logic.change_ppm = holding.number * _PPM_OF_A_PERCENT
    elif holding.kind in EXTREME_KINDS:
        logic.days = holding.number
    else:
        logic.price_nanos = to_price_nanos(holding.number)
    return logic


async def stream_prices(
    connect: Callable[[str], LeoClient], address: str, ticks: Sequence[Tick], on_ticks: Callable[[int], None]
) -> None:
    """Stream all prices, through outages of up to a minute, until each is acknowledged.

    Args:
        connect: makes the client of an address; the owners of symbols may have other ones.
        on_ticks: is told how many are acknowledged.

    Raises:
        Refused: the server finds fault with a price.
        LeoApiError: it refuses the stream, or stayed away for a minute.
    """
    feeder = Feeder(
        connect=connect,
        addresses=[address],
        feed="daily-stocks",
        position=Position(None, "daily-stocks"),
        batch_size=_TICKS_IN_A_MESSAGE,
        patience_seconds=PATIENCE_SECONDS,
    )
    summary = await feeder.run(Recorded(ticks), on_ticks)
    if summary.bad:
        raise Refused(f"{summary.bad} prices were refused")


async def decided_alerts(client: LeoClient) -> list[Fired]:
    """All alerts that fired, by time and profile, once each has its decision.

    Raises:
        NotSettled: one has none within a minute.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    fired = [await _decided(client, rule, deadline) for rule in await _triggered(client)]
    return sorted(fired, key=lambda one: (one.fired_at, one.profile_id))


async def _triggered(client: LeoClient) -> list[alerts.AlertRule]:
    rules: list[alerts.AlertRule] = []
    page = types_pb2.PageRequest(page_size=_PAGE)
    while True:
        request = alerts.ListAlertRulesRequest(page=page, status=alerts.ALERT_RULE_STATUS_TRIGGERED)
        answer = await persistently(partial(client.alerts.ListAlertRules, request))
        rules += answer.rules
        if not answer.page.next_page_token:
            return rules
        page = types_pb2.PageRequest(page_size=_PAGE, page_token=answer.page.next_page_token)


async def _decided(client: LeoClient, rule: alerts.AlertRule, deadline: float) -> Fired:
    source_event_id = f"alert:{rule.rule_id}:{rule.generation}"
    request = decisions.GetDecisionRequest(source_event_id=source_event_id)
    while True:
        try:
            decision = (await persistently(lambda: client.decisions.GetDecision(request))).decision
            break
        except LeoApiError as error:
            if error.code is not grpc.StatusCode.NOT_FOUND:
                raise
        if time.monotonic() > deadline:
            raise NotSettled("an alert was not decided in time; see worker.log in the state directory")
        await asyncio.sleep(_POLL_SECONDS)
    return Fired(
        profile_id=rule.profile_id,
        symbol=rule.symbol,
        alert=rule.note,
        price=from_price_nanos(rule.last_fired_price_nanos).normalize(),
        fired_at=rule.last_fired_at.ToDatetime(UTC),
        source_event_id=source_event_id,
        outcome=decisions.DecisionOutcome.Name(decision.outcome).removeprefix("DECISION_OUTCOME_").lower(),
        reason=decisions.DecisionReason.Name(decision.reason).removeprefix("DECISION_REASON_"),
        summary=decision.reason_summary,
    )


def write_firings(path: Path, fired: Sequence[Fired]) -> None:
    """Write down what fired, for those who compare: a CSV with a header, by time and profile."""
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(("profile_id", "alert", "fired_at", "price", "outcome", "reason"))
        for one in fired:
            moment = one.fired_at.isoformat()
            lines.writerow((one.profile_id, one.alert, moment, f"{one.price:f}", one.outcome, one.reason))


def example_of(fired: Sequence[Fired]) -> Fired | None:
    """The alert to tell of: the first that was sent, one that crossed its price where there is one."""
    return min(fired, key=lambda one: (one.outcome != "send", "crosses" not in one.alert), default=None)
