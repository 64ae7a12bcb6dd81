"""The pure engine against an evaluator that looks at every rule on every tick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.alerts.model import TickFault
from server.alerts.model.walk import Walk
from tests.alerts.evaluating import Served, batch_of, firing_of
from tests.alerts.naive import MICRO, Naive, NaiveFiring, NaiveHours, NaiveRule, NaiveTick, naive_firings

SYMBOLS = ["A", "B", "C"]
NEW_YORK = NaiveHours("America/New_York", "09:30", "16:00", (1, 2, 3, 4, 5), (date(2026, 3, 10),))
CALENDARS = {"B": NEW_YORK}
_SERVED = {symbol: CALENDARS.get(symbol) for symbol in SYMBOLS}
# Two days before the clocks of New York change.
_BEGIN = int(datetime(2026, 3, 6, 14, tzinfo=UTC).timestamp()) * MICRO
_DAY = 86_400
_OWN_HOURS = NaiveHours("Asia/Ho_Chi_Minh", "22:00", "04:00", (5, 6, 7))
_PRICES = st.integers(90, 112)
_HUGE = st.integers(2**63 - 4, 2**63 - 1)
# Calm markets stay for long within what their day has seen, wild ones do not.
_CALM = st.integers(98, 102)
_WIDE = [(symbol, price, 0, 0) for symbol in SYMBOLS for price in (60, 140)]
_PPM = st.sampled_from([1, 10_000, 20_000, 52_631, 100_000])
_LEGS = st.sampled_from([0, 1, 1, 2, 9, 10, 11, 30, 59, 60, 61, 300, 590, 600, 3_600, 21_600, _DAY, 3 * _DAY])


def _with(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(dict(fields))


def _of(*kinds: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return _with(kind=st.sampled_from(kinds), **fields)


_BANDS = st.tuples(_PRICES, st.integers(0, 6))
_KINDS = st.one_of(
    _of(">", "<", "crosses up", "crosses down", price=_PRICES | _HUGE),
    _of("between", "leaves", band=_BANDS),
    _of("close up", "close down", ppm=_PPM),
    _of("within up", "within down", ppm=_PPM, seconds=st.sampled_from([10, 60, 600, 86_400])),
    _of("new up", "new down", days=st.integers(1, 4)),
    _of("volume", volume=st.integers(1, 12)),
)
_MODIFIERS = _with(
    hold=st.sampled_from([0, 0, 0, 1, 5, 3_600]),
    clear=st.integers(0, 6),
    hours=st.sampled_from([None, None, None, "market", _OWN_HOURS]),
    rearms=st.booleans(),
    cooldown=st.sampled_from([0, 0, 1, 60, _DAY]),
    expires=st.sampled_from([None, None, None, 3_600, 2 * _DAY]),
)


@st.composite
def _rules(draw: st.DrawFn) -> list[NaiveRule]:
    plain = draw(st.booleans())
    rules = []
    for place in range(draw(st.integers(1, 4) | st.integers(1, 25))):
        fields = draw(_KINDS)
        low, width = fields.pop("band", (0, 0))
        if width or low:
            fields |= {"price": low, "high": low + width}
        modifiers = {} if plain and draw(st.booleans()) else draw(_MODIFIERS)
        symbol = draw(st.sampled_from(SYMBOLS))
        rules.append(_modified(NaiveRule(f"{place:064x}", symbol, **fields), modifiers))
    return rules


def _modified(rule: NaiveRule, modifiers: dict[str, Any]) -> NaiveRule:
    """With those modifiers that the rule may have."""
    if not modifiers:
        return rule
    modifiers = dict(modifiers)
    if rule.kind == "volume":
        modifiers["hold"] = 0
    if not modifiers["rearms"]:
        modifiers |= {"clear": 0, "cooldown": 0}
    modifiers["clear"] = _clear(rule, modifiers["clear"])
    if modifiers["expires"] is not None:
        modifiers["expires"] = _BEGIN + modifiers["expires"] * MICRO
    return replace(rule, **modifiers)


def _clear(rule: NaiveRule, distance: int) -> int:
    kind, _, way = rule.kind.partition(" ")
    if distance == 0 or kind in ("between", "leaves", "volume", "new"):
        return 0
    if rule.ppm:
        return max(1, rule.ppm - distance * 5_000)
    up = kind == ">" or way == "up"
    return max(1, rule.price - distance) if up else min(2**63 - 1, rule.price + distance)


@dataclass(frozen=True, slots=True)
class Step:
    """Ticks of one transaction, and what comes before them."""

    ticks: list[tuple[str, int, int, int]]
    cuts: int
    kind: str
    rule: int


def _steps(prices: st.SearchStrategy[int]) -> st.SearchStrategy[list[Step]]:
    ticks = st.tuples(st.sampled_from(SYMBOLS), prices, _LEGS, st.sampled_from([0, 0, 0, 1, 5]))
    kinds = ["go on", "go on", "put", "delete", "restart", "fail", "late", "again", "terms"]
    step = st.builds(
        Step,
        ticks=st.lists(ticks, max_size=14),
        cuts=st.integers(1, 3),
        kind=st.sampled_from(kinds),
        rule=st.integers(0, 24),
    )
    return st.lists(step, max_size=12)


_STEPS = _steps(_PRICES | _HUGE) | _steps(_CALM).map(lambda steps: [Step(_WIDE, 1, "go on", 0), *steps])


class Both:
    """The engine and the naive evaluator, told the same."""

    def __init__(self, rules: Sequence[NaiveRule], fewest_columns: int = 1) -> None:
        self.naive, self.served = Naive(CALENDARS), Served(_SERVED, fewest_columns=fewest_columns)
        self.rules = list(rules)
        self.now, self.sent = _BEGIN, 0
        self.firings: list[NaiveFiring] = []
        # The last third is put while ticks come.
        for rule in self.rules[: len(self.rules) * 2 // 3]:
            self.put(rule)

    def put(self, rule: NaiveRule) -> None:
        """A rule for both."""
        self.naive.put(rule)
        self.served.put(rule)

    def take(self, step: Step) -> None:
        """One step, after which both have fired the same."""
        ticks = self._ticks(step)
        self._before(step, ticks)
        expected = [
            firing for place, tick in enumerate(ticks) for firing in self.naive.tick(tick, self.sent + place)
        ]
        size = max(1, -(-len(ticks) // step.cuts))
        starts = range(0, len(ticks), size)
        sequences = [self.sent + place + 1 for place in range(len(ticks))]
        batches = [
            batch_of(ticks[at : at + size], SYMBOLS, feed="f", sequences=sequences[at : at + size])
            for at in starts
        ]
        if step.kind == "fail":
            self.served.evaluate(batches, fails=True)
        found = []
        for start, (outcome, hits) in zip(starts, self.served.evaluate(batches), strict=True):
            assert (outcome.bad_ticks, outcome.duplicate_count) == ([], 0)
            found += [firing_of(hit, self.sent + start) for hit in hits]
        assert found == expected
        self.firings += found
        self.sent += len(ticks)
        if step.kind == "again":
            for outcome, hits in self.served.evaluate(batches):
                assert (outcome.accepted_count, hits) == (0, [])

    def _ticks(self, step: Step) -> list[NaiveTick]:
        ticks = []
        for symbol, price, leg, volume in step.ticks:
            self.now += leg * MICRO
            ticks.append(NaiveTick(symbol, price, self.now, volume))
        return ticks

    def _before(self, step: Step, ticks: Sequence[NaiveTick]) -> None:
        rule = self.rules[step.rule % len(self.rules)]
        if step.kind == "put":
            self.put(rule)
        elif step.kind == "terms":
            self.put(replace(rule, rearms=True, cooldown=60, expires=None))
        elif step.kind == "delete":
            self.naive.delete(rule.name)
            self.served.delete(rule.name)
        elif step.kind == "restart":
            self.naive.restart()
            self.served.restart()
        elif step.kind == "late" and ticks and (last := self.naive.last_time(ticks[0].symbol)):
            late = batch_of([replace(ticks[0], time=last - 1)], SYMBOLS)
            ((outcome, hits),) = self.served.evaluate([late])
            assert ([bad.fault for bad in outcome.bad_ticks], hits) == ([TickFault.TIME_BACKWARDS], [])


@settings(max_examples=250, deadline=None)
@given(rules=_rules(), steps=_STEPS, fewest_columns=st.sampled_from([1, 1, 5, 1_000]))
def test_every_kind_of_rule_fires_when_a_look_at_all_rules_and_all_ticks_says_so(
    rules: list[NaiveRule], steps: list[Step], fewest_columns: int
) -> None:
    """Several batches in a transaction, as columns or tick by tick; rules that come, go and change; restarts; failures;
    late and repeated ticks.
    """
    both = Both(rules, fewest_columns)
    for step in steps:
        both.take(step)


@pytest.mark.parametrize("middle", [10, 9_007_199_254_740_993, 2**63 - 10])
@pytest.mark.parametrize("kind", [">", "<", "crosses up", "crosses down", "between", "leaves"])
def test_thresholds_are_walked_to_the_last_digit(kind: str, middle: int) -> None:
    """No float holds the prices in the middle; the last ones are the largest that there are."""
    high = middle + 2 if kind in ("between", "leaves") else 0
    rules = [
        NaiveRule(f"{place:064x}", "A", kind, middle + place, high and high + place) for place in range(-3, 4)
    ]
    rules = [replace(rule, name=f"{number:064x}") for number, rule in enumerate(rules)]
    prices = [*range(middle - 6, middle + 8), *range(middle + 8, middle - 7, -1)]
    ticks = [NaiveTick("A", price, place) for place, price in enumerate(prices)]
    served = Served({"A": None})
    for rule in rules:
        served.put(rule)
    ((_, hits),) = served.evaluate([batch_of(ticks, ["A"])])
    found = [(hit.rule_id, hit.tick_index, hit.price_nanos, hit.observed_at_us) for hit in hits]
    assert found == naive_firings(rules, ticks)
    assert len(found) == len(rules)


@pytest.mark.parametrize(("ppm", "way"), [(1, "up"), (1, "down"), (333_333, "up"), (333_333, "down")])
@pytest.mark.parametrize("close", [3, 1_000_000, 9_007_199_254_740_993])
def test_changes_are_exact_to_the_last_digit(close: int, ppm: int, way: str) -> None:
    sign = 1 if way == "up" else -1
    needed = next(away for away in range(close * ppm // MICRO, close) if away * MICRO >= ppm * close)
    rule = NaiveRule("0" * 64, "A", f"close {way}", ppm=ppm)
    served = Served({"A": None})
    served.put(rule)
    prices = [close, close + sign * (needed - 1), close + sign * needed]
    moments = [0, _DAY * MICRO, _DAY * MICRO + 1]
    ticks = [NaiveTick("A", price, moment) for price, moment in zip(prices, moments, strict=True)]
    ((_, hits),) = served.evaluate([batch_of(ticks, ["A"])])
    assert [(hit.tick_index, hit.reference_price_nanos) for hit in hits] == [(2, close)]


def test_a_tick_within_the_quiet_band_looks_at_nothing() -> None:
    """Rules of every kind but windows: a price between their values costs comparisons with two numbers and a time."""
    served = Served({"A": None})
    kinds = [
        NaiveRule("", "A", "between", 50, 60, rearms=True),
        NaiveRule("", "A", "leaves", 90, 120, hold=5),
        NaiveRule("", "A", "crosses up", 150, rearms=True),
        NaiveRule("", "A", "close up", ppm=500_000),
        NaiveRule("", "A", "new up", days=3),
        NaiveRule("", "A", "volume", volume=1000),
    ]
    for place, rule in enumerate(kinds):
        served.put(replace(rule, name=f"{place:064x}"))
    prices = [100, 95, 110, *([100, 105, 99, 110, 95] * 100)]
    first, *rest = [NaiveTick("A", price, place) for place, price in enumerate(prices)]
    served.evaluate([batch_of([first, *rest[:2]], ["A"])])
    band = served.books["A"].band
    assert band is not None
    assert (band.lowest, band.highest) == (95, 110)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Walk, "step", None)
        ((outcome, _),) = served.evaluate([batch_of(rest[2:], ["A"])])
    assert outcome.accepted_count == 500


def test_a_window_is_forgotten_with_its_last_rule() -> None:
    """What came while no rule asked for it is not in it, and neither is what came before."""
    rule = NaiveRule("0" * 64, "A", "within up", ppm=100_000, seconds=600)
    both = Both([rule])
    both.put(rule)
    for kind, price in (
        ("go on", 100),
        ("go on", 110),
        ("go on", 90),
        ("put", 109),
        ("go on", 119),
        ("go on", 120),
    ):
        both.take(Step([("A", price, 1, 0)], 1, kind, 0))
    assert [(firing.generation, firing.price, firing.reference) for firing in both.firings] == [
        (1, 110, 100),
        (2, 120, 109),
    ]
