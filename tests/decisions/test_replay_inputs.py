"""Recorded inputs read back as they were: every value with its type, and the same decision from them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.conditions.windows import WindowValue
from server.decisions.arms.model import HOLDOUT_VARIANT, Arm, ArmView, Holdout
from server.decisions.evaluation import decide
from server.decisions.model import DecisionInputs, DispatchTarget, ProfileState, Verdict
from server.decisions.recorded_inputs import decode_inputs, encode_inputs
from server.decisions.reservation.limits import moment
from server.decisions.state import facts_of
from server.errors import PreconditionFailed
from tests.decisions.definitions import (
    CHANNELS,
    NOON,
    compiled,
    decided_inputs,
    definition,
    document,
    documents,
    event,
)

_texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | _texts,
    lambda part: st.lists(part, max_size=3) | st.dictionaries(_texts, part, max_size=3),
    max_leaves=6,
)  # fmt: skip
_decimals = st.decimals(allow_nan=False, allow_infinity=False, places=4)
_moments = st.integers(631_152_000_000_000, 4_102_444_800_000_000).map(moment)  # 1990 to 2100
_attributes = st.fixed_dictionaries(
    {},
    optional={
        "portfolio_risk_score": st.none() | st.decimals("0", "1", places=2),
        "source_updated_at": st.none() | _moments,
        "created_at": _moments,
        "latitude": st.none() | st.floats(-90, 90),
        "language": st.none() | _texts,
        "interests": st.lists(_texts, max_size=3),
        "raw_attributes": st.dictionaries(_texts, _json, max_size=3),
    },
)
_aggregates: st.SearchStrategy[Mapping[str, WindowValue]] = st.fixed_dictionaries(
    {},
    optional={
        "count(purchase, 30d)": st.integers(0, 9),
        "sum(purchase.amount, 30d)": _decimals,
        "max(purchase.amount, 7d)": st.none() | _decimals,
        "last_seen(visit)": st.none() | _moments,
    },
)
_market = st.dictionaries(
    st.sampled_from(["ACB", "VNM"]),
    st.fixed_dictionaries({"price": _decimals, "change_percent": st.none() | _decimals}),
)
_shares = st.floats(0, 1)
_arms = st.builds(
    Arm,
    view=st.builds(
        ArmView, _texts, st.sampled_from(["a", "b", HOLDOUT_VARIANT]), st.none() | _texts, st.floats(0.01, 1)
    ),
    seed=st.integers(0, 2**53),
    draw=_shares,
    counts=st.none()
    | st.dictionaries(_texts, st.tuples(st.integers(0, 9**9), st.integers(0, 9)), max_size=2),
)
_dispatches = st.none() | st.builds(DispatchTarget, _texts, st.sampled_from(["m1", "m2", "gone"]), _texts)


@st.composite
def full_inputs(draw: st.DrawFn, content: Mapping[str, Any]) -> DecisionInputs:
    """Inputs with everything that a decision may ever use."""
    asked = draw(decided_inputs(content))
    ids = [made["marketing_event_id"] for made in content["marketing_events"]]
    attributes = {**draw(st.dictionaries(_texts, _json, max_size=3)), **asked.event.attributes}
    given_event = asked.event._replace(
        occurred_at=draw(_moments),
        attributes=attributes,
        attributes_json=orjson.dumps(attributes, option=orjson.OPT_SORT_KEYS),
        dispatch=draw(_dispatches),
    )
    profile = asked.profile and asked.profile._replace(
        attributes=draw(_attributes), time_zone=draw(st.sampled_from([None, "Asia/Ho_Chi_Minh"]))
    )
    facts = profile and facts_of(given_event, profile, draw(_aggregates), draw(_market))
    return asked._replace(
        event=given_event,
        profile=profile,
        facts=facts,
        arms=draw(st.dictionaries(st.sampled_from(ids), _arms)) if ids else {},
        holdout=draw(st.none() | st.builds(Holdout, _shares, st.integers(0, 2**53), _shares)),
    )


def stored(asked: DecisionInputs) -> dict[str, Any]:
    """The row that would hold these inputs."""
    return {
        "task_id": asked.event.task_id,
        "profile_id": asked.event.profile_id,
        "input_sha256": asked.event.input_sha256,
        "inputs": encode_inputs(asked),
    }


def compared(asked: DecisionInputs) -> tuple[Any, ...]:
    """All that a decision may read, with the types of what is typed; facts hold no equality of their own."""
    facts, attributes = asked.facts, asked.profile.attributes if asked.profile else {}
    aggregates = dict(facts.aggregates) if facts else {}
    return (
        asked._replace(facts=None),
        facts and (facts.occurred_at, facts.event_type, facts.event, facts.segments, facts.profile),
        facts and (facts.market, aggregates),
        {key: type(value) for key, value in [*attributes.items(), *aggregates.items()]},
    )


@given(data=st.data(), content=documents)
def test_inputs_come_back_as_they_were_and_decide_the_same(
    data: st.DataObject, content: dict[str, Any]
) -> None:
    asked = data.draw(full_inputs(content))
    again = decode_inputs(stored(asked))
    assert compared(again) == compared(asked)
    bundle = compiled(content)
    assert decide(bundle, again).output_sha256 == decide(bundle, asked).output_sha256
    assert decide(bundle, again).summary == decide(bundle, asked).summary
    assert encode_inputs(again) == encode_inputs(asked)


TYPED = {
    "profile.portfolio_risk_score": ("==", 0.3),
    "profile.created_at": ("before", "2026-01-31T09:00:00Z"),
    "sum(purchase.amount, 30d)": ("==", 0.3),
    "last_seen(visit)": ("after", "2026-01-31T09:00:00Z"),
    "market.VNM.price": ("==", 0.1),
    "event.ratio": ("==", 0.1),
    "profile.limit": ("==", 1e15),
}


@pytest.mark.parametrize("attribute", TYPED)
async def test_a_condition_reads_the_same_from_what_postgresql_kept(
    app: asyncpg.Connection, attribute: str
) -> None:
    """jsonb writes numbers in its own way; none of them may change its value for it."""
    operator, value = TYPED[attribute]
    condition = {"attribute": attribute, "operator": operator, "value": value}
    bundle = compiled(document([definition("m", condition=condition)]))
    profile = ProfileState(
        "ann",
        {
            "portfolio_risk_score": Decimal("0.30"),
            "created_at": NOON - timedelta(days=99),
            "raw_attributes": {"limit": 1e15},
        },
        frozenset(),
        frozenset(CHANNELS),
        frozenset(CHANNELS),
    )
    happened = event(ratio=0.1)
    facts = facts_of(
        happened,
        profile,
        {"sum(purchase.amount, 30d)": Decimal("0.30"), "last_seen(visit)": NOON},
        {"VNM": {"price": Decimal("0.100000000"), "change_percent": None}},
    )
    asked = DecisionInputs(happened, profile, facts, {"m": Verdict.HELD}, NOON)
    row = stored(asked)
    row["inputs"] = await app.fetchval("SELECT $1::jsonb::text", row["inputs"])
    decision = decide(bundle, asked)
    assert decision.selected is not None
    assert decide(bundle, decode_inputs(row)).output_sha256 == decision.output_sha256


@pytest.mark.parametrize(
    ("spoilt", "reason"),
    [
        ("{}", "INPUTS_REDACTED"),
        ('{"format": 4}', "INPUTS_INCOMPLETE"),
        ('{"event": {"event_type": "leo.dispatch"}}', "INPUTS_INCOMPLETE"),
    ],
)
def test_inputs_that_can_not_be_replayed_are_refused_with_the_reason(spoilt: str, reason: str) -> None:
    row = {"task_id": "t", "profile_id": "ann", "input_sha256": "i", "inputs": spoilt}
    with pytest.raises(PreconditionFailed) as refused:
        decode_inputs(row)
    assert refused.value.reason == reason


def test_inputs_of_the_first_format_are_replayed_where_nothing_is_missing() -> None:
    asked = DecisionInputs(event(amount=1), None, None, {}, NOON)
    row = stored(asked)
    first = orjson.loads(row["inputs"])
    del first["format"]
    assert decode_inputs({**row, "inputs": orjson.dumps(first).decode()}) == asked
