"""What the demo has to come to, computed from the data alone: nothing here knows the product's code or database.

The rules are those that the demo prints.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "loadtest" / "data"
FILE = DATA / "cdnow_sample.txt"
PRICES = DATA / "daily_stocks.csv.gz"
TIMES_OF_DAY = {"Open": "14:30", "High": "16:00", "Low": "18:00", "Close": "21:00"}
# Lowest, highest and step, in the order in which the printed rule takes them.
THRESHOLDS = {"AAPL": (20, 700, 20), "GOOG": (100, 800, 50), "IBM": (60, 220, 10), "MSFT": (15, 120, 5)}
KINDS = ("above", "below", "crosses up", "crosses down", "rises", "falls", "new high", "new low")
PERCENTS = (2, 3, 4, 5, 6, 7, 8, 9)
DAYS = (20, 60, 120, 250)
# Higher first, as the priorities say. The campaign of "new-year-sale" ended before the first purchase.
COOLDOWNS = {
    "welcome": timedelta(0),
    "big-basket-thanks": timedelta(days=30),
    "vip-offer": timedelta(days=60),
}


@dataclass
class Expected:
    """The figures of the last line that do not depend on time.

    Args:
        firings: profile, alert, time, price, outcome and reason of each, by time and profile.
    """

    events: int
    decisions: int
    send: int
    suppressed: dict[str, int]
    ticks: int
    firings: list[tuple[str, ...]]

    @property
    def figures(self) -> dict[str, object]:
        """As the demo prints them."""
        return {
            "events": self.events,
            "decisions": self.decisions,
            "send": self.send,
            "suppressed": self.suppressed,
            "deliveries": {"sent": self.send},
            "mailbox_messages": self.send,
            "ticks": self.ticks,
            "alerts_fired": len(self.firings),
            "orphans": 0,
            "replayed": self.decisions,
            "replay_differences": 0,
        }


def expected_figures(limit: int | None = None) -> Expected:
    """Play the purchases in their order, invite whoever has become a VIP, then let the prices pass."""
    spent: dict[str, Decimal] = defaultdict(Decimal)
    bought: Counter[str] = Counter()
    sent: dict[tuple[str, str], datetime] = {}
    reasons: Counter[str] = Counter()
    purchases = _purchases()[:limit]
    for customer, at, dollars in purchases:
        bought[customer] += 1
        spent[customer] += dollars
        wanted = []
        if bought[customer] == 1:
            wanted.append("welcome")
        if dollars >= 100:
            wanted.append("big-basket-thanks")
        if spent[customer] >= 250:
            wanted.append("vip-offer")
        reasons[_decide(customer, at, wanted, sent)] += 1
    for customer in spent:
        if spent[customer] >= 250:
            reasons["SELECTED" if _agreed(customer) else "NO_CONSENT"] += 1
    prices = _prices()
    firings = sorted(
        (firing for customer in spent if (firing := _firing(customer, prices))),
        key=lambda firing: (firing[2], firing[0]),
    )
    reasons.update(firing[-1] for firing in firings)
    send = reasons.pop("SELECTED", 0)
    return Expected(
        events=len(purchases),
        decisions=send + sum(reasons.values()),
        send=send,
        suppressed=dict(sorted(reasons.items())),
        ticks=sum(map(len, prices.values())),
        firings=firings,
    )


def _decide(customer: str, at: datetime, wanted: list[str], sent: dict[tuple[str, str], datetime]) -> str:
    """The reason of one decision. A candidate fails at its condition, then consent, then cooldown."""
    if not wanted:
        return "CONDITION_MISS"
    if not _agreed(customer):
        return "NO_CONSENT"
    for name in wanted:
        last = sent.get((customer, name))
        if last is None or at - last >= COOLDOWNS[name]:
            sent[customer, name] = at
            return "SELECTED"
    return "COOLDOWN"


def _firing(customer: str, prices: dict[str, list[tuple[str, Decimal]]]) -> tuple[str, ...] | None:
    """The customer's alert at the first price that fires it; None without an alert or without such a price."""
    b = hashlib.sha256(f"cdnow-{customer}".encode()).digest()
    if b[4] % 8 != 0:
        return None
    symbol, kind = list(THRESHOLDS)[b[5] % 4], KINDS[b[6] % 8]
    lowest, highest, step = THRESHOLDS[symbol]
    limits = range(lowest, highest + 1, step)
    if kind in ("rises", "falls"):
        limits = PERCENTS
    elif kind.startswith("new"):
        limits = DAYS
    limit = limits[b[7] % len(limits)]
    unit = (
        f"of {limit} days"
        if kind.startswith("new")
        else f"{limit} {'%' if kind in ('rises', 'falls') else '$'}"
    )
    for place, (moment, price) in enumerate(prices[symbol]):
        if _fires(kind, limit, prices[symbol], place):
            outcome = ("send", "SELECTED") if _agreed(customer) else ("suppressed", "NO_CONSENT")
            return (
                f"cdnow-{customer}",
                f"{symbol} {kind} {unit}",
                moment,
                f"{price.normalize():f}",
                *outcome,
            )
    return None


def _fires(kind: str, limit: int, prices: list[tuple[str, Decimal]], place: int) -> bool:
    """Every day has four prices: those of the days before come four by four."""
    price, today = prices[place][1], place - place % 4
    if kind == "above":
        return price > limit
    if kind == "below":
        return price < limit
    if kind in ("new high", "new low"):
        before = [earlier for _, earlier in prices[max(0, today - 4 * limit) : place]]
        known = today >= 4 * limit
        return known and (price > max(before) if kind == "new high" else price < min(before))
    if place == 0:
        return False
    previous = prices[place - 1][1]
    if kind.startswith("crosses"):
        return previous <= limit < price if kind == "crosses up" else price < limit <= previous
    if today == 0:
        return False
    close = prices[today - 1][1]
    moved = price - close if kind == "rises" else close - price
    return moved * 100 >= limit * close


def _prices() -> dict[str, list[tuple[str, Decimal]]]:
    """Time and price of every tick, by symbol."""
    ticks: dict[str, list[tuple[str, Decimal]]] = {symbol: [] for symbol in THRESHOLDS}
    with gzip.open(PRICES, "rt") as lines:
        for row in csv.DictReader(lines):
            for name, clock in TIMES_OF_DAY.items():
                if row["Ticker"] in ticks:
                    ticks[row["Ticker"]].append((f"{row['Date']}T{clock}:00+00:00", Decimal(row[name])))
    for prices in ticks.values():
        prices.sort(key=lambda tick: tick[0])
    return ticks


def _agreed(customer: str) -> bool:
    return int(hashlib.sha256(f"cdnow-{customer}".encode()).hexdigest()[:8], 16) % 5 != 0


def _purchases() -> list[tuple[str, datetime, Decimal]]:
    days: dict[str, list[tuple[str, Decimal]]] = defaultdict(list)
    for line in FILE.read_text().splitlines():
        _, customer, date, _, dollars = line.split()
        days[date].append((customer, Decimal(dollars)))
    return [
        (customer, datetime.strptime(date, "%Y%m%d").replace(tzinfo=UTC) + timedelta(seconds=place), dollars)
        for date in sorted(days)
        for place, (customer, dollars) in enumerate(days[date])
    ]
