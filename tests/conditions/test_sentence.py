"""Golden sentences: what people read, and what they must never read."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from server.conditions import Facts, describe, explain, parse
from tests.conditions.grid import leaf
from tests.conditions.strategies import AT

VIP = leaf("segment", "contains", "vip")
BASKET = leaf("event.basket", ">=", 100)
CIRCLE = {"latitude": 10.77, "longitude": 106.69, "km": 5}

DESCRIPTIONS = [
    ({"all": [VIP, BASKET]}, "segments contain vip and basket ≥ 100"),
    ({"all": []}, "always"),
    ({"not": {"any": [VIP, BASKET]}}, "not (segments contain vip or basket ≥ 100)"),
    (
        {"all": [VIP, {"any": [BASKET, VIP]}]},
        "segments contain vip and (basket ≥ 100 or segments contain vip)",
    ),
    (leaf("segment", "contains_any", ["b", "a"]), "segments contain one of a, b"),
    (leaf("profile.loyalty_level", "!=", "gold"), "profile loyalty level is not gold"),
    (leaf("profile.interests", "contains", "golf"), "profile interests contains golf"),
    (leaf("event.n", "in", [1, 2, 3, 4, 5, 6, 7]), "n is one of 1, 2, 3, 4, 5 and 2 more"),
    (leaf("event.n", "between", [1, 2.5]), "n is between 1 and 2.5"),
    (leaf("event.flag", "==", True), "flag is true"),
    (leaf("event.city", "==", "Ho Chi Minh"), "city is 'Ho Chi Minh'"),
    (leaf("event.city", "in", ["", "a, b", "c"]), "city is one of '', 'a, b', c"),
    (leaf("event.city", "between", ["A", "M"]), "city is between A and M"),
    (leaf("event.sku", "glob", "SHOE-*-?"), "sku matches SHOE-*-?"),
    (leaf("event.seen", "older_than", "1h"), "seen is older than 1 hour"),
    (leaf("event.flag", "exists", False), "flag is missing"),
    (leaf("profile.location", "within_km", CIRCLE), "profile location is within 5 km of 10.77, 106.69"),
    (leaf("count(purchase, 30d)", ">", 3), "30-day count of purchase > 3"),
    (leaf("sum(purchase.amount, 30d)", ">", 3), "30-day sum of purchase amount > 3"),
    (leaf("max(purchase.amount, 90d)", ">", 3), "90-day highest purchase amount > 3"),
    (leaf("last_seen(purchase)", "older_than", "90d"), "last purchase is older than 90 days"),
    (leaf("market.VNM.change_percent", "<", -2.5), "VNM change percent < -2.5"),
    (leaf("event.at", "before", "2026-01-01T00:00:00Z"), "at is before 2026-01-01T00:00:00Z"),
    (
        leaf("profile.primary_email", "ends_with", "@example.com"),
        "profile primary email ends with @example.com",
    ),
]


@pytest.mark.parametrize(("document", "sentence"), DESCRIPTIONS)
def test_a_rule_reads_as_a_sentence(document: dict[str, Any], sentence: str) -> None:
    assert describe(parse(document)) == sentence


SENDABLE = {"segments": ["vip"], "event": {"basket": 120, "country": "VN"}}
POOR = {"segments": ["vip"], "event": {"basket": 80.50}}
EXPLANATIONS: list[tuple[Any, dict[str, Any], str]] = [
    ({"all": [VIP, BASKET]}, SENDABLE, "segments contain vip and basket 120 ≥ 100"),
    ({"all": [VIP, BASKET]}, POOR, "not met: basket 80.5 is not ≥ 100"),
    ({"all": [VIP, BASKET]}, {}, "not met: segments are missing"),
    ({"all": [VIP, BASKET]}, {"segments": []}, "not met: segments do not contain vip"),
    (BASKET, {}, "not met: basket is missing"),
    (BASKET, {"event": {"basket": "much"}}, "not met: basket much is not ≥ 100"),
    (BASKET, {"event": {"basket": [1]}}, "not met: basket (a list) is not ≥ 100"),
    (BASKET, {"event": {"basket": 10**400}}, "basket 1.000000e+400 ≥ 100"),
    ({"not": VIP}, {"segments": ["new"]}, "segments do not contain vip"),
    ({"not": VIP}, SENDABLE, "not met: segments contain vip"),
    ({"any": [VIP, BASKET]}, SENDABLE, "segments contain vip"),
    (
        {"any": [VIP, BASKET]},
        {"segments": [], "event": {"basket": 3}},
        "not met: segments do not contain vip and basket 3 is not ≥ 100",
    ),
    (leaf("event.country", "==", "VN"), SENDABLE, "country is VN"),
    (leaf("event.country", "==", "TH"), SENDABLE, "not met: country is VN, not TH"),
    (leaf("event.country", "!=", "VN"), SENDABLE, "not met: country is VN"),
    (leaf("event.country", "!=", "TH"), SENDABLE, "country is VN, not TH"),
    (leaf("event.country", "in", ["VN", "TH"]), SENDABLE, "country VN is one of TH, VN"),
    (leaf("event.country", "not_in", ["VN", "TH"]), SENDABLE, "not met: country VN is one of TH, VN"),
    (leaf("event.basket", "between", [100, 200]), SENDABLE, "basket 120 is between 100 and 200"),
    (leaf("event.basket", "between", [1, 2]), SENDABLE, "not met: basket 120 is not between 1 and 2"),
    (leaf("event.flag", "==", True), {"event": {"flag": False}}, "not met: flag is false, not true"),
    (leaf("event.name", "==", "x"), {"event": {"name": "a, b"}}, "not met: name is 'a, b', not x"),
    (
        leaf("count(page_view, 12h)", ">", 3),
        {"aggregates": {"count(page_view, 12h)": 2}},
        "not met: 12-hour count of page view 2 is not > 3",
    ),
    (
        {"not": {"all": [VIP, BASKET]}},
        POOR,
        "basket 80.5 is not ≥ 100",
    ),
    (
        {"not": {"any": [VIP, BASKET]}},
        {"segments": [], "event": {"basket": 3}},
        "segments do not contain vip and basket 3 is not ≥ 100",
    ),
    (leaf("event.country", "exists", True), SENDABLE, "country is present"),
    (leaf("event.country", "exists", False), SENDABLE, "not met: country is present"),
    (
        leaf("sum(purchase.amount, 30d)", ">", 3),
        {"aggregates": {"sum(purchase.amount, 30d)": Decimal("12.50")}},
        "30-day sum of purchase amount 12.5 > 3",
    ),
    ({"all": []}, {}, "always"),
    (
        {"any": [leaf("event.x", ">", n) for n in range(10)]},
        {},
        f"not met: {' and '.join(['x is missing'] * 8)} and 2 more",
    ),
]


@pytest.mark.parametrize(("document", "facts", "sentence"), EXPLANATIONS)
def test_a_reason_names_the_values_and_the_first_part_that_failed(
    document: dict[str, Any], facts: dict[str, Any], sentence: str
) -> None:
    assert explain(parse(document), Facts(occurred_at=AT, **facts)) == sentence


ADDRESS, TELEPHONE = "linh@example.com", "+84 90 123-4567"
PRIVATE = [
    (leaf("profile.primary_email", "ends_with", "@example.com"), {"profile": {"primary_email": ADDRESS}}),
    (leaf("profile.primary_email", "==", "x@y.z"), {"profile": {"primary_email": ADDRESS}}),
    (leaf("profile.primary_email", "==", ADDRESS), {"profile": {"primary_email": ADDRESS}}),
    (leaf("profile.mobile_number", "starts_with", "+84 90"), {"profile": {"mobile_number": TELEPHONE}}),
    (leaf("profile.identities", "contains", ADDRESS), {"profile": {"identities": [ADDRESS]}}),
    (leaf("profile.living_location", "!=", "Hanoi"), {"profile": {"living_location": TELEPHONE}}),
    (leaf("profile.latitude", ">", 10), {"profile": {"latitude": 84901234567}}),
    (leaf("profile.second_phone", ">", 10), {"profile": {"raw_attributes": {"second_phone": 84901234567}}}),
    (leaf("event.contact", "!=", "x"), {"event": {"contact": ADDRESS}}),
    (leaf("event.contact", "==", ADDRESS), {"event": {"contact": ADDRESS}}),
    (leaf("event.note", "glob", "*"), {"event": {"note": f"call {TELEPHONE} today"}}),
    (leaf("event.note", "in", [ADDRESS, TELEPHONE]), {"event": {"note": TELEPHONE}}),
]


@pytest.mark.parametrize(("document", "facts"), PRIVATE)
def test_no_reason_shows_an_address_or_a_telephone_number(
    document: dict[str, Any], facts: dict[str, Any]
) -> None:
    for tree in (document, {"not": document}):
        reason = explain(parse(tree), Facts(occurred_at=AT, **facts))
        assert "[hidden]" in reason
        for secret in ("linh", "123-4567", "84901234567"):
            assert secret not in reason


def test_a_reason_stays_on_one_line_and_short() -> None:
    reason = explain(
        parse(leaf("event.a", "!=", "x")), Facts(occurred_at=AT, event={"a": "line\nbreak" + "y" * 500})
    )
    assert "\n" not in reason
    assert len(reason) < 100


def test_a_date_in_text_is_no_telephone_number() -> None:
    reason = explain(parse(leaf("event.day", "!=", "x")), Facts(occurred_at=AT, event={"day": "1997-01-12"}))
    assert reason == "day is 1997-01-12, not x"
