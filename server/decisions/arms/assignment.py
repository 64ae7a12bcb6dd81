"""Which part of an experiment a profile falls to. Pure: the same profile, seed and shares give the same part.

Every variant has a number between 0 and 1 for every profile: the first 52 bits of

    leo_key_id('experiment_arm', tenant, experiment, seed, variant, profile)

and the variant with the smallest -ln(1 - number) / share is drawn. That is a race of exponential clocks: a variant
wins with exactly its share, whatever the order in which the variants are listed. When shares change, a profile only
ever moves to a variant whose share grew in proportion to the one that it leaves; while they stay, nobody moves.
The holdouts compare a number of their own with their fraction, so that a larger one holds all of a smaller one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final
from uuid import UUID

from server.decisions.arms.model import (
    HOLDOUT_VARIANT,
    NO_ARMS,
    Arm,
    ArmView,
    Counts,
    Experiment,
    Holdout,
    HoldoutShare,
)
from server.decisions.arms.thompson import best_shares
from server.decisions.model import Bundle, Event
from server.platform.ids import key_digests

_RANGE: Final = 2**52
_NONE_YET: Final = (0, 0)


def draw_holdout(tenant_id: UUID, share: HoldoutShare, profile_id: str) -> Holdout:
    """The profile's place in the tenant's holdout."""
    draw = _number(_digests("holdout", tenant_id, str(share.seed)), profile_id)
    return Holdout(fraction=share.fraction, seed=share.seed, draw=draw)


def draw_arms(
    tenant_id: UUID, bundle: Bundle, event: Event, counters: Mapping[str, Counts]
) -> Mapping[str, Arm]:
    """The arms of the event's candidates that an experiment is in force for, by marketing event.

    Args:
        counters: by experiment, the counters of those that are adaptive.
    """
    arms: dict[str, Arm] = {}
    for rule in bundle.candidates(event):
        experiment = bundle.experiments.get(rule.marketing_event_id)
        if experiment is not None and experiment.period.contains(event.occurred_at):
            arms[rule.marketing_event_id] = draw_arm(
                tenant_id, experiment, event.profile_id, counters.get(experiment.experiment_id, {})
            )
    return arms or NO_ARMS


def draw_arm(tenant_id: UUID, experiment: Experiment, profile_id: str, counts: Counts) -> Arm:
    """The profile's part of one experiment.

    Args:
        counts: of the experiment's variants; used where it is adaptive, and a variant that has none begins at 0.
    """
    used = _used_counts(experiment, counts) if experiment.adaptive else None
    held_out = _hold_out(tenant_id, experiment, profile_id, used)
    if held_out is not None:
        return held_out
    shares = experiment.weights if used is None else _adaptive_shares(used)
    variant, draw = _race(tenant_id, experiment, profile_id, shares)
    propensity = (1 - experiment.holdout_fraction) * shares[variant] / math.fsum(shares.values())
    view = ArmView(experiment.experiment_id, variant, experiment.templates[variant], propensity)
    return Arm(view, experiment.seed, draw, used)


def _race(
    tenant_id: UUID, experiment: Experiment, profile_id: str, shares: Mapping[str, float]
) -> tuple[str, float]:
    """The variant whose clock rings first, and its number. Two never ring at once but by an accident of rounding:
    then the name decides."""
    seed = str(experiment.seed)
    times = []
    for variant, share in shares.items():
        if share > 0:
            digests = _digests("experiment_arm", tenant_id, experiment.experiment_id, seed, variant)
            draw = _number(digests, profile_id)
            times.append((-math.log1p(-draw) / share, variant, draw))
    _, won, draw = min(times)
    return won, draw


def _hold_out(tenant_id: UUID, experiment: Experiment, profile_id: str, used: Counts | None) -> Arm | None:
    if not experiment.holdout_fraction:
        return None
    seed = str(experiment.seed)
    draw = _number(_digests("experiment_holdout", tenant_id, experiment.experiment_id, seed), profile_id)
    if draw >= experiment.holdout_fraction:
        return None
    view = ArmView(experiment.experiment_id, HOLDOUT_VARIANT, None, experiment.holdout_fraction)
    return Arm(view, experiment.seed, draw, used)


def _used_counts(experiment: Experiment, counts: Counts) -> Counts:
    """Of the variants that may be drawn only, so that what is recorded is what was used."""
    return {variant: counts.get(variant, _NONE_YET) for variant in experiment.weights}


def _adaptive_shares(counts: Counts) -> Mapping[str, float]:
    return dict(zip(counts, best_shares(tuple(counts.values())), strict=True))


@lru_cache(maxsize=16_384)
def _digests(kind: str, tenant_id: UUID, *parts: str) -> Callable[[str], bytes]:
    return key_digests(kind, tenant_id, *parts)


def _number(digests: Callable[[str], bytes], profile_id: str) -> float:
    return (int.from_bytes(digests(profile_id)[:7]) >> 4) / _RANGE
