"""The words of a decision. What can be said of a rule in advance is said once, when its bundle is
compiled."""

from __future__ import annotations

from collections.abc import Mapping

from server.conditions import Condition, describe
from server.decisions.arms.model import ArmView
from server.decisions.model import CandidateResult, DecisionInputs, Limit, LimitKind, Reason

_WITHOUT_CANDIDATE = {
    Reason.NO_CANDIDATE: "no active marketing event is triggered by events of this type",
    Reason.PROFILE_UNKNOWN: "the profile is not known",
    Reason.PROFILE_ERASED: "the profile was erased",
}
_VERBS = {Reason.SELECTED: "selected", Reason.CONDITION_MISS: "not sent"}
_SECONDS_PER_DAY = 86_400


def rule_explanations(
    *,
    event_name: str,
    channels: tuple[str, ...],
    audience_name: str,
    audience: Condition | None,
    condition: Condition | None,
    limits: tuple[Limit, ...],
) -> Mapping[Reason, str]:
    """The words for every reason that one rule's candidate may get, without personal data."""
    over = " or ".join(channels)
    return {
        Reason.PROFILE_UNKNOWN: f"{event_name}: the profile is not known",
        Reason.PROFILE_ERASED: f"{event_name}: the profile was erased",
        Reason.CAMPAIGN_INACTIVE: f"{event_name}: its campaign was not active at the time of the event",
        Reason.SEGMENT_MISS: f"{event_name}: the profile is outside {_audience(audience_name, audience)}",
        Reason.CONDITION_MISS: f"{event_name}: it does not hold that {_condition(condition)}",
        Reason.NO_ADDRESS: f"{event_name}: the profile has no address for {over}",
        Reason.NO_CONSENT: f"{event_name}: the profile has given no current consent for {over}",
        Reason.TEMPLATE_VARIABLE_MISSING: f"{event_name}: its template needs what neither event nor profile holds",
        Reason.HOLDOUT: f"{event_name}: the profile is in the tenant's holdout, which gets no messages",
        Reason.COOLDOWN: f"{event_name}: it was sent within its cooldown of {_cooldown(limits)}",
        Reason.CAPPED: f"{event_name}: a frequency cap is used up ({_caps(limits)})",
        Reason.LOST_TO: f"{event_name}: a candidate of higher rank was selected",
        Reason.SELECTED: f"{event_name}: selected{_because(audience_name, condition)}",
    }


def summarise(reason: Reason, furthest: CandidateResult | None, inputs: DecisionInputs) -> str:
    """One sentence for the whole decision; where a condition spoke, with the values that it saw."""
    if furthest is None:
        return _WITHOUT_CANDIDATE[reason]
    rule = furthest.rule
    if rule.explain is None or inputs.facts is None or reason not in _VERBS:
        return explain(furthest)
    _, why = rule.explain(inputs.facts)
    return _with_details(f"{rule.event_name}: {_VERBS[reason]} because {why}", furthest)


def explain(candidate: CandidateResult) -> str:
    """The words for one candidate, with the arm that it drew where an experiment decides what it says, and with the
    names of the variables that are missing."""
    return _with_details(candidate.rule.views[candidate.reason].explanation, candidate)


def _with_details(words: str, candidate: CandidateResult) -> str:
    arm = candidate.arm
    if candidate.missing:
        return f"{words}: {', '.join(candidate.missing)}"
    if arm is None:
        return words
    if candidate.reason is Reason.SELECTED:
        return f"{words}; as {_arm(arm)}"
    if candidate.reason is Reason.HOLDOUT and arm.held_out:
        return f"{candidate.rule.event_name}: the profile is in {_arm(arm)}"
    return words


def _arm(arm: ArmView) -> str:
    part = "the holdout" if arm.held_out else f"variant {arm.variant!r}"
    return f"{part} of the experiment {arm.experiment_id!r}"


def _audience(name: str, audience: Condition | None) -> str:
    return f"the audience {name!r} ({describe(audience)})" if audience else "the campaign's audience"


def _condition(condition: Condition | None) -> str:
    return describe(condition) if condition else "always"


def _because(audience_name: str, condition: Condition | None) -> str:
    if condition is not None:
        return f" because {describe(condition)}"
    return f" because the profile is in the audience {audience_name!r}" if audience_name else ""


def _cooldown(limits: tuple[Limit, ...]) -> str:
    cooldown = next((limit for limit in limits if limit.kind is LimitKind.COOLDOWN), None)
    return _duration(cooldown.window_us // 1_000_000) if cooldown else "none"


def _caps(limits: tuple[Limit, ...]) -> str:
    caps = [limit for limit in limits if limit.kind is LimitKind.CAP]
    words = (f"at most {cap.maximum} in {_duration(cap.window_us // 1_000_000)}{cap.scope}" for cap in caps)
    return ", ".join(words) or "none"


def _duration(seconds: int) -> str:
    for unit, size in (("day", _SECONDS_PER_DAY), ("hour", 3600), ("minute", 60)):
        if seconds >= size and seconds % size == 0:
            count = seconds // size
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{seconds} s"
