"""Why a candidate came to its reason, hurdle by hurdle and as data. Made when somebody asks, from what was
recorded: deciding does not pay for it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

from server.conditions import Condition
from server.conditions.checks import Check, check
from server.decisions.arms.model import Window
from server.decisions.model import (
    ANY,
    HURDLE,
    Bundle,
    CandidateResult,
    DecisionInputs,
    Limit,
    LimitKind,
    Reason,
    Rule,
    Verdict,
)
from server.decisions.reservation.limits import Holder, counted, is_broken, microseconds, moment

_SECOND_US: Final = 1_000_000
_MOST_SENDS: Final = 10


def candidate_checks(
    candidate: CandidateResult,
    bundle: Bundle,
    inputs: DecisionInputs,
    selected: Rule | None,
    holders: Sequence[Holder],
) -> list[Check]:
    """What the candidate was held against, up to the hurdle that it did not take.

    Args:
        bundle: the rules that it was decided with.
        selected: who won.
        holders: the other sends to the profile that were known then.
    """
    if inputs.profile is None:
        words = "the profile was erased" if inputs.erased else "the profile is not known"
        return [Check("profile", "profile", "exists", True, False, False, words)]
    steps: Sequence[tuple[Reason, Callable[[], list[Check]]]] = (
        (Reason.CAMPAIGN_INACTIVE, lambda: _activity(candidate.rule, inputs.event.occurred_at)),
        (Reason.SEGMENT_MISS, lambda: _condition(candidate.rule.audience_tree, inputs, "audience")),
        (Reason.CONDITION_MISS, lambda: _condition(candidate.rule.condition_tree, inputs, "condition")),
        (Reason.NO_ADDRESS, lambda: _channels(candidate.rule, inputs, "address")),
        (Reason.NO_CONSENT, lambda: _channels(candidate.rule, inputs, "consent")),
        (Reason.TEMPLATE_VARIABLE_MISSING, lambda: _templates(candidate, bundle, inputs)),
        (Reason.HOLDOUT, lambda: _holdout(candidate, inputs)),
        # Cooldown and caps are one hurdle: whoever met either was held against all of them.
        (Reason.COOLDOWN, lambda: _limits(candidate, bundle, inputs, holders)),
        (Reason.LOST_TO, lambda: _rank(candidate, selected)),
    )
    reached = HURDLE[candidate.reason]
    return [made for reason, step in steps if HURDLE[reason] <= reached for made in step()]


def _activity(rule: Rule, at: datetime) -> list[Check]:
    status = "active" if rule.active else "not active"
    return [
        Check(
            "campaign.status", "campaign", "==", "active", status, rule.active, f"its campaign is {status}"
        ),
        _period("campaign.period", rule.campaign_window, at),
        _period("period", rule.event_window, at),
    ]


def _period(path: str, window: Window, at: datetime) -> Check:
    holds = window.contains(at)
    bounds = {"start_at": window.start_at, "end_at": window.end_at}
    words = f"the event is {'inside' if holds else 'outside'} the time in which it is active"
    return Check(path, "event.occurred_at", "between", bounds, at, holds, words)


def _condition(tree: Condition | None, inputs: DecisionInputs, path: str) -> list[Check]:
    return check(tree, inputs.facts, path=path) if tree is not None and inputs.facts is not None else []


def _channels(rule: Rule, inputs: DecisionInputs, subject: str) -> list[Check]:
    assert inputs.profile is not None
    there = inputs.profile.reachable if subject == "address" else inputs.profile.consented
    words = {
        True: f"there is {'an address' if subject == 'address' else 'a current consent'} for",
        False: f"there is no {subject if subject == 'address' else 'current consent'} for",
    }
    return [
        Check(
            f"channels[{place}].{subject}", channel, "exists", True, channel in there, channel in there,
            f"{words[channel in there]} {channel}",
        )
        for place, channel in enumerate(rule.channels)
    ]  # fmt: skip


def _holdout(candidate: CandidateResult, inputs: DecisionInputs) -> list[Check]:
    checks = []
    if inputs.holdout is not None:
        draw, fraction, held = inputs.holdout.draw, inputs.holdout.fraction, inputs.holdout.held_out
        words = f"the profile is {'in' if held else 'not in'} the tenant's holdout"
        checks.append(Check("holdout", "profile's draw", ">=", fraction, draw, not held, words))
    if candidate.arm is not None:
        held = candidate.arm.held_out
        words = f"experiment {candidate.arm.experiment_id!r} drew {candidate.arm.variant!r}"
        checks.append(Check("experiment", "arm", "!=", "holdout", candidate.arm.variant, not held, words))
    return checks


def _lacking(
    candidate: CandidateResult, bundle: Bundle, inputs: DecisionInputs
) -> Mapping[str, frozenset[str]]:
    """What the template of each channel that could be used lacks, in the order of the channels."""
    assert inputs.profile is not None
    profile = inputs.profile
    name = (candidate.arm and candidate.arm.template_name) or candidate.rule.template_name
    return {
        channel: bundle.templates.of(name, channel, profile.language).lacking(
            inputs.event.attributes, profile.lacks
        )
        for channel in candidate.rule.channels
        if channel in profile.reachable and channel in profile.consented
    }


def _templates(candidate: CandidateResult, bundle: Bundle, inputs: DecisionInputs) -> list[Check]:
    """Each variable that is missing; of templates that lack nothing there is nothing to say."""
    return [
        Check(
            f"channels[{candidate.rule.channels.index(channel)}].template", name, "exists", True, False, False,
            f"the template for {channel} needs {name}, which is missing",
        )
        for channel, missing in _lacking(candidate, bundle, inputs).items()
        for name in sorted(missing)
    ]  # fmt: skip


def _limits(
    candidate: CandidateResult, bundle: Bundle, inputs: DecisionInputs, holders: Sequence[Holder]
) -> list[Check]:
    """Each limit with the sends that counted. A send that was under way then may never have been recorded."""
    verdict = inputs.verdicts.get(candidate.rule.marketing_event_id)
    if verdict is None or inputs.profile is None:
        return []
    lacking = _lacking(candidate, bundle, inputs)
    channel = next(channel for channel, missing in lacking.items() if not missing)
    occurred_us = microseconds(inputs.event.occurred_at)
    limits = candidate.rule.limits[channel]
    checks = [_limit(f"limits[{place}]", limit, occurred_us, holders) for place, limit in enumerate(limits)]
    if verdict is not Verdict.HELD and all(made.holds for made in checks):
        words = "a send that was under way at that moment counted, and was not recorded after all"
        checks.append(Check("limits", "sends", verdict.value, None, None, False, words))
    return checks


def _limit(path: str, limit: Limit, occurred_us: int, holders: Sequence[Holder]) -> Check:
    near = sorted(holder.occurred_us for holder in counted(limit, occurred_us, holders))
    holds = not is_broken(limit, occurred_us, holders)
    scope = [name for name in ("campaign", "event", "channel", "topic") if getattr(limit, name) != ANY]
    seconds = limit.window_us // _SECOND_US
    name = "cooldown" if limit.kind is LimitKind.COOLDOWN else "cap"
    return Check(
        path=path,
        subject=name,
        operator="at most",
        expected={"maximum": limit.maximum, "window_seconds": seconds, "of_the_same": scope},
        actual={"sends": len(near), "at": [moment(us) for us in near[:_MOST_SENDS]]},
        holds=holds,
        words=f"{name}: {len(near)} sent within {seconds:,} s of the event, at most {limit.maximum} in any such time",
    )


def _rank(candidate: CandidateResult, selected: Rule | None) -> list[Check]:
    if selected is None:
        return []
    own, best = candidate.rule, selected
    return [
        Check(
            path="rank",
            subject="priority",
            operator="best of",
            expected={"marketing_event_id": best.marketing_event_id, "priority": best.priority},
            actual={"marketing_event_id": own.marketing_event_id, "priority": own.priority},
            holds=own is best,
            words=f"{best.event_name!r} with priority {best.priority} is the best that may be sent",
        )
    ]
