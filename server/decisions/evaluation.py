"""The pure core of Decide: screen the candidates, then conclude with the answers of the reservation.

No clock, no randomness, no I/O: `decide(bundle, inputs)` gives the same decision for the same inputs for
ever, which is what replay, backtest and the property tests rest on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import orjson

from server.conditions import Facts
from server.conditions.closure import Predicate
from server.decisions.arms.model import NO_ARMS, Arm, ArmView, Holdout
from server.decisions.explanation import summarise
from server.decisions.model import (
    HURDLE,
    Bundle,
    CandidateResult,
    Decision,
    DecisionInputs,
    Event,
    Outcome,
    ProfileState,
    Reason,
    Rule,
    Screened,
    Verdict,
)
from server.decisions.quiet_hours import due_at

_Held = dict[Predicate, bool]
_LOST: Final[Mapping[Verdict | None, Reason]] = {
    Verdict.COOLDOWN: Reason.COOLDOWN,
    Verdict.CAPPED: Reason.CAPPED,
}


def decide(bundle: Bundle, inputs: DecisionInputs) -> Decision:
    """Choose at most one marketing event for one event.

    Args:
        bundle: the definitions in force.
        inputs: the event, the profile's state, the arms, the reservation's answers, the clock.

    Returns:
        The decision with a reason for every candidate.
    """
    if inputs.profile is None:
        return conclude(inputs, screen_nobody(bundle, inputs.event, inputs.absence))
    screened = screen(bundle, inputs.event, inputs.profile, inputs.facts, inputs.arms, inputs.holdout)
    return conclude(inputs, screened)


def screen_nobody(bundle: Bundle, event: Event, reason: Reason) -> list[Screened]:
    """Every candidate fails at the first hurdle: there is nobody to decide for."""
    return [Screened(rule, reason) for rule in bundle.candidates(event)]


def screen(
    bundle: Bundle,
    event: Event,
    profile: ProfileState | None,
    facts: Facts | None,
    arms: Mapping[str, Arm] = NO_ARMS,
    holdout: Holdout | None = None,
) -> list[Screened]:
    """Take every candidate over the hurdles that need no reservation, best candidate first."""
    if profile is None or facts is None:
        return screen_nobody(bundle, event, Reason.PROFILE_UNKNOWN)
    held: _Held = {}
    at = event.occurred_at
    screened = [_screen_rule(rule, at, profile, facts, held) for rule in bundle.candidates(event)]
    if bundle.templates.any:
        screened = [_screen_template(bundle, candidate, event, profile, arms) for candidate in screened]
    if not arms and holdout is None:
        return screened
    everything = holdout is not None and holdout.held_out
    return [_screen_holdout(candidate, arms, everything) for candidate in screened]


def _screen_rule(
    rule: Rule, occurred_at: datetime, profile: ProfileState, facts: Facts, held: _Held
) -> Screened:
    if not (rule.active and (rule.open_ended or _in_time(rule, occurred_at))):
        return Screened(rule, Reason.CAMPAIGN_INACTIVE)
    if rule.audience is not None and not _holds(rule.audience, facts, held):
        return Screened(rule, Reason.SEGMENT_MISS)
    if rule.condition is not None and not _holds(rule.condition, facts, held):
        return Screened(rule, Reason.CONDITION_MISS)
    if profile.consented.issuperset(rule.channels) and profile.reachable.issuperset(rule.channels):
        return Screened(rule, None, rule.channels)
    reachable = [channel for channel in rule.channels if channel in profile.reachable]
    if not reachable:
        return Screened(rule, Reason.NO_ADDRESS)
    allowed = tuple(channel for channel in reachable if channel in profile.consented)
    if not allowed:
        return Screened(rule, Reason.NO_CONSENT)
    return Screened(rule, None, allowed)


def _in_time(rule: Rule, occurred_at: datetime) -> bool:
    return rule.campaign_window.contains(occurred_at) and rule.event_window.contains(occurred_at)


def _holds(predicate: Predicate, facts: Facts, held: _Held) -> bool:
    """Rules of one campaign share its audience, and rules that say the same share a condition: asked once an event."""
    answer = held.get(predicate)
    if answer is None:
        answer = held[predicate] = predicate(facts)
    return answer


def _screen_template(
    bundle: Bundle, candidate: Screened, event: Event, profile: ProfileState, arms: Mapping[str, Arm]
) -> Screened:
    """Without the channels whose template needs what is missing: what can not be written is not chosen."""
    if candidate.reason is not None:
        return candidate
    arm = arms.get(candidate.rule.marketing_event_id)
    name = (arm and arm.view.template_name) or candidate.rule.template_name
    lacking = {
        channel: bundle.templates.of(name, channel, profile.language).lacking(event.attributes, profile.lacks)
        for channel in candidate.channels
    }
    written = tuple(channel for channel, missing in lacking.items() if not missing)
    if written:
        return candidate if written == candidate.channels else candidate._replace(channels=written)
    missing = tuple(sorted(frozenset().union(*lacking.values())))
    return Screened(candidate.rule, Reason.TEMPLATE_VARIABLE_MISSING, (), missing)


def _screen_holdout(candidate: Screened, arms: Mapping[str, Arm], everything: bool) -> Screened:
    """The last hurdle before the reservation: what is held out must not use up a cooldown or a cap."""
    if candidate.reason is not None:
        return candidate
    arm = arms.get(candidate.rule.marketing_event_id)
    if everything or (arm is not None and arm.view.held_out):
        return Screened(candidate.rule, Reason.HOLDOUT)
    return candidate


class Outline(NamedTuple):
    """What decisions have in common in which the same candidates came to the same reasons.

    Args:
        furthest: the candidate that took the most hurdles; None without candidates.
        reason: the decision's own.
    """

    candidates: tuple[CandidateResult, ...]
    furthest: CandidateResult | None
    reason: Reason
    arm: ArmView | None
    output_sha256: str


Outlines = dict[tuple[object, ...], Outline]
"""Outlines of one bundle that were drawn before; most decisions of a batch have one of a few."""


def conclude(
    inputs: DecisionInputs, screened: Sequence[Screened], outlines: Outlines | None = None
) -> Decision:
    """Select the best candidate that holds a reservation, and give every other its reason.

    Args:
        outlines: drawn before for this bundle; saves drawing them again, and changes nothing.
    """
    selected = _selected(screened, inputs.verdicts)
    due = _due_at(inputs, selected)
    outline = _outline(inputs, screened, selected, due, {} if outlines is None else outlines)
    return Decision(
        outcome=Outcome.SUPPRESSED if selected is None else Outcome.SEND,
        reason=outline.reason,
        summary=summarise(outline.reason, outline.furthest, inputs),
        selected=selected.rule if selected else None,
        channels=selected.channels if selected else (),
        due_at=due,
        candidates=outline.candidates,
        output_sha256=outline.output_sha256,
        arm=outline.arm,
    )


def _due_at(inputs: DecisionInputs, selected: Screened | None) -> datetime | None:
    if selected is None:
        return None
    zone = inputs.profile.time_zone if inputs.profile else None
    return due_at(inputs.decided_at, selected.rule.quiet_hours, zone)


def _outline(
    inputs: DecisionInputs,
    screened: Sequence[Screened],
    selected: Screened | None,
    due: datetime | None,
    outlines: Outlines,
) -> Outline:
    reasons = [_reason(candidate, selected, inputs.verdicts) for candidate in screened]
    if inputs.arms:  # a profile's own, so nothing to share
        return _draw_outline(inputs, screened, reasons, selected, due)
    event = inputs.event
    missing = tuple(candidate.missing for candidate in screened if candidate.missing)
    key = (
        *(event.event_type, event.dispatch, inputs.profile is None and inputs.absence),
        *(selected and selected[2], due, missing),
        *reasons,
    )
    outline = outlines.get(key)
    if outline is None:
        outline = outlines[key] = _draw_outline(inputs, screened, reasons, selected, due)
    return outline


def _draw_outline(
    inputs: DecisionInputs,
    screened: Sequence[Screened],
    reasons: Sequence[Reason],
    selected: Screened | None,
    due: datetime | None,
) -> Outline:
    candidates = tuple(
        CandidateResult(candidate.rule, reason, missing=candidate.missing)
        for candidate, reason in zip(screened, reasons, strict=True)
    )
    if inputs.arms:
        candidates = tuple(_with_arm(candidate, inputs.arms) for candidate in candidates)
    furthest = _furthest(candidates)
    reason = furthest.reason if furthest else _reason_without_candidates(inputs)
    rule, channels = (selected.rule, selected.channels) if selected else (None, ())
    return Outline(
        candidates,
        furthest,
        reason,
        arm=_holdout_arm(furthest) if selected is None else furthest and furthest.arm,
        output_sha256=_output_sha256(reason, rule, channels, due, candidates),
    )


def _selected(screened: Sequence[Screened], verdicts: Mapping[str, Verdict]) -> Screened | None:
    for candidate in screened:
        if candidate.reason is None and (verdicts.get(candidate.rule.marketing_event_id) is Verdict.HELD):
            return candidate
    return None


def _reason(candidate: Screened, selected: Screened | None, verdicts: Mapping[str, Verdict]) -> Reason:
    if candidate.reason is not None:
        return candidate.reason
    if candidate is selected:
        return Reason.SELECTED
    verdict = verdicts.get(candidate.rule.marketing_event_id)
    return _LOST.get(verdict, Reason.LOST_TO)


def _holdout_arm(furthest: CandidateResult | None) -> ArmView | None:
    """The experiment's holdout, where it is what kept the message back."""
    if furthest is None or furthest.reason is not Reason.HOLDOUT or furthest.arm is None:
        return None
    return furthest.arm if furthest.arm.held_out else None


