"""An experiment: several variants of one marketing event, and who gets which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from server.contact_policy import LONGEST_WINDOW_SECONDS
from server.validation import Violations

ALLOCATIONS: Final = ("fixed", "thompson")
HOLDOUT_VARIANT: Final = "holdout"
DEFAULT_WINDOW_SECONDS: Final = 7 * 86_400
_MOST_VARIANTS: Final = 10
_HEAVIEST: Final = 1_000_000
_LARGEST_SEED: Final = 2**53 - 1
_LONGEST_NAME: Final = 100


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to say it.

    Args:
        weight: its share is this over the sum of all; 0 takes it out.
        template_name: what it sends; None for the marketing event's own template.
    """

    name: str
    weight: int
    template_name: str | None = None

    def document(self) -> dict[str, Any]:
        """As it is stored."""
        return {"name": self.name, "weight": self.weight, "template_name": self.template_name}


@dataclass(frozen=True, slots=True)
class VariantCount:
    """How a variant did so far, in profiles: sent to, and of these converted within the window."""

    exposures: int
    conversions: int


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment, as the caller wants it or as it is stored (then with status, counts and times).

    Args:
        event_name: the marketing event, by its name in the campaign.
        allocation: one of `ALLOCATIONS`, empty when the caller gave an unknown one.
        holdout_fraction: share of profiles that are sent nothing by this marketing event, 0 up to 1.
        conversion_event_type: the customers' event that counts as a success; None counts none.
        counts: by variant, the holdout under its own name.
    """

    experiment_id: str
    experiment_name: str
    campaign_id: str
    event_name: str
    allocation: str
    variants: tuple[Variant, ...]
    holdout_fraction: float = 0.0
    seed: int = 0
    conversion_event_type: str | None = None
    attribution_window_seconds: int = DEFAULT_WINDOW_SECONDS
    start_at: datetime | None = None
    end_at: datetime | None = None
    status: str = "draft"
    counts: Mapping[str, VariantCount] = field(default_factory=dict)
    status_changed_at: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None

    def check(self, violations: Violations) -> None:
        """Note every fault."""
        violations.identifier("experiment_id", self.experiment_id)
        violations.text("experiment_name", self.experiment_name, maximum=200)
        violations.identifier("campaign_id", self.campaign_id)
        violations.text("event_name", self.event_name, maximum=200)
        violations.one_of("allocation", self.allocation, ALLOCATIONS)
        violations.fraction("holdout_fraction", self.holdout_fraction)
        violations.between("seed", self.seed, 0, _LARGEST_SEED)
        violations.between(
            "attribution_window_seconds", self.attribution_window_seconds, 60, LONGEST_WINDOW_SECONDS
        )
        violations.period(self.start_at, self.end_at)
        self._check_conversion(violations)
        self._check_variants(violations)

    def _check_conversion(self, violations: Violations) -> None:
        if self.conversion_event_type is not None:
            violations.text("conversion_event_type", self.conversion_event_type, maximum=_LONGEST_NAME)
        elif self.allocation == "thompson":
            violations.add("conversion_event_type", "is required: Thompson sampling learns from conversions")

    def _check_variants(self, violations: Violations) -> None:
        violations.count("variants", self.variants, lowest=1, highest=_MOST_VARIANTS)
        names: set[str] = set()
        for place, variant in enumerate(self.variants[:_MOST_VARIANTS]):
            _check_variant(variant, names, violations.under(f"variants[{place}]"))
            names.add(variant.name)
        if self.variants and not any(variant.weight > 0 for variant in self.variants):
            violations.add("variants", "at least one needs a weight above 0")
        if len(self.variants) == 1 and self.holdout_fraction == 0:
            violations.add("variants", "a single one needs a holdout_fraction, to be compared with nothing")


def _check_variant(variant: Variant, names: set[str], violations: Violations) -> None:
    violations.text("name", variant.name, maximum=_LONGEST_NAME)
    violations.between("weight", variant.weight, 0, _HEAVIEST)
    if variant.name == HOLDOUT_VARIANT:
        violations.add("name", f'"{HOLDOUT_VARIANT}" is the part that is sent nothing; choose another name')
    elif variant.name in names:
        violations.add("name", "is there twice; name each variant once")
    if variant.template_name is not None:
        violations.text("template_name", variant.template_name, maximum=200)
