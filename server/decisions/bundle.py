"""Compiles the definitions in force (the rule bundle) into what the hot path reads. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from server.conditions import Condition, Explainer, compile_explainer, compile_predicate, parse
from server.conditions.attributes import LOCATION, Attribute, Source
from server.conditions.closure import Predicate
from server.contact_policy import QuietHours
from server.decisions.arms.definitions import compile_experiments, compile_holdout
from server.decisions.arms.model import Window
from server.decisions.explanation import rule_explanations
from server.decisions.model import Bundle, CandidateView, Reason, Rule, view_document
from server.decisions.reservation.definition_limits import limits_of, scopes_of
from server.decisions.reservation.limits import hold_request
from server.decisions.template_needs import TemplateNeeds

_IN_PROFILE = (Source.COLUMN, Source.DOCUMENT)


def compile_bundle(bundle_id: str, version: int, document: str) -> Bundle:
    """Compile a stored bundle.

    Args:
        bundle_id: hash of the document.
        version: the tenant's definitions version that it was read with.
        document: canonical JSON with `tenant`, `campaigns`, `marketing_events` and `experiments`
            (db/queries/decisions.sql).

    Raises:
        InvalidInput: a stored condition no longer parses; the definition must be put again.
    """
    content = orjson.loads(document)
    campaigns = {campaign["campaign_id"]: campaign for campaign in content["campaigns"]}
    rules = sorted(
        (
            _compile_rule(definition, campaigns[definition["campaign_id"]], content["tenant"])
            for definition in content["marketing_events"]
        ),
        key=lambda rule: (-rule.priority, rule.marketing_event_id),
    )
    # Bundles of before there were experiments and holdouts, and of before templates were asked, lack them.
    experiments = compile_experiments(content.get("experiments", ()), content["marketing_events"])
    conditions = [tree for rule in rules for tree in (rule.condition_tree, rule.audience_tree) if tree]
    return Bundle(
        bundle_id=bundle_id,
        version=version,
        document=document,
        by_event_type=_by_event_type(rules, content["marketing_events"]),
        always=_triggered(rules, content["marketing_events"], None),
        by_id={rule.marketing_event_id: rule for rule in rules},
        profile_columns=_profile_columns(conditions),
        raw_attributes=_raw_attributes(conditions),
        windows=frozenset(window for tree in conditions for window in tree.aggregates),
        templates=TemplateNeeds(content.get("templates", ())),
        symbols=frozenset(symbol for tree in conditions for symbol in tree.symbols),
        longest_window_us=max(
            (limit.window_us for rule in rules for limits in rule.limits.values() for limit in limits),
            default=0,
        ),
        experiments=experiments,
        adaptive=frozenset(e.experiment_id for e in experiments.values() if e.adaptive),
        holdout=compile_holdout(content["tenant"].get("holdout")),
    )


def _profile_columns(conditions: Iterable[Condition]) -> frozenset[str]:
    columns = {attribute.column for attribute in _attributes(conditions) if attribute.source in _IN_PROFILE}
    if LOCATION in columns:
        columns |= {"latitude", "longitude"}
    return frozenset(columns - {LOCATION, "raw_attributes"})


def _raw_attributes(conditions: Iterable[Condition]) -> frozenset[str]:
    return frozenset(
        attribute.path[0]
        for attribute in _attributes(conditions)
        if attribute.source is Source.DOCUMENT and attribute.column == "raw_attributes"
    )


def _attributes(conditions: Iterable[Condition]) -> Iterable[Attribute]:
    return (leaf.attribute for tree in conditions for leaf in tree.comparisons())


def _by_event_type(rules: list[Rule], definitions: list[Mapping[str, Any]]) -> Mapping[str, tuple[Rule, ...]]:
    types = {rule.trigger_event_type for rule in rules if rule.trigger_event_type}
    return {event_type: _triggered(rules, definitions, event_type) for event_type in types}


def _triggered(
    rules: list[Rule], definitions: list[Mapping[str, Any]], event_type: str | None
) -> tuple[Rule, ...]:
    """TRIGGER definitions of this event type, or of every type; others are reached by a dispatch only."""
    triggers = {d["marketing_event_id"] for d in definitions if d["event_type"] == "TRIGGER"}
    return tuple(
        rule
        for rule in rules
        if rule.marketing_event_id in triggers and rule.trigger_event_type in (None, event_type)
    )


class _Compiled(NamedTuple):
    tree: Condition
    predicate: Predicate
    explainer: Explainer


def _compiled(document: Mapping[str, Any]) -> _Compiled:
    """One for all rules, campaigns and tenants that say the same: compiling takes longer than deciding a batch does,
    and `screen` asks what is shared only once."""
    return _compiled_text(orjson.dumps(document))


@lru_cache(maxsize=4_096)
def _compiled_text(document: bytes) -> _Compiled:
    tree = parse(orjson.loads(document))
    return _Compiled(tree, compile_predicate(tree), compile_explainer(tree))


def _compile_rule(
    definition: Mapping[str, Any], campaign: Mapping[str, Any], tenant: Mapping[str, Any]
) -> Rule:
    audience_document = campaign["audience"]
    audience = _compiled(audience_document["condition"]) if audience_document else None
    audience_name = audience_document["name"] if audience_document else ""
    condition = _compiled(definition["condition"]) if definition["condition"] else None
    channels = tuple(definition["channels"])
    limits = limits_of(definition, campaign, tenant, channels)
    scopes = {channel: scopes_of(definition, channel) for channel in channels}
    explanations = rule_explanations(
        event_name=definition["event_name"],
        channels=channels,
        audience_name=audience_name,
        audience=audience.tree if audience else None,
        condition=condition.tree if condition else None,
        limits=tuple(dict.fromkeys(limit for found in limits.values() for limit in found)),
    )
    views = _views(definition, explanations)
    return Rule(
        marketing_event_id=definition["marketing_event_id"],
        campaign_id=definition["campaign_id"],
        event_name=definition["event_name"],
        trigger_event_type=definition["trigger_event_type"],
        topic=definition.get("topic"),
        template_name=definition.get("template_name", ""),
        priority=definition["priority"],
        channels=channels,
        active=campaign["status"] == "active",
        campaign_window=_window(campaign),
        event_window=_window(definition),
        audience=audience.predicate if audience else None,
        condition=condition.predicate if condition else None,
        audience_name=audience_name or definition["event_name"],
        audience_version=audience_document["version"]
        if audience_document
        else definition["marketing_event_id"],
        condition_tree=condition.tree if condition else None,
        audience_tree=audience.tree if audience else None,
        explain=condition.explainer if condition else None,
        limits=limits,
        scopes=scopes,
        holds={channel: hold_request(scopes[channel], limits[channel]) for channel in channels},
        quiet_hours=_quiet_hours(campaign["quiet_hours"] or tenant["quiet_hours"]),
        views=views,
        fragments={reason: orjson.dumps(view_document(view)) for reason, view in views.items()},
        open_ended=not (
            campaign["start_at"] or campaign["end_at"] or definition["start_at"] or definition["end_at"]
        ),
    )


def _views(
    definition: Mapping[str, Any], explanations: Mapping[Reason, str]
) -> Mapping[Reason, CandidateView]:
    return {
        reason: CandidateView(definition["marketing_event_id"], definition["event_name"], reason, words)
        for reason, words in explanations.items()
    }


def _window(document: Mapping[str, Any]) -> Window:
    return Window(_instant(document["start_at"]), _instant(document["end_at"]))


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _quiet_hours(document: Mapping[str, Any] | None) -> QuietHours | None:
    return QuietHours.from_document(document) if document else None
