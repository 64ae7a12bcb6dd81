"""Rules are checked whole when they are written, and every fault is told with its path."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.conditions import parse
from server.conditions.parser import MAX_BYTES, MAX_DEPTH, MAX_NODES
from server.errors import InvalidInput
from tests.conditions.strategies import trees

VIP = {"attribute": "segment", "operator": "contains", "value": "vip"}


def leaf(attribute: object, operator: object = "==", *value: object) -> dict[str, object]:
    """A leaf as a caller writes it; without a value when none is given."""
    document = {"attribute": attribute, "operator": operator}
    return {**document, "value": value[0]} if value else document


def faults_of(document: object) -> dict[str, str]:
    with pytest.raises(InvalidInput) as refused:
        parse(document)
    return {violation.field: violation.description for violation in refused.value.violations}


def nested(depth: int) -> object:
    return VIP if depth == 1 else {"not": nested(depth - 1)}


REFUSED: list[tuple[str, object, dict[str, str]]] = [
    ("no object", [], {"$": "must be an object"}),
    ("nothing in it", {}, {"$": "exactly one of"}),
    ("two branches", {"all": [], "any": []}, {"$": "exactly one of", "$.any": "at least one"}),
    ("branch and leaf", {"not": VIP, **VIP}, {"$": "exactly one of"}),
    (
        "several at once, each with a fault",
        {"all": [{}], "not": leaf("event.a", "?", 1), "attribute": "nothing", "operator": "=="},
        {
            "$": "exactly one of",
            "$.all[0]": "exactly one of",
            "$.not.operator": "must be one of",
            "$.attribute": "must be profile.<name>",
            "$.value": "is missing",
        },
    ),
    (
        "neither operator nor value",
        {"attribute": "event.a"},
        {"$.operator": "one of", "$.value": "is missing"},
    ),
    ("unknown key", {**VIP, "comment": "x"}, {"$.comment": "is unknown"}),
    ("key with half a surrogate pair", {**VIP, "\ud800": 1}, {"$.\\ud800": "is unknown"}),
    ("branch is no list", {"all": VIP}, {"$.all": "must be a list"}),
    ("never true", {"any": []}, {"$.any": "at least one"}),
    ("no value", leaf("event.a"), {"$.value": "is missing"}),
    ("null is no value", leaf("event.a", "==", None), {"$.value": "must be a string, a number"}),
    ("unknown operator", leaf("event.a", "=", 1), {"$.operator": "must be one of"}),
    ("operator is a list", leaf("event.a", ["=="], 1), {"$.operator": "must be one of"}),
    ("unknown root", leaf("basket", "==", 1), {"$.attribute": "must be profile.<name>"}),
    ("attribute is a number", leaf(7, "==", 1), {"$.attribute": "must be a string"}),
    ("empty path", leaf("event.", "==", 1), {"$.attribute": "must be profile.<name>"}),
    ("empty part", leaf("event.a..b", "==", 1), {"$.attribute": "must have parts"}),
    ("array index", leaf("event.items.0", "==", 1), {"$.attribute": "must have parts"}),
    ("deep path", leaf("event." + ".".join("abcdefghi"), "==", 1), {"$.attribute": "at most 8 parts"}),
    ("column for no rule", leaf("profile.channel_addresses", "==", "x"), {"$.attribute": "not for rules"}),
    ("part of a column", leaf("profile.language.x", "==", "x"), {"$.attribute": "has no parts"}),
    ("whole snapshot", leaf("profile.portfolio_snapshot", "==", 1), {"$.attribute": "needs a path"}),
    ("market without column", leaf("market.VNM", ">", 1), {"$.attribute": "must be market."}),
    ("market, strange symbol", leaf("market.V M.price", ">", 1), {"$.attribute": "printable"}),
    ("window without duration", leaf("count(purchase)", ">", 1), {"$.attribute": "must be count"}),
    ("window with bad duration", leaf("count(purchase, 1w)", ">", 1), {"$.attribute": "must be a duration"}),
    ("sum of nothing", leaf("sum(purchase, 30d)", ">", 1), {"$.attribute": "must be count"}),
    ("count of an attribute", leaf("count(purchase.amount, 30d)", ">", 1), {"$.attribute": "must be count"}),
    (
        "last_seen in a window",
        leaf("last_seen(purchase, 30d)", "exists", True),
        {"$.attribute": "must be count"},
    ),
    ("average", leaf("avg(purchase.amount, 30d)", ">", 1), {"$.attribute": "must be count"}),
    ("number operator, text column", leaf("profile.language", ">", 1), {"$.value": "must be a text"}),
    ("text for a number", leaf("market.VNM.price", ">", "1"), {"$.value": "must be a number"}),
    (
        "time compared as text",
        leaf("profile.created_at", ">", "x"),
        {"$.operator": "use one of between exists"},
    ),
    ("glob on a count", leaf("count(a, 1d)", "glob", "*"), {"$.operator": "does not fit a number"}),
    ("== on segments", leaf("segment", "==", "vip"), {"$.operator": "use one of in contains contains_any"}),
    ("order of booleans", leaf("event.a", "<", True), {"$.value": "no order"}),
    ("empty list", leaf("event.a", "in", []), {"$.value": "must be a list of 1 to 1000"}),
    ("long list", leaf("event.a", "in", list(range(1001))), {"$.value": "must be a list of 1 to 1000"}),
    ("mixed list", leaf("event.a", "in", ["a", 1, True]), {"$.value[1]": "a text", "$.value[2]": "a text"}),
    ("range of three", leaf("event.a", "between", [1, 2, 3]), {"$.value": "two values"}),
    ("range upside down", leaf("event.a", "between", [2, 1]), {"$.value": "lowest value first"}),
    ("range of two kinds", leaf("event.a", "between", [1, "b"]), {"$.value[1]": "must be a number"}),
    ("NUL", leaf("event.a", "==", "a\0b"), {"$.value": "NUL"}),
    ("half a surrogate pair", leaf("event.a", "==", "\ud800"), {"$.value": "surrogate"}),
    ("long text", leaf("event.a", "==", "x" * 1025), {"$.value": "at most 1024"}),
    ("empty prefix", leaf("event.a", "starts_with", ""), {"$.value": "must not be empty"}),
    ("many stars", leaf("event.a", "glob", "a*" * 17), {"$.value": "at most 16 stars"}),
    ("NaN", leaf("event.a", "==", float("nan")), {"$.value": "finite"}),
    ("infinity", leaf("event.a", "==", float("inf")), {"$.value": "finite"}),
    ("number too large", leaf("event.a", "==", 2**53 + 1), {"$.value": "must not exceed"}),
    ("number too small", leaf("event.a", "==", 1e-16), {"$.value": "1e-15"}),
    ("exists of what", leaf("event.a", "exists", 1), {"$.value": "true or false"}),
    ("time without zone", leaf("event.a", "after", "2026-01-31T09:00:00"), {"$.value": "RFC 3339"}),
    ("no such day", leaf("event.a", "after", "2026-02-30T09:00:00Z"), {"$.value": "RFC 3339"}),
    ("year out of range", leaf("event.a", "after", "2999-12-31T23:59:59-01:00"), {"$.value": "RFC 3339"}),
    ("duration in words", leaf("event.a", "older_than", "30 days"), {"$.value": "must be a duration"}),
    ("duration of nothing", leaf("event.a", "older_than", "0d"), {"$.value": "must be a duration"}),
    ("duration too long", leaf("event.a", "older_than", "36501d"), {"$.value": "at most 36500d"}),
    (
        "circle without radius",
        leaf("event.a", "within_km", {"latitude": 1}),
        {"$.value": "latitude, longitude"},
    ),
    (
        "circle off the earth",
        leaf("event.a", "within_km", {"latitude": 91, "longitude": "x", "km": 0}),
        {
            "$.value.latitude": "between -90 and 90",
            "$.value.longitude": "number",
            "$.value.km": "between 0.001",
        },
    ),
    (
        "everything at once",
        {
            "all": [
                VIP,
                {"any": [leaf("event.a", "~", 1), leaf("nothing", "in", [])]},
                {"not": leaf("event.a", "in", ["a", 2, None])},
                "vip",
            ]
        },
        {
            "$.all[1].any[0].operator": "must be one of",
            "$.all[1].any[1].attribute": "must be profile.<name>",
            "$.all[1].any[1].value": "must be a list",
            "$.all[2].not.value[1]": "must be a text",
            "$.all[2].not.value[2]": "must be a string, a number",
            "$.all[3]": "must be an object",
        },
    ),
]


@pytest.mark.parametrize(
    ("document", "expected"), [case[1:] for case in REFUSED], ids=[c[0] for c in REFUSED]
)
def test_a_bad_rule_is_refused_with_every_fault(document: object, expected: dict[str, str]) -> None:
    found = faults_of(document)
    assert found.keys() == expected.keys()
    for path, words in expected.items():
        assert words in found[path]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xff", "UTF-8"),
        (b"{", "must be JSON"),
        (b'{"attribute": "event.a", "operator": "==", "value": NaN}', "NaN is not a JSON number"),
        (b'{"all": [], "all": []}', "same key twice"),
        (b'{"attribute": "event.a", "operator": "==", "value": 0.' + b"1" * 80 + b"}", "64 characters"),
        (b'{"not": ' * 100_000, "bytes"),
        (b'{"not": ' * 20_000, "nested"),
        (b"1" * 5_000, "must be JSON"),
        (b" " * MAX_BYTES + b" ", "bytes"),
    ],
)
def test_bytes_that_are_no_rule_are_refused(data: bytes, words: str) -> None:
    assert words in faults_of(data)["$"]


def test_a_number_with_more_digits_than_a_double_keeps_is_refused() -> None:
    data = b'{"attribute": "event.a", "operator": "==", "value": 0.12345678901234567890}'
    assert "more digits" in faults_of(data)["$.value"]


def test_depth_nodes_and_aggregates_are_bounded() -> None:
    assert parse(nested(MAX_DEPTH)).canonical() == nested(MAX_DEPTH)
    assert list(faults_of(nested(MAX_DEPTH + 1)).values()) == ["must not be nested deeper than 16 levels"]
    assert parse({"all": [VIP] * (MAX_NODES - 1)})
    assert list(faults_of({"all": [VIP] * (MAX_NODES + 5)})) == [f"$.all[{MAX_NODES - 1}]"]
    windows = [leaf(f"count(purchase, {days}d)", ">", 1) for days in range(1, 18)]
    assert "16 different window aggregates" in faults_of({"any": windows})["$"]
    assert faults_of({"any": [*windows, {}]}).keys() == {"$", "$.any[17]"}


def test_faults_are_told_under_the_name_of_the_callers_field() -> None:
    with pytest.raises(InvalidInput) as refused:
        parse({"all": [{}]}, path="marketing_event.condition")
    assert [violation.field for violation in refused.value.violations] == ["marketing_event.condition.all[0]"]


def test_equal_rules_have_one_spelling() -> None:
    written = {
        "all": [
            leaf("event.country", "in", ["VN", "TH", "VN"]),
            leaf("segment", "in", ["vip"]),
            leaf("count( purchase ,48h )", ">=", 2.0),
            leaf("event.at", "after", "2026-01-31T09:00:00+07:00"),
            leaf("event.at", "older_than", "3600s"),
            leaf("event.sku", "glob", "a***b"),
        ]
    }
    assert parse(written).canonical() == {
        "all": [
            leaf("event.country", "in", ["TH", "VN"]),
            leaf("segment", "contains_any", ["vip"]),
            leaf("count(purchase, 2d)", ">=", 2),
            leaf("event.at", "after", "2026-01-31T02:00:00Z"),
            leaf("event.at", "older_than", "1h"),
            leaf("event.sku", "glob", "a*b"),
        ]
    }


def test_a_condition_says_what_it_reads() -> None:
    condition = parse(
        {
            "all": [
                VIP,
                leaf("profile.purchase_count", ">", 1),
                leaf("market.BRK.B.price", ">", 1),
                {"not": leaf("sum(purchase.amount, 30d)", "<", 5)},
            ]
        }
    )
    expected = {"segment", "profile.purchase_count", "market.BRK.B.price", "sum(purchase.amount, 30d)"}
    assert condition.attributes == expected
    assert {window.key for window in condition.aggregates} == {"sum(purchase.amount, 30d)"}
    assert condition.symbols == {"BRK.B"}


@settings(max_examples=300, deadline=None, derandomize=True)
@given(trees())
def test_the_canonical_form_is_json_and_parses_to_the_same_condition(document: dict[str, Any]) -> None:
    condition = parse(document)
    canonical = condition.canonical()
    assert parse(canonical) == condition
    assert parse(orjson.dumps(canonical)) == condition
    assert parse(json.dumps(document).encode()) == condition
    assert parse(canonical).canonical() == canonical


json_documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda parts: (
        st.lists(parts, max_size=3)
        | st.dictionaries(
            st.sampled_from(("all", "any", "not", "attribute", "operator", "value", "x")), parts, max_size=4
        )
    ),
    max_leaves=15,
)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(json_documents | st.binary(max_size=40))
def test_any_document_is_read_or_refused_as_invalid_input(document: object) -> None:
    with suppress(InvalidInput):
        parse(document)
