"""The shares of Thompson sampling against closed forms and against drawing from the posteriors."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.decisions.arms.thompson import best_shares

_counts = st.integers(0, 5_000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


def _closed_form(first: tuple[int, int], second: tuple[int, int]) -> float:
    """The probability that the second of two variants is the better one, as a finite sum."""
    (n, c), (m, d) = first, second
    a, b, e, f = 1 + c, 1 + n - c, 1 + d, 1 + m - d

    def log_beta(x: int, y: int) -> float:
        return math.lgamma(x) + math.lgamma(y) - math.lgamma(x + y)

    terms = (
        math.exp(log_beta(a + i, b + f) - math.log(f + i) - log_beta(1 + i, f) - log_beta(a, b))
        for i in range(e)
    )
    return math.fsum(terms)


@settings(max_examples=40, deadline=None)
@given(st.lists(_counts, min_size=1, max_size=5))
def test_shares_add_up_and_follow_the_variants_in_any_order(counts: list[tuple[int, int]]) -> None:
    shares = best_shares(tuple(counts))
    assert math.isclose(math.fsum(shares), 1.0)
    assert all(0 <= share <= 1 for share in shares)
    turned = best_shares(tuple(reversed(counts)))
    assert all(math.isclose(x, y, abs_tol=1e-12) for x, y in zip(shares, reversed(turned), strict=True))


@pytest.mark.parametrize("variants", range(1, 11))
def test_equal_counters_give_equal_shares(variants: int) -> None:
    for count in ((0, 0), (1_000, 30), (10**7, 10**5)):
        shares = best_shares((count,) * variants)
        assert all(math.isclose(share, 1 / variants) for share in shares)


def test_a_better_variant_gets_more_and_certainty_grows_with_the_numbers() -> None:
    by_size = [best_shares(((n * 100, n * 10), (n * 100, n * 12)))[1] for n in (1, 10, 100, 1_000)]
    assert by_size == sorted(by_size)
    assert by_size[0] > 0.5
    assert by_size[-1] > 0.999
    by_success = [best_shares(((200, 20), (200, conversions)))[1] for conversions in range(0, 201, 20)]
    assert by_success == sorted(by_success)


@settings(max_examples=40, deadline=None)
@given(_counts, _counts)
def test_two_variants_agree_with_the_closed_form(first: tuple[int, int], second: tuple[int, int]) -> None:
    assert math.isclose(best_shares((first, second))[1], _closed_form(first, second), abs_tol=2e-5)


@pytest.mark.parametrize(
    "counts",
    [
        ((0, 0), (10, 1), (100, 20), (1_000, 150)),
        ((500, 0), (500, 1), (500, 3)),
        ((2_000, 100), (2_000, 110), (1_900, 104), (50, 4), (3, 0)),
    ],
)
def test_many_variants_agree_with_draws_from_the_posteriors(counts: tuple[tuple[int, int], ...]) -> None:
    chance = random.Random(20_261_121)
    draws = 40_000
    won: Counter[int] = Counter()
    for _ in range(draws):
        values = [chance.betavariate(1 + c, 1 + n - c) for n, c in counts]
        won[values.index(max(values))] += 1
    for place, share in enumerate(best_shares(counts)):
        error = math.sqrt(share * (1 - share) / draws)
        assert abs(won[place] / draws - share) < 4 * error + 1e-5, (place, share)
