"""A condition as a sentence: what it asks, and why it held or did not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from server.conditions.closure import compile_node
from server.conditions.facts import Facts
from server.conditions.model import AllOf, AnyOf, Comparison, Condition, Node, Not
from server.conditions.reading import reader_of
from server.conditions.words import (
    contrasts,
    fact_writer,
    missing_words,
    operand_words,
    quotes_the_fact,
    subject_of,
    verb_of,
)

MAX_PARTS = 8

Reason = tuple[bool, str]
Explainer = Callable[[Facts], Reason]


def describe(condition: Condition) -> str:
    """What the condition asks, for whoever writes or reads rules; it quotes the rule's own values."""
    return _description(condition.root) or "always"


def explain(condition: Condition, facts: Facts) -> str:
    """Why the condition holds of these facts, or `not met: ` and the first part that failed; with values.

    Values that may identify a person are written as `[hidden]`.
    """
    holds, reason = compile_explainer(condition)(facts)
    return reason if holds else f"not met: {reason}"


def compile_explainer(condition: Condition) -> Explainer:
    """A function from facts to whether the condition holds and the reason, for use on the hot path."""
    explainer = _explainer(condition.root)

    def explained(facts: Facts) -> Reason:
        holds, reason = explainer(facts)
        return holds, reason or "always"

    return explained


def _description(node: Node) -> str:
    match node:
        case Comparison():
            verb = verb_of(node, holds=True)
            return _joined(subject_of(node.attribute), "", verb, operand_words(node, private=False))
        case Not(part):
            return f"not ({_description(part) or 'always'})"
        case AllOf(parts):
            return " and ".join(_grouped(part) for part in parts)
        case AnyOf(parts):
            return " or ".join(_grouped(part) for part in parts)


def _grouped(node: Node) -> str:
    words = _description(node) or "always"
    return f"({words})" if isinstance(node, AllOf | AnyOf) and len(node.parts) > 1 else words


def _explainer(node: Node) -> Explainer:
    match node:
        case Comparison():
            return _comparison(node)
        case Not(part):
            return _negation(_explainer(part))
        case AllOf(parts):
            return _all([_explainer(part) for part in parts])
        case AnyOf(parts):
            return _any([_explainer(part) for part in parts])


def _comparison(leaf: Comparison) -> Explainer:
    predicate, read = compile_node(leaf), reader_of(leaf.attribute)
    subject, operand = subject_of(leaf.attribute), operand_words(leaf, private=True)
    tails = {holds: _joined(verb_of(leaf, holds=holds), operand) for holds in (True, False)}
    quoted = {holds: quotes_the_fact(leaf, holds=holds) for holds in (True, False)}
    contrasted = {holds: contrasts(leaf, holds=holds) for holds in (True, False)}
    missing = missing_words(leaf.attribute)
    write, missing_is_told = fact_writer(leaf.attribute), leaf.operator == "exists"

    def explained(facts: Facts) -> Reason:
        holds, value = predicate(facts), read(facts)
        if value is None and not missing_is_told:
            return holds, missing
        if contrasted[holds]:
            return holds, f"{subject} is {write(value)}, not {operand}"
        if quoted[holds]:
            return holds, f"{subject} {write(value)} {tails[holds]}"
        return holds, f"{subject} {tails[holds]}"

    return explained


def _negation(part: Explainer) -> Explainer:
    def explained(facts: Facts) -> Reason:
        holds, reason = part(facts)
        return not holds, reason

    return explained


def _all(parts: Sequence[Explainer]) -> Explainer:
    def explained(facts: Facts) -> Reason:
        reasons = []
        for part in parts:
            holds, reason = part(facts)
            if not holds:
                return False, reason
            reasons.append(reason)
        return True, _and(reasons)

    return explained


def _any(parts: Sequence[Explainer]) -> Explainer:
    def explained(facts: Facts) -> Reason:
        reasons = []
        for part in parts:
            holds, reason = part(facts)
            if holds:
                return True, reason
            reasons.append(reason)
        return False, _and(reasons)

    return explained


def _and(reasons: Sequence[str]) -> str:
    told = [reason for reason in reasons if reason]
    more = len(told) - MAX_PARTS
    return " and ".join(told[:MAX_PARTS] + ([f"{more} more"] if more > 0 else []))


def _joined(*words: str) -> str:
    return " ".join(word for word in words if word)
