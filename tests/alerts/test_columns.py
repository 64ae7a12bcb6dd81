"""Ticks that are compared as columns become the same as ticks that are walked one by one, the bad ones among them too."""

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
    NaiveRule("", "A", ">", 108),
    NaiveRule("", "A", "crosses down", 95, rearms=True),
    NaiveRule("", "B", "crosses up", 104),
    NaiveRule("", "B", "volume", volume=7, rearms=True),
    NaiveRule("", "B", "new up", days=1, rearms=True),
]
_CALM = st.integers(98, 102)
_PRICES = _CALM | st.sampled_from([94, 105, 109, 0, -1, 2**63 - 1])
_MOMENTS = st.sampled_from([0, 0, 1, 1, 1, 5 * MICRO, -1, 86_400 * MICRO, BOUNDS.latest_us, -_BEGIN - 1])
_VOLUMES = st.sampled_from([0, 0, 0, 1, 3, -1, 2**62, 2**63 - 1])
_TICKS = st.lists(st.tuples(st.integers(0, 3), _PRICES, _MOMENTS, _VOLUMES, st.integers(1, 3)), max_size=12)
_BATCHES = st.tuples(_TICKS, st.sampled_from(["", "f", "f", "f", "g"]), st.booleans(), st.integers(-6, 0))
_STEPS = st.lists(st.tuples(st.lists(_BATCHES, min_size=1, max_size=4), st.booleans()), max_size=8)


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
    feed = _Feed()
    for batches, fails in steps:
        made = [feed.batch(*batch) for batch in batches]
        if fails:
            columns.evaluate(made, fails=True)
        assert columns.evaluate(made) == walks.evaluate(made)
        assert columns.prices == walks.prices
