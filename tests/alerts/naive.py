"""What fires, found by looking at every rule on every tick. Shares nothing with the server."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NaiveRule:
    """`kind` is ">", "<", "up" or "down"."""

    name: str
    symbol: str
    kind: str
    price: int


@dataclass(frozen=True, slots=True)
class NaiveTick:
    """A price at a time."""

    symbol: str
    price: int
    time: int


def naive_firings(rules: Iterable[NaiveRule], ticks: Sequence[NaiveTick]) -> list[tuple[str, int, int, int]]:
    """Name of the rule, place of the tick, its price and time; in the order of ticks, then of names."""
    waiting = sorted(rules, key=lambda rule: rule.name)
    last: dict[str, int] = {}
    fired = []
    for place, tick in enumerate(ticks):
        previous = last.get(tick.symbol)
        here = [rule for rule in waiting if rule.symbol == tick.symbol and _holds(rule, previous, tick.price)]
        waiting = [rule for rule in waiting if rule not in here]
        fired += [(rule.name, place, tick.price, tick.time) for rule in here]
        last[tick.symbol] = tick.price
    return fired


def _holds(rule: NaiveRule, previous: int | None, price: int) -> bool:
    if rule.kind == ">":
        return price > rule.price
    if rule.kind == "<":
        return price < rule.price
    if previous is None:
        return False
    if rule.kind == "up":
        return previous <= rule.price < price
    return price < rule.price <= previous
