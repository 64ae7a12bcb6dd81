"""What a decision was allowed to use, as it is stored and as it reads back. Pure.

Everything that `decide` reads is in the document, and everything comes back as the type that it had: a price is
a Decimal again, a time a datetime, segments a set. So the same rules give the same answers years later.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import orjson

from server.conditions.attributes import COLUMNS, DOUBLE_COLUMNS
from server.conditions.values import Kind
from server.conditions.windows import WindowValue
from server.decisions.arms.model import NO_ARMS, Arm, ArmView, Holdout
from server.decisions.model import Columns, DecisionInputs, DispatchTarget, Event, ProfileState, Verdict
from server.decisions.state import facts_of
from server.errors import PreconditionFailed

FORMAT: Final = 3
_FIRST_FORMAT: Final = 1
_DISPATCH_EVENT_TYPE: Final = "leo.dispatch"
_TIME_COLUMNS: Final = tuple(name for name, kind in COLUMNS.items() if kind is Kind.TIME)
_DECIMAL_COLUMNS: Final = tuple(
    name for name, kind in COLUMNS.items() if kind is Kind.NUMBER and name not in DOUBLE_COLUMNS
)
_VERDICTS: Final = {verdict.value: verdict for verdict in Verdict}
_ERASED: Final = {"erased": True}
"""Stands for the profile where it was erased before the decision, and for the whole document where it was after."""


def encode_inputs(inputs: DecisionInputs) -> str:
    """The document that is stored with a decision; `decode_inputs` reads it back."""
    event, profile, facts = inputs.event, inputs.profile, inputs.facts
    document: dict[str, Any] = {
        "format": FORMAT,
        "event": {
            "source_event_id": event.source_event_id,
            "event_type": event.event_type,
            "occurred_at": event.occurred_at,
            "attributes": orjson.Fragment(event.attributes_json),
        },
        "profile": None,
        "verdicts": inputs.verdicts,
        "decided_at": inputs.decided_at,
    }
    if event.dispatch is not None:
        document["dispatch"] = event.dispatch
    if inputs.erased:
        document["profile"] = _ERASED
    if profile is not None:
        document["profile"] = {
            "attributes": profile.attributes,
            "segments": sorted(profile.segments),
            "reachable": sorted(profile.reachable),
            "consented": sorted(profile.consented),
            "time_zone": profile.time_zone,
        }
        if profile.language is not None:
            document["profile"]["language"] = profile.language
        if profile.lacks:
            document["profile"]["lacks"] = sorted(profile.lacks)
    if inputs.arms:
        document["arms"] = {identity: _arm_document(arm) for identity, arm in inputs.arms.items()}
    if inputs.holdout is not None:
        document["holdout"] = inputs.holdout._asdict()
    if facts is not None and facts.aggregates:
        document["aggregates"] = facts.aggregates
    if facts is not None and facts.market:
        document["market"] = facts.market
    return orjson.dumps(document, default=_decimal_text).decode()


def decode_inputs(row: Columns) -> DecisionInputs:
    """The inputs of a stored decision.

    Args:
        row: with `inputs`, and with `task_id`, `profile_id` and `input_sha256`, which `decide` does not read.

    Raises:
        PreconditionFailed: INPUTS_REDACTED where the profile was erased; INPUTS_INCOMPLETE where a former
            version did not record all that is needed, or a newer one recorded it in another way.
    """
    document = orjson.loads(row["inputs"])
    _refuse_unreadable(document)
    event = _event(document, row)
    erased = document["profile"] == _ERASED
    profile = None if erased else _profile(document["profile"], event.profile_id)
    return DecisionInputs(
        event=event,
        profile=profile,
        facts=facts_of(
            event, profile, _aggregates(document.get("aggregates")), _market(document.get("market"))
        )
        if profile is not None
        else None,
        verdicts={identity: _VERDICTS[verdict] for identity, verdict in document["verdicts"].items()},
        decided_at=datetime.fromisoformat(document["decided_at"]),
        arms=_arms(document.get("arms")),
        holdout=_holdout(document.get("holdout")),
        erased=erased,
    )


def _arm_document(arm: Arm) -> dict[str, Any]:
    drawn_from = {"seed": arm.seed, "draw": arm.draw}
    counts = {} if arm.counts is None else {"counts": arm.counts}
    return arm.view._asdict() | drawn_from | counts


def _decimal_text(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"a decision's inputs hold no {type(value).__name__}")


def _refuse_unreadable(document: Mapping[str, Any]) -> None:
    if not document or document == _ERASED:
        raise PreconditionFailed(
            "INPUTS_REDACTED", "the profile was erased, and with it what this decision had used"
        )
    written = document.get("format", _FIRST_FORMAT)
    if written > FORMAT:
        raise PreconditionFailed(
            "INPUTS_INCOMPLETE", f"the inputs are of format {written}; this version reads up to {FORMAT}"
        )
    if written == _FIRST_FORMAT and document["event"]["event_type"] == _DISPATCH_EVENT_TYPE:
        raise PreconditionFailed(
            "INPUTS_INCOMPLETE",
            "the version that decided this member of a dispatch did not record which marketing event it was for",
        )


def _event(document: Mapping[str, Any], row: Columns) -> Event:
    event, dispatch = document["event"], document.get("dispatch")
    attributes = event["attributes"]
    return Event(
        source_event_id=event["source_event_id"],
        profile_id=row["profile_id"],
        event_type=event["event_type"],
        occurred_at=datetime.fromisoformat(event["occurred_at"]),
        attributes=attributes,
        attributes_json=orjson.dumps(attributes, option=orjson.OPT_SORT_KEYS),
        task_id=row["task_id"],
        input_sha256=row["input_sha256"],
        dispatch=None if dispatch is None else DispatchTarget(**dispatch),
    )


def _profile(document: Mapping[str, Any] | None, profile_id: str) -> ProfileState | None:
    if document is None:
        return None
    attributes = document["attributes"]
    for column in _TIME_COLUMNS:
        if attributes.get(column) is not None:
            attributes[column] = datetime.fromisoformat(attributes[column])
    for column in _DECIMAL_COLUMNS:
        if attributes.get(column) is not None:
            attributes[column] = Decimal(attributes[column])
    return ProfileState(
        profile_id=profile_id,
        attributes=attributes,
        segments=frozenset(document["segments"]),
        reachable=frozenset(document["reachable"]),
        consented=frozenset(document["consented"]),
        time_zone=document["time_zone"],
        language=document.get("language"),
        lacks=frozenset(document.get("lacks", ())),
    )


def _arms(document: Mapping[str, Any] | None) -> Mapping[str, Arm]:
    if not document:
        return NO_ARMS
    return {identity: _arm(arm) for identity, arm in document.items()}


def _arm(document: Mapping[str, Any]) -> Arm:
    counts = document.get("counts")
    return Arm(
        view=ArmView(
            experiment_id=document["experiment_id"],
            variant=document["variant"],
            template_name=document["template_name"],
            propensity=float(document["propensity"]),
        ),
        seed=document["seed"],
        draw=float(document["draw"]),
        counts=None if counts is None else {variant: tuple(pair) for variant, pair in counts.items()},
    )


def _holdout(document: Mapping[str, Any] | None) -> Holdout | None:
    if document is None:
        return None
    return Holdout(float(document["fraction"]), document["seed"], float(document["draw"]))


def _aggregates(document: Mapping[str, Any] | None) -> Mapping[str, WindowValue]:
    if not document:
        return {}
    return {key: _window_value(key, value) for key, value in document.items()}


def _window_value(key: str, value: Any) -> WindowValue:
    """Its type follows from the function that the key begins with (`Window.key`)."""
    if value is None or key.startswith("count("):
        return value  # type: ignore[no-any-return]
    return datetime.fromisoformat(value) if key.startswith("last_seen(") else Decimal(value)


def _market(document: Mapping[str, Any] | None) -> Mapping[str, Mapping[str, object]]:
    if not document:
        return {}
    return {
        symbol: {column: None if value is None else Decimal(value) for column, value in prices.items()}
        for symbol, prices in document.items()
    }
