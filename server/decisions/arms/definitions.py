"""Compiles the experiments in force and the tenant's holdout out of a rule bundle. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from server.decisions.arms.model import Experiment, HoldoutShare, Window


def compile_experiments(
    experiments: Sequence[Mapping[str, Any]], definitions: Sequence[Mapping[str, Any]]
) -> Mapping[str, Experiment]:
    """The experiments by the marketing event that they are on.

    Args:
        experiments, definitions: `experiments` and `marketing_events` of the bundle's document. An experiment names
            campaign and marketing event, so a changed definition goes on with it under another id.
    """
    names = {(d["campaign_id"], d["event_name"]): d for d in definitions}
    keyed = [(names.get((e["campaign_id"], e["event_name"])), e) for e in experiments]
    return {
        definition["marketing_event_id"]: _compile(experiment, definition["template_name"])
        for definition, experiment in keyed
        if definition is not None
    }


def compile_holdout(document: Mapping[str, Any] | None) -> HoldoutShare | None:
    """The tenant's holdout; None where it holds nobody."""
    if not document or not document["fraction"]:
        return None
    return HoldoutShare(fraction=float(document["fraction"]), seed=document["seed"])


def _compile(experiment: Mapping[str, Any], own_template: str) -> Experiment:
    """A variant without weight is no longer drawn; one without a template sends the marketing event's own."""
    variants = sorted(experiment["variants"], key=lambda variant: str(variant["name"]))
    drawn = [variant for variant in variants if variant["weight"] > 0]
    return Experiment(
        experiment_id=experiment["experiment_id"],
        weights={variant["name"]: float(variant["weight"]) for variant in drawn},
        templates={variant["name"]: variant["template_name"] or own_template for variant in drawn},
        adaptive=experiment["allocation"] == "thompson",
        holdout_fraction=float(experiment["holdout_fraction"]),
        seed=experiment["seed"],
        period=Window(_instant(experiment["start_at"]), _instant(experiment["end_at"])),
    )


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
