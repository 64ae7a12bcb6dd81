"""What an experiment is to a decision, and what it drew for a profile. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

HOLDOUT_VARIANT: Final = "holdout"
"""Name of the part of an experiment that gets nothing; no variant may have it."""

Counts: TypeAlias = Mapping[str, tuple[int, int]]
"""For each variant how many profiles were sent it, and how many of these then converted."""


@dataclass(frozen=True, slots=True)
class Window:
    """Half-open interval of event time; an absent bound is open."""

    start_at: datetime | None
    end_at: datetime | None

    def contains(self, moment: datetime) -> bool:
        """Whether `moment` lies at or after the start and before the end."""
        return (self.start_at is None or moment >= self.start_at) and (
            self.end_at is None or moment < self.end_at
        )


@dataclass(frozen=True, slots=True)
class Experiment:
    """A running experiment on one marketing event.

    Args:
        weights: of each variant that may be drawn, in the order of their names.
        templates: what each variant sends.
        adaptive: whether the shares follow the counters (Thompson sampling) instead of the weights.
        holdout_fraction: share of profiles that get nothing, 0 up to 1.
        period: when it is in force, in event time.
    """

    experiment_id: str
    weights: Mapping[str, float]
    templates: Mapping[str, str]
    adaptive: bool
    holdout_fraction: float
    seed: int
    period: Window


class HoldoutShare(NamedTuple):
    """The tenant's holdout: the share of profiles that get no messages, 0 up to 1, and the seed of its draw."""

    fraction: float
    seed: int


class ArmView(NamedTuple):
    """The part of an experiment that a profile fell to, as it is told to the caller.

    Args:
        variant: name of the variant; HOLDOUT_VARIANT for the part that gets nothing.
        template_name: what is sent; None for the holdout.
        propensity: probability of this arm when it was drawn, above 0 up to 1.
    """

    experiment_id: str
    variant: str
    template_name: str | None
    propensity: float

    @property
    def held_out(self) -> bool:
        """Whether this is the part that gets nothing."""
        return self.variant == HOLDOUT_VARIANT


class Arm(NamedTuple):
    """The part of an experiment that a profile falls to, with all that it was drawn from.

    Args:
        view: what was drawn.
        seed: the experiment's seed.
        draw: the number of the arm that won, 0 up to 1 (`assignment.py`).
        counts: what the shares of Thompson sampling were computed from; None with fixed weights.
    """

    view: ArmView
    seed: int
    draw: float
    counts: Counts | None = None


class Holdout(NamedTuple):
    """Where a profile stands to the tenant's holdout.

    Args:
        fraction: the share of profiles that it holds, 0 up to 1.
        seed: seed of the draw.
        draw: the profile's number, 0 up to 1.
    """

    fraction: float
    seed: int
    draw: float

    @property
    def held_out(self) -> bool:
        """Whether the profile belongs to it."""
        return self.draw < self.fraction


NO_ARMS: Final[Mapping[str, Arm]] = MappingProxyType({})
