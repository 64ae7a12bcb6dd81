"""The pure core: the same inputs give the same decision, and every candidate hears why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.conditions import Facts
from server.decisions.evaluation import decide
from server.decisions.model import (
    ANY,
    Decision,
    DecisionInputs,
    DispatchTarget,
    LimitKind,
    Outcome,
    Reason,
    Verdict,
)
from server.errors import InvalidInput
from tests.decisions.definitions import (
    CHANNELS,
    NOON,
    PAST,
    VIP,
    basket,
    campaign,
    compiled,
    decided_inputs,
    definition,
    document,
    documents,
    event,
    inputs,
)


def expected_reason(
    made: Mapping[str, Any], owner: Mapping[str, Any], asked: DecisionInputs, selected: str | None
) -> Reason:
    """The first hurdle that a candidate does not take, read from its document."""
    profile = asked.profile
    if profile is None:
        return Reason.PROFILE_UNKNOWN
    amount = asked.event.attributes["amount"]
    reachable = [channel for channel in made["channels"] if channel in profile.reachable]
    verdict = asked.verdicts.get(made["marketing_event_id"])
    hurdles = {
        Reason.CAMPAIGN_INACTIVE: owner["status"] != "active" or owner["end_at"] or made["end_at"],
        Reason.SEGMENT_MISS: owner["audience"] and "vip" not in profile.segments,
        Reason.CONDITION_MISS: made["condition"] and amount < made["condition"]["value"],
        Reason.NO_ADDRESS: not reachable,
        Reason.NO_CONSENT: not profile.consented.intersection(reachable),
        Reason.SELECTED: made["marketing_event_id"] == selected,
        Reason.COOLDOWN: verdict is Verdict.COOLDOWN,
        Reason.CAPPED: verdict is Verdict.CAPPED,
    }
    return next((reason for reason, lost in hurdles.items() if lost), Reason.LOST_TO)


@given(data=st.data(), content=documents)
def test_every_candidate_gets_the_first_hurdle_that_it_does_not_take(
    data: st.DataObject, content: dict[str, Any]
) -> None:
    asked = data.draw(decided_inputs(content))
    decision = decide(compiled(content), asked)
    owners = {owner["campaign_id"]: owner for owner in content["campaigns"]}
    selected = decision.selected.marketing_event_id if decision.selected else None
    best_first = sorted(
        content["marketing_events"], key=lambda made: (-made["priority"], made["marketing_event_id"])
    )
    assert [(c.rule.marketing_event_id, c.reason) for c in decision.candidates] == [
        (made["marketing_event_id"], expected_reason(made, owners[made["campaign_id"]], asked, selected))
        for made in best_first
    ]
    for candidate in decision.candidates:
        assert candidate.rule.views[candidate.reason].explanation


@given(data=st.data(), content=documents)
def test_the_best_of_the_held_is_selected_and_nothing_else(
    data: st.DataObject, content: dict[str, Any]
) -> None:
    asked = data.draw(decided_inputs(content))
    decision = decide(compiled(content), asked)
    won = [candidate for candidate in decision.candidates if candidate.reason is Reason.SELECTED]
    lost_late = {Reason.LOST_TO, Reason.COOLDOWN, Reason.CAPPED, Reason.SELECTED}
    eligible = [candidate.rule for candidate in decision.candidates if candidate.reason in lost_late]
    held = [rule for rule in eligible if asked.verdicts.get(rule.marketing_event_id) is Verdict.HELD]
    assert [candidate.rule for candidate in won] == held[:1]
    assert decision.outcome is (Outcome.SEND if held else Outcome.SUPPRESSED)
    assert decision.selected is (held[0] if held else None)
    assert all(rule.priority <= held[0].priority for rule in held)
    if held and asked.profile is not None:
        usable = asked.profile.reachable & asked.profile.consented
        assert decision.channels == tuple(c for c in held[0].channels if c in usable) != ()


@given(data=st.data(), content=documents)
def test_the_same_inputs_give_the_same_decision(data: st.DataObject, content: dict[str, Any]) -> None:
    asked = data.draw(decided_inputs(content))
    first, second = decide(compiled(content), asked), decide(compiled(content), asked)
    assert output(first) == output(second)
    assert first.output_sha256 == second.output_sha256


@given(data=st.data(), content=documents)
def test_another_output_has_another_hash(data: st.DataObject, content: dict[str, Any]) -> None:
    bundle = compiled(content)
    one, other = (decide(bundle, data.draw(decided_inputs(content))) for _ in range(2))
    assert (one.output_sha256 == other.output_sha256) == (output(one) == output(other))


def output(decision: Decision) -> tuple[Any, ...]:
    """What a decision says, without its words."""
    return (
        decision.reason,
        decision.selected.marketing_event_id if decision.selected else None,
        decision.channels,
        decision.due_at,
        [(candidate.rule.marketing_event_id, candidate.reason) for candidate in decision.candidates],
    )


CHANGES: dict[str, DecisionInputs] = {
    "event": inputs(event(amount=99), verdicts={"thanks": Verdict.HELD}, segments=frozenset({"vip"})),
    "profile": inputs(event(amount=100), verdicts={"thanks": Verdict.HELD}),
    "address": inputs(
        event(amount=100),
        verdicts={"thanks": Verdict.HELD},
        segments=frozenset({"vip"}),
        reachable=frozenset({"sms"}),
    ),
    "consent": inputs(
        event(amount=100),
        verdicts={"thanks": Verdict.HELD},
        segments=frozenset({"vip"}),
        consented=frozenset(),
    ),
    "verdict": inputs(event(amount=100), verdicts={"thanks": Verdict.COOLDOWN}, segments=frozenset({"vip"})),
    "clock": inputs(
        event(amount=100),
        verdicts={"thanks": Verdict.HELD},
        segments=frozenset({"vip"}),
        decided_at=NOON.replace(hour=13),
    ),
}
RULE = definition("thanks", condition=basket(100), channels=["email", "sms"])
FOR_VIPS = campaign(audience=VIP)


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_input_shows_in_the_hash(change: str) -> None:
    bundle = compiled(document([RULE], [FOR_VIPS]))
    before = inputs(event(amount=100), verdicts={"thanks": Verdict.HELD}, segments=frozenset({"vip"}))
    assert decide(bundle, before).reason is Reason.SELECTED
    assert decide(bundle, CHANGES[change]).output_sha256 != decide(bundle, before).output_sha256


@pytest.mark.parametrize(
    "changed",
    [
        {**RULE, "condition": basket(101)},
        {**RULE, "channels": ["sms", "email"]},
        {**RULE, "marketing_event_id": "other"},
        {**RULE, "trigger_event_type": "visit"},
        {**RULE, "end_at": PAST["end_at"]},
    ],
)
def test_a_changed_rule_shows_in_the_hash(changed: dict[str, Any]) -> None:
    asked = inputs(event(amount=100), verdicts={"thanks": Verdict.HELD}, segments=frozenset({"vip"}))
    before, after = (decide(compiled(document([rule], [FOR_VIPS])), asked) for rule in (RULE, changed))
    assert before.output_sha256 != after.output_sha256


def test_nothing_to_choose_from_is_a_reason_too() -> None:
    bundle = compiled(document([]))
    assert decide(bundle, inputs(event())).reason is Reason.NO_CANDIDATE
    assert decide(bundle, inputs(event(), known=False)).reason is Reason.PROFILE_UNKNOWN


def test_the_whole_decision_has_the_reason_of_the_candidate_that_came_furthest() -> None:
    rules = [definition("a", priority=9, condition=basket(500)), definition("b", priority=1)]
    decision = decide(compiled(document(rules)), inputs(event(amount=1), verdicts={"b": Verdict.CAPPED}))
    assert decision.reason is Reason.CAPPED
    assert decision.summary.startswith("b: ")


# Bundles


def test_candidates_are_found_by_the_type_of_the_event() -> None:
    bundle = compiled(
        document(
            [
                definition("of purchases", priority=1),
                definition("of all", trigger_event_type=None),
                definition("of visits", trigger_event_type="visit", priority=5),
                definition("by dispatch", event_type="BROADCAST", trigger_event_type=None, priority=9),
            ]
        )
    )

    def found(event_type: str) -> list[str]:
        asked = event()._replace(event_type=event_type)
        return [rule.marketing_event_id for rule in bundle.candidates(asked)]

    assert found("purchase") == ["of purchases", "of all"]
    assert found("visit") == ["of visits", "of all"]
    assert found("anything") == ["of all"]
    for_dispatch = event()._replace(dispatch=DispatchTarget("plan", "by dispatch", "snapshot"))
    assert [rule.marketing_event_id for rule in bundle.candidates(for_dispatch)] == ["by dispatch"]
    gone = event()._replace(dispatch=DispatchTarget("plan", "superseded", "snapshot"))
    assert bundle.candidates(gone) == ()


def test_limits_of_a_rule_are_its_cooldown_and_the_caps_of_its_campaign_and_tenant() -> None:
    day = {"window_seconds": 86_400, "maximum": 1}
    week = {"window_seconds": 604_800, "maximum": 3, "channel": "email"}
    bundle = compiled(
        document(
            [definition("thanks", cooldown_seconds=3_600, channels=["email", "sms"])],
            [campaign(frequency_caps=[week])],
            caps=[day],
        )
    )
    limits = bundle.by_id["thanks"].limits
    assert [(limit.kind, limit.window_us // 1_000_000, limit.maximum) for limit in limits["email"]] == [
        (LimitKind.COOLDOWN, 3_600, 1),
        (LimitKind.CAP, 604_800, 3),
        (LimitKind.CAP, 86_400, 1),
    ]
    cooldown, of_tenant = limits["sms"]
    assert cooldown.event != ANY
    assert (of_tenant.campaign, of_tenant.event, of_tenant.channel) == (ANY, ANY, ANY)
    assert bundle.longest_window_us == 604_800_000_000


def test_a_cap_is_a_limit_of_what_it_names_only() -> None:
    caps = [
        {"window_seconds": 86_400, "maximum": 1, "topic": "offers", "channel": None},
        {"window_seconds": 604_800, "maximum": 3, "topic": "offers", "channel": "sms"},
    ]
    bundle = compiled(
        document(
            [
                definition("offer", topic="offers", channels=["email", "sms"]),
                definition("news", topic="news"),
                definition("older than topics"),
            ],
            [campaign(frequency_caps=[{"window_seconds": 60, "maximum": 9}])],
            caps=caps,
        )
    )
    maxima = {
        (name, channel): [limit.maximum for limit in limits]
        for name, rule in bundle.by_id.items()
        for channel, limits in rule.limits.items()
    }
    assert maxima == {
        ("offer", "email"): [9, 1],
        ("offer", "sms"): [9, 1, 3],
        ("news", "email"): [9],
        ("older than topics", "email"): [9],
    }
    assert bundle.by_id["offer"].views[Reason.CAPPED].explanation == (
        "offer: a frequency cap is used up (at most 9 in 1 minute of this campaign, "
        "at most 1 in 1 day of topic offers, at most 3 in 7 days of topic offers over sms)"
    )


def test_a_bundle_knows_what_its_conditions_read() -> None:
    conditions = {
        "all": [
            {"attribute": "profile.language", "operator": "==", "value": "vi"},
            {"attribute": "profile.city", "operator": "==", "value": "Hue"},
            {"attribute": "count(purchase, 30d)", "operator": ">=", "value": 2},
        ]
    }
    bundle = compiled(document([definition("thanks", condition=conditions)]))
    assert bundle.profile_columns == {"language"}
    assert bundle.raw_attributes == {"city"}
    assert [window.event_type for window in bundle.windows] == ["purchase"]


def test_a_stored_condition_that_no_longer_parses_is_refused() -> None:
    broken = {"attribute": "event.amount", "operator": "resembles", "value": 1}
    with pytest.raises(InvalidInput):
        compiled(document([definition("thanks", condition=broken)]))


def test_quiet_hours_of_the_campaign_go_before_those_of_the_tenant() -> None:
    night, noon = {"start": "22:00", "end": "08:00"}, {"start": "12:00", "end": "13:00"}
    asked = inputs(event(), verdicts={"thanks": Verdict.HELD})
    of_tenant = decide(compiled(document([definition("thanks")], quiet_hours=noon)), asked)
    assert of_tenant.due_at == NOON.replace(hour=13)
    campaigns = [campaign(quiet_hours=night)]
    of_campaign = decide(compiled(document([definition("thanks")], campaigns, quiet_hours=noon)), asked)
    assert of_campaign.due_at == NOON
    monday = NOON.isoweekday()
    for days, due in (([monday], NOON.replace(hour=13)), ([monday + 1], NOON), ([], NOON.replace(hour=13))):
        bundle = compiled(document([definition("thanks")], quiet_hours={**noon, "days": days}))
        assert decide(bundle, asked).due_at == due


def test_words_say_what_was_compared() -> None:
    bundle = compiled(document([RULE], [FOR_VIPS]))
    seen = inputs(event(amount=5), segments=frozenset({"vip"}))
    assert isinstance(seen.facts, Facts)
    summary = decide(bundle, seen).summary
    assert "5" in summary
    assert "100" in summary
    rule = bundle.by_id["thanks"]
    assert set(rule.views) == set(Reason) - {Reason.NO_CANDIDATE}
    for reason, fragment in rule.fragments.items():
        assert orjson.loads(fragment)["reason"] == reason
    assert all(channel in rule.views[Reason.NO_ADDRESS].explanation for channel in rule.channels)
    assert set(rule.channels) <= set(CHANNELS)
