"""Ticks that are compared as columns come to the same as ticks that are walked one by one, bad ones among them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from server.alerts.model import TickBatch
from tests.alerts.evaluating import BOUNDS, TENANT, Served
from tests.alerts.naive import MICRO, NaiveRule

_SYMBOLS = ["A", "B", "NONE"]
_BEGIN = 1_772_800_000 * MICRO
_RULES = [
    NaiveRule("", "A", ">", 101),
    NaiveRule("", "A", "crosses down", 99, rearms=True),
    NaiveRule("", "B", "crosses up", 102),
    NaiveRule("", "B", "volume", volume=7, rearms=True),
    NaiveRule("", "B", "new up", days=1, rearms=True),
]
_CALM = st.integers(98, 102)
_SHARES = st.integers(0, 1)
# Symbol, price, microseconds after the last tick, volume, steps of the sequence.
_QUIET = st.tuples(_SHARES, _CALM, st.sampled_from([0, 1]), st.sampled_from([0, 0, 1]), st.just(1))
_ODD = st.one_of(
    st.tuples(
        _SHARES,
        st.sampled_from([96, 97, 103, 104, 109, 0, -1, 2**63 - 1]),
        st.just(1),
        st.just(0),
        st.just(1),
    ),
    st.tuples(_SHARES, _CALM, st.just(1), st.sampled_from([3, 6, -1, 2**62, 2**63 - 1]), st.just(1)),
    st.tuples(st.integers(2, 3), _CALM, st.just(1), st.just(0), st.just(1)),
    st.tuples(
        *(_SHARES, _CALM),
        st.sampled_from([-1, 900 * MICRO, 86_400 * MICRO, BOUNDS.latest_us, -_BEGIN - 1]),
        *(st.just(0), st.just(1)),
    ),
)
_TICKS = st.builds(
    lambda quiet, odd, place: [*quiet[:place], *odd, *quiet[place:]],
    st.lists(_QUIET, max_size=6),
    st.just([]) | st.lists(_ODD, max_size=1),
    st.integers(0, 6),
)
_FEEDS = st.sampled_from(["f", "f", "f", "f", "g", ""])
_BATCHES = st.tuples(_TICKS, _FEEDS, st.booleans(), st.sampled_from([0, 0, 0, 0, -1, -3]))
_STEPS = st.lists(st.tuples(st.lists(_BATCHES, min_size=1, max_size=3), st.booleans()), max_size=8)
# The range of the first day, within which nothing new is high or low.
_FIRST = [(symbol, price, 0, 0, 1) for symbol in (0, 1) for price in (97, 103)]


class _Feed:
    """Makes batches whose ticks are late, repeated or ahead now and then."""

    def __init__(self) -> None:
        self.now, self.sequence = _BEGIN, 10

    def batch(self, ticks: list[tuple[int, ...]], feed: str, traded: bool, back: int) -> TickBatch:
        moments, sequences, sequence = [], [], max(0, self.sequence + back)
        for _, _, leg, _, step in ticks:
            moment = self.now + leg
            if abs(leg) <= 86_400 * MICRO:
                self.now = max(self.now, moment)
            sequence += step
            moments.append(moment)
            sequences.append(sequence)
        self.sequence = max(self.sequence, sequence)
        return TickBatch(
            owner=TENANT,
            symbols=_SYMBOLS,
            symbol_indices=[tick[0] for tick in ticks],
            price_nanos=[tick[1] for tick in ticks],
            observed_at_us=moments,
            feed=feed,
            sequences=sequences if feed else [],
            volume_micros=[tick[3] for tick in ticks] if traded else [],
        )


@settings(max_examples=300, deadline=None)
@given(steps=_STEPS)
def test_columns_and_walks_come_to_the_same(steps: list[tuple[list[Any], bool]]) -> None:
    columns, walks = (Served({"A": None, "B": None}, fewest_columns=fewest) for fewest in (1, 10**9))
    for number, rule in enumerate(_RULES):
        for served in (columns, walks):
            served.put(replace(rule, name=f"{number:064x}"))
    feed, begin = _Feed(), ([(_FIRST, "f", False, 0)], False)
    for batches, fails in [begin, *steps]:
        made = [feed.batch(*batch) for batch in batches]
        if fails:
            columns.evaluate(made, fails=True)
        assert columns.evaluate(made) == walks.evaluate(made)
        assert columns.prices == walks.prices
