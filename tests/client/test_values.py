"""JSON fields and prices."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from leo_client import from_json, from_price_nanos, to_json, to_price_nanos


def test_an_object_survives_the_way_there_and_back() -> None:
    value = {"name": "Ánh", "amount": 12.5, "tags": ["a"], "none": None}
    assert from_json(to_json(value)) == value
    assert from_json(b"") == {}


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_has_not_are_refused(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        to_json({"amount": number})


def test_a_decimal_needs_the_callers_choice_of_form() -> None:
    with pytest.raises(TypeError):
        to_json({"amount": Decimal("1.5")})


@given(st.integers(min_value=-(2**63) + 1, max_value=2**63 - 1))
def test_every_price_survives_the_way_there_and_back(nanos: int) -> None:
    assert to_price_nanos(from_price_nanos(nanos)) == nanos


def test_prices_are_exact() -> None:
    assert to_price_nanos("0.1") == 100_000_000
    assert to_price_nanos(Decimal("1.000000001")) == 1_000_000_001
    assert to_price_nanos(3) == 3_000_000_000


@pytest.mark.parametrize("price", ["1e-10", "NaN", "Infinity", "abc", "9223372037", Decimal("1e40")])
def test_prices_that_do_not_fit_are_refused(price: str | Decimal) -> None:
    with pytest.raises(ValueError, match="price"):
        to_price_nanos(price)


def test_a_float_is_no_price() -> None:
    with pytest.raises(TypeError, match="float"):
        to_price_nanos(0.1)  # type: ignore[arg-type]
