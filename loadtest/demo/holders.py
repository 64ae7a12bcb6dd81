"""Which customers wait for what of a price, by a rule that is printed, and the prices that they wait for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
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

PRICE_KINDS: Final = ("above", "below", "crosses up", "crosses down")
CHANGE_KINDS: Final = ("rises", "falls")
EXTREME_KINDS: Final = ("new high", "new low")
KINDS: Final = (*PRICE_KINDS, *CHANGE_KINDS, *EXTREME_KINDS)
PERCENTS: Final = range(2, 10)
"""How far a price rises or falls from the close of the day before."""
DAYS: Final = (20, 60, 120, 250)
"""How many days with prices before it a new high or low passes."""
_ONE_IN: Final = 8


def _ladder(symbol: str) -> str:
    prices = THRESHOLDS[symbol]
    return f"{symbol} {prices[0]}, {prices[1]} … {prices[-1]} $"


HOLDER_RULE: Final = (
    f"one customer in eight holds an alert, by the bytes b of sha256(profile_id), the first one b0: b4 mod {_ONE_IN}"
    f" is 0; {', '.join(THRESHOLDS)} by b5 mod 4; {', '.join(KINDS)} by b6 mod {len(KINDS)}; the price by b7 mod"
    f" their number: {'; '.join(map(_ladder, THRESHOLDS))}; who waits for a rise or fall, for {PERCENTS[0]} to"
    f" {PERCENTS[-1]} % from the close of the day before by b7 mod {len(PERCENTS)}; who waits for a new high or low,"
    f" for one of the last {', '.join(map(str, DAYS))} days by b7 mod {len(DAYS)}"
)


@dataclass(frozen=True, slots=True)
class Holding:
    """A customer's alert.

    Args:
        kind: one of `KINDS`.
        number: the dollars, the percent or the days that it is about.
    """

    profile_id: str
    symbol: str
    kind: str
    number: int

    @property
    def words(self) -> str:
        """The alert in words."""
        if self.kind in EXTREME_KINDS:
            return f"{self.symbol} {self.kind} of {self.number} days"
        return f"{self.symbol} {self.kind} {self.number} {'%' if self.kind in CHANGE_KINDS else '$'}"


def holding_of(profile_id: str) -> Holding | None:
    """The customer's alert by `HOLDER_RULE`, or None."""
    digest = hashlib.sha256(profile_id.encode()).digest()
    if digest[4] % _ONE_IN:
        return None
    symbol, kind = list(THRESHOLDS)[digest[5] % len(THRESHOLDS)], KINDS[digest[6] % len(KINDS)]
    numbers = _numbers(symbol, kind)
    return Holding(profile_id, symbol, kind, numbers[digest[7] % len(numbers)])


def _numbers(symbol: str, kind: str) -> Sequence[int]:
    if kind in CHANGE_KINDS:
        return PERCENTS
    return DAYS if kind in EXTREME_KINDS else THRESHOLDS[symbol]


def holdings_of(profile_ids: Iterable[str]) -> list[Holding]:
    """The alerts of those customers who hold one."""
    return [holding for profile_id in profile_ids if (holding := holding_of(profile_id))]


def read_prices() -> list[Tick]:
    """All prices of the file that somebody may wait for, in the order of time."""
    return [tick for tick in read_bars(FILE) if tick.symbol in THRESHOLDS]
