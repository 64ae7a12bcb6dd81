"""What a closure says of facts that the database cannot show: events, stored facts, strange types."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings

from server.conditions import Facts, PastEvent, compile_predicate, measure, parse
from server.conditions.windows import parse_window
from tests.conditions.grid import leaf
from tests.conditions.strategies import AT, documents, json_attributes, trees


def holds(document: dict[str, Any], **facts: Any) -> bool:
    return compile_predicate(parse(document))(Facts(**{"occurred_at": AT, **facts}))


def renamed(document: Any) -> Any:
    """The same tree over the event instead of the profile."""
    if isinstance(document, list):
        return [renamed(part) for part in document]
    if not isinstance(document, dict):
        return document
    if "attribute" in document:
        return {**document, "attribute": document["attribute"].replace("profile.", "event.")}
    return {key: renamed(part) for key, part in document.items()}


@settings(max_examples=300, deadline=None, derandomize=True)
@given(trees(json_attributes), documents)
def test_an_events_attributes_are_read_as_a_profiles_are(
    tree: dict[str, Any], document: dict[str, Any]
) -> None:
    of_profile = holds(tree, profile={"raw_attributes": document})
    assert holds(renamed(tree), event=document) is of_profile


@pytest.mark.parametrize("operator", ["==", "!=", "<", ">=", "in", "not_in", "between", "glob", "contains"])
@pytest.mark.parametrize("facts", [{}, {"event": {"a": None}}, {"event": {"a": {}}}, {"event": {"a": [[]]}}])
def test_nothing_compares_with_what_is_missing_or_of_another_kind(
    operator: str, facts: dict[str, Any]
) -> None:
    value: object = {"in": ["x"], "not_in": ["x"], "between": ["a", "z"]}.get(operator, "x")
    assert holds(leaf("event.a", operator, value), **facts) is False
    assert holds({"not": leaf("event.a", operator, value)}, **facts) is True


@pytest.mark.parametrize(
    ("value", "operator", "bound", "expected"),
    [
        (True, "==", 1, False),
        (1, "==", True, False),
        (True, "==", True, True),
        (Decimal("0.10"), "==", 0.1, True),
        (0.1, "==", 0.1, True),
        (0.1 + 0.2, "==", 0.3, False),
        (Decimal("0.1"), "in", [0.1, 0.5], True),
        (2**53 + 1, ">", 2**53, True),
        (float(2**53), ">=", 2**53, True),
        (10**400, ">", 1, True),
        (math.nan, "==", 1, False),
        (math.nan, "<", 1, False),
        (Decimal("NaN"), "<", 1, False),
        (Decimal("NaN"), "in", [1], False),
        ("100", ">=", 100, False),
        (100, ">=", "100", False),
        ("\uffff", "<", "𝄞", True),
        ("Z", "<", "a", True),
        ("é", "==", "e\u0301", False),
    ],
)
def test_values_compare_as_documented(value: object, operator: str, bound: object, expected: bool) -> None:
    assert holds(leaf("event.a", operator, bound), event={"a": value}) is expected


def test_the_event_itself_can_be_asked_for() -> None:
    known: dict[str, Any] = {"event_type": "purchase"}
    assert holds(leaf("event.type", "==", "purchase"), **known)
    assert holds(
        leaf("event.occurred_at", "between", ["2020-03-15T12:00:00Z", "2020-03-16T00:00:00Z"]), **known
    )
    assert not holds(leaf("event.type", "==", "purchase"), event={"type": "purchase"})


def test_facts_stored_as_json_read_as_the_row_did() -> None:
    rule = {
        "all": [
            leaf("last_seen(purchase)", "older_than", "1d"),
            leaf("profile.created_at", "before", AT_TEXT),
        ]
    }
    seen = datetime(2020, 1, 1, tzinfo=UTC)
    for write in (lambda instant: instant, datetime.isoformat):
        profile, aggregates = {"created_at": write(seen)}, {"last_seen(purchase)": write(seen)}
        assert holds(rule, profile=profile, aggregates=aggregates)


AT_TEXT = "2020-03-15T12:00:00Z"


@pytest.mark.parametrize("zone", [UTC, ZoneInfo("America/New_York"), timezone(timedelta(hours=7))])
def test_ages_count_real_seconds_in_any_zone(zone: Any) -> None:
    # Clocks in New York jumped forward on 8 March 2020.
    at = AT.astimezone(zone)
    for step, expected in ((1, True), (0, False), (-1, False)):
        seen = AT - timedelta(days=30, microseconds=step)
        known = {"occurred_at": at, "aggregates": {"last_seen(x)": seen}}
        assert holds(leaf("last_seen(x)", "older_than", "30d"), **known) is expected


def test_no_glob_costs_more_than_its_value_is_long() -> None:
    predicate = compile_predicate(parse(leaf("event.a", "glob", "*a" * 15 + "*b")))
    assert predicate(Facts(occurred_at=AT, event={"a": "a" * 20_000 + "c"})) is False


def test_windows_begin_inside_and_end_before_the_instant() -> None:
    window = parse_window("sum(purchase.amount, 30d)")
    at_its_edges = [
        PastEvent("purchase", AT, {"amount": 1}),
        PastEvent("purchase", AT - timedelta(microseconds=1), {"amount": 10}),
        PastEvent("purchase", AT - timedelta(days=30), {"amount": 0.1}),
        PastEvent("purchase", AT - timedelta(days=30, microseconds=1), {"amount": 1000}),
        PastEvent("refund", AT - timedelta(days=1), {"amount": 5000}),
        PastEvent("purchase", AT - timedelta(days=1), {"amount": "12"}),
        PastEvent("purchase", AT - timedelta(days=1), {}),
    ]
    assert measure([window], at_its_edges, AT) == {window.key: Decimal("10.1")}


def test_an_empty_window_counts_and_sums_to_zero_and_has_no_highest() -> None:
    names = ("count(a, 1d)", "sum(a.b, 1d)", "max(a.b, 1d)", "last_seen(a)")
    values = measure([parse_window(name) for name in names], [], AT)
    assert values == {"count(a, 1d)": 0, "sum(a.b, 1d)": 0, "max(a.b, 1d)": None, "last_seen(a)": None}
