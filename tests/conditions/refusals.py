"""What must be true of any document: it is read, and then every reader of it works, or it is refused with paths."""

from __future__ import annotations

import json
import re

import orjson

from server.conditions import Condition, Facts, compile_predicate, compile_sql, describe, explain, parse
from server.conditions.parser import MAX_FAULTS
from server.errors import InvalidInput
from tests.conditions.strategies import AT

_PATH = re.compile(r"\$(\.[^.\[\]]*|\[\d+\]|\..*)*", re.DOTALL)
_STRANGE_FACTS = (
    {},
    {"a": None, "b": [], "tags": {}},
    {"a": 10**400, "b": float("nan"), "tags": ["a", ["a"], None]},
    {"a": "\ud800", "b": "x" * 5_000, "tags": {"a": {"a": [1]}}},
    {"a": {"latitude": 91, "longitude": "0"}, "b": True, "tags": float("-inf")},
)


def read_or_refused(document: object) -> None:
    """Fails on a crash, on a refusal without paths, and on a rule that some reader does not take."""
    try:
        condition = parse(document)
    except InvalidInput as refusal:
        _has_paths(refusal)
    else:
        _works(condition)


def _has_paths(refusal: InvalidInput) -> None:
    assert 1 <= len(refusal.violations) <= MAX_FAULTS
    for violation in refusal.violations:
        assert _PATH.fullmatch(violation.field)
        assert violation.description
        f"{violation.field} {violation.description}".encode()


def _works(condition: Condition) -> None:
    canonical = condition.canonical()
    assert parse(orjson.dumps(canonical)) == condition
    assert parse(json.dumps(canonical).encode()) == condition
    describe(condition).encode()
    for known in _STRANGE_FACTS:
        profile = {"raw_attributes": known, "portfolio_snapshot": known, "location": known}
        facts = Facts(occurred_at=AT, profile=profile, segments=("a",), event=known)
        compile_predicate(condition)(facts)
        explain(condition, facts)
    try:
        compile_sql(condition, at=AT)
    except InvalidInput as refusal:
        _has_paths(refusal)
