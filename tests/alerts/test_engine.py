"""The pure engine against an evaluator that looks at every rule on every tick."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from server.alerts.model import Book, Direction, Evaluation, Operator, StoredRule, TickBatch, TickBounds
from server.alerts.model.stored import fill
from tests.alerts.naive import NaiveRule, NaiveTick, naive_firings

TENANT = UUID(int=7)
SYMBOLS = ["A", "B", "C"]
_KINDS = {
    ">": (Operator.ABOVE, Direction.UP),
    "<": (Operator.BELOW, Direction.DOWN),
    "up": (Operator.CROSSES, Direction.UP),
    "down": (Operator.CROSSES, Direction.DOWN),
}
_PRICES = st.integers(1, 30) | st.integers(2**63 - 3, 2**63 - 1)
_RULES = st.lists(st.tuples(st.sampled_from(SYMBOLS), st.sampled_from(sorted(_KINDS)), _PRICES), max_size=150)
_TICKS = st.lists(st.tuples(st.sampled_from(SYMBOLS), _PRICES), max_size=80)
_BOUNDS = TickBounds(0, 10**6)


def _named(rules: list[tuple[str, str, int]]) -> list[NaiveRule]:
    return [NaiveRule(f"{place:064x}", *rule) for place, rule in enumerate(rules)]


def _stored(rule: NaiveRule) -> StoredRule:
    return StoredRule(TENANT, rule.name, *_KINDS[rule.kind], rule.price, generation=1)


def _batch(ticks: list[NaiveTick]) -> TickBatch:
    return TickBatch(
        owner=TENANT,
        symbols=SYMBOLS,
        symbol_indices=[SYMBOLS.index(tick.symbol) for tick in ticks],
        price_nanos=[tick.price for tick in ticks],
        observed_at_us=[tick.time for tick in ticks],
    )


@settings(max_examples=300, deadline=None)
@given(rules=_RULES, moves=_TICKS, cuts=st.lists(st.integers(1, 20), max_size=20), one_by_one=st.booleans())
def test_equal_firings_in_equal_order_however_the_ticks_are_cut(
    rules: list[tuple[str, str, int]], moves: list[tuple[str, int]], cuts: list[int], one_by_one: bool
) -> None:
    """Some cuts are committed together, some each on its own; rules come in one by one or all at once."""
    named = _named(rules)
    ticks = [NaiveTick(symbol, price, place) for place, (symbol, price) in enumerate(moves)]
    books = {symbol: Book(symbol) for symbol in SYMBOLS}
    if one_by_one:
        for rule in named:
            _stored(rule).apply_to(books[rule.symbol])
    else:
        fill(books, [(rule.symbol, _stored(rule)) for rule in named])
    found, start, evaluation = [], 0, Evaluation(_BOUNDS)
    for cut in [*cuts, len(ticks)]:
        part = ticks[start : start + cut]
        outcome, hits = evaluation.run(_batch(part), [books[symbol] for symbol in SYMBOLS])
        assert outcome.accepted_count == len(part)
        found += [(h.rule_id, start + h.tick_index, h.price_nanos, h.observed_at_us) for h in hits]
        start += cut
        if cut % 2:
            evaluation.settle()
            evaluation = Evaluation(_BOUNDS)
    assert found == naive_firings(named, ticks)


@settings(max_examples=100, deadline=None)
@given(rules=_RULES, moves=_TICKS, gone=st.sets(st.integers(0, 149)))
def test_what_is_not_settled_leaves_the_books_as_they_were_and_what_is_taken_away_is_gone(
    rules: list[tuple[str, str, int]], moves: list[tuple[str, int]], gone: set[int]
) -> None:
    named = _named(rules)
    books = {symbol: Book(symbol) for symbol in SYMBOLS}
    for rule in named:
        _stored(rule).apply_to(books[rule.symbol])
    for place in gone & set(range(len(named))):
        rule = named[place]
        operator, direction = _KINDS[rule.kind]
        stopped = StoredRule(TENANT, rule.name, operator, direction, rule.price, 1, active=False)
        stopped.apply_to(books[rule.symbol])
    ticks = [NaiveTick(symbol, price, place) for place, (symbol, price) in enumerate(moves)]
    left = [rule for place, rule in enumerate(named) if place not in gone]
    for _ in range(2):
        _, hits = Evaluation(_BOUNDS).run(_batch(ticks), [books[symbol] for symbol in SYMBOLS])
        assert [hit.rule_id for hit in hits] == [name for name, *_ in naive_firings(left, ticks)]


def test_thresholds_are_walked_to_the_last_digit() -> None:
    book = Book("A")
    middle = 9_007_199_254_740_993
    for place, price in enumerate(range(middle - 3, middle + 4)):
        StoredRule(TENANT, f"{place:064x}", Operator.ABOVE, Direction.UP, price, 1).apply_to(book)
    prices = list(range(middle - 4, middle + 5))
    batch = TickBatch(TENANT, ["A"], [0] * len(prices), prices, [0] * len(prices))
    _, hits = Evaluation(_BOUNDS).run(batch, [book])
    assert [hit.tick_index for hit in hits] == [2, 3, 4, 5, 6, 7, 8]
