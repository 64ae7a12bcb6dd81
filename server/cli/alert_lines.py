"""Firings and silences in one line each."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import orjson
from google.protobuf.timestamp_pb2 import Timestamp
from leo.activation.v1 import alert_service_pb2 as wire
from leo_client import from_price_nanos


def firing_line(recorded: wire.RecordedFiring) -> str:
    """One firing: when, what, at which price, for whom, what became of it, who has seen it, and its id."""
    firing, seen = recorded.firing, recorded.acknowledgement
    facts = orjson.loads(recorded.attributes or b"{}")
    parts = (
        _moment(firing.fired_at),
        f"{firing.symbol} {_price(firing.price_nanos)} {_waited_for(facts)}".rstrip()
        if facts
        else "(erased)",
        firing.profile_id,
        _outcome(recorded),
        f"seen by {seen.acknowledged_by}" if recorded.HasField("acknowledgement") else "",
        f"{firing.rule_id} {firing.generation}",
    )
    return "  ".join(filter(None, parts))


def silence_line(each: wire.AlertSilence) -> str:
    """One silence: what, until when or that it has ended, why, who asked for it, and its id."""
    field = each.WhichOneof("target") or "rule_id"
    what = f"{field.removesuffix('_id')} {getattr(each, field)}"
    until = f"until {_moment(each.ends_at)}" if each.active else "ended"
    return "  ".join(filter(None, (what, until, each.reason, f"by {each.requested_by}", each.silence_id)))


def _outcome(recorded: wire.RecordedFiring) -> str:
    """What became of it; why, where that says more."""
    status = wire.AlertFiringStatus.Name(recorded.status).removeprefix("ALERT_FIRING_STATUS_").lower()
    tells_more = recorded.status in (wire.ALERT_FIRING_STATUS_SUPPRESSED, wire.ALERT_FIRING_STATUS_FAILED)
    return f"{status} {recorded.reason}" if tells_more else status


def _waited_for(facts: dict[str, Any]) -> str:
    operator, threshold = facts.get("operator"), facts.get("threshold_nanos")
    words = (str(operator or "").replace("_", " "), _price(threshold) if threshold else "")
    return " ".join(filter(None, words))


def _price(price_nanos: int) -> str:
    return f"{from_price_nanos(price_nanos).normalize():f}"


def _moment(message: Timestamp) -> str:
    return f"{message.ToDatetime(UTC):%Y-%m-%d %H:%M:%SZ}"
