"""What the demo has to come to, computed from the file alone: nothing here knows the product's code or its data.

The rules are those that the demo prints.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

FILE = Path(__file__).resolve().parents[2] / "loadtest" / "data" / "cdnow_sample.txt"
# Higher first, as the priorities say. The campaign of "new-year-sale" ended before the first purchase.
COOLDOWNS = {
    "welcome": timedelta(0),
    "big-basket-thanks": timedelta(days=30),
    "vip-offer": timedelta(days=60),
}


@dataclass
class Expected:
    """The figures of the last line that do not depend on time."""

    events: int
    decisions: int
    send: int
    suppressed: dict[str, int]

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
            "orphans": 0,
        }


def expected_figures(limit: int | None = None) -> Expected:
    """Play the purchases in their order, then invite whoever has become a VIP."""
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
    send = reasons.pop("SELECTED", 0)
    return Expected(len(purchases), send + sum(reasons.values()), send, dict(sorted(reasons.items())))


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
