"""Which customers wait for which price, by a rule that is printed, and the prices that they wait for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from feeder import Tick, read_bars

FILE: Final = Path(__file__).resolve().parents[1] / "data" / "daily_stocks.csv.gz"
PRICE_RULE: Final = (
    "a day is four prices, unadjusted for splits:"
    " its open at 14:30 UTC, high at 16:00, low at 18:00, close at 21:00"
)
THRESHOLDS: Final[Mapping[str, range]] = {
    "AAPL": range(20, 701, 20),
    "GOOG": range(100, 801, 50),
    "IBM": range(60, 221, 10),
    "MSFT": range(15, 121, 5),
}
"""The round prices of each symbol, in dollars."""

KINDS: Final = ("above", "below", "crosses up", "crosses down")
_ONE_IN: Final = 8


def _ladder(symbol: str) -> str:
    prices = THRESHOLDS[symbol]
    return f"{symbol} {prices[0]}, {prices[1]} … {prices[-1]} $"


HOLDER_RULE: Final = (
    f"one customer in eight holds an alert, by the bytes b of sha256(profile_id), the first one b0: b4 mod {_ONE_IN}"
    f" is 0; {', '.join(THRESHOLDS)} by b5 mod 4; {', '.join(KINDS)} by b6 mod 4; the price by b7 mod their number:"
    f" {'; '.join(map(_ladder, THRESHOLDS))}"
)


@dataclass(frozen=True, slots=True)
class Holding:
    """A customer's alert.

    Args:
        kind: one of `KINDS`.
        dollars: the price that it waits for.
    """

    profile_id: str
    symbol: str
    kind: str
    dollars: int

    @property
    def words(self) -> str:
        """The alert in words."""
        return f"{self.symbol} {self.kind} {self.dollars} $"


def holding_of(profile_id: str) -> Holding | None:
    """The customer's alert by `HOLDER_RULE`, or None."""
    digest = hashlib.sha256(profile_id.encode()).digest()
    if digest[4] % _ONE_IN:
        return None
    symbol = list(THRESHOLDS)[digest[5] % len(THRESHOLDS)]
    prices = THRESHOLDS[symbol]
    return Holding(profile_id, symbol, KINDS[digest[6] % len(KINDS)], prices[digest[7] % len(prices)])


def holdings_of(profile_ids: Iterable[str]) -> list[Holding]:
    """The alerts of those customers who hold one."""
    return [holding for profile_id in profile_ids if (holding := holding_of(profile_id))]


def read_prices() -> list[Tick]:
    """All prices of the file that somebody may wait for, in the order of time."""
    return [tick for tick in read_bars(FILE) if tick.symbol in THRESHOLDS]