def _with_arm(candidate: CandidateResult, arms: Mapping[str, Arm]) -> CandidateResult:
    arm = arms.get(candidate.rule.marketing_event_id)
    return candidate if arm is None else candidate._replace(arm=arm.view)


def _furthest(candidates: Sequence[CandidateResult]) -> CandidateResult | None:
    """The candidate that took the most hurdles; among equals the best (they come best first)."""
    return max(candidates, key=lambda candidate: HURDLE[candidate.reason], default=None)


def _reason_without_candidates(inputs: DecisionInputs) -> Reason:
    return Reason.NO_CANDIDATE if inputs.profile is not None else inputs.absence


def _output_sha256(
    reason: Reason,
    rule: Rule | None,
    channels: Sequence[str],
    due: datetime | None,
    candidates: Sequence[CandidateResult],
) -> str:
    output = [
        reason,
        rule.marketing_event_id if rule else None,
        channels,
        due,
        [_output_of(candidate) for candidate in candidates],
    ]
    return hashlib.sha256(orjson.dumps(output)).hexdigest()


def _output_of(candidate: CandidateResult) -> list[object]:
    """Id and reason, and only where an experiment took part what it drew, and where variables are missing their names:
    the others hash as they always did."""
    output: list[object] = [candidate.rule.marketing_event_id, candidate.reason]
    if candidate.arm is not None:
        output.append(tuple(candidate.arm))
    if candidate.missing:
        output.append({"missing": candidate.missing})
    return output
