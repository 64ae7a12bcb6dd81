"""The purchases of the file, in the order in which they happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

FILE: Final = Path(__file__).resolve().parents[1] / "data" / "cdnow_sample.txt"
TIME_RULE: Final = (
    "dates have no time of day: a purchase happens at 00:00 UTC,"
    " plus one second for each line of its day that comes before it"
)


@dataclass(frozen=True, slots=True)
class Purchase:
    """One line of the file.

    Args:
        line: its number from 1; repeated lines are separate purchases.
        profile_id: the customer.
        dollars: what the basket cost, with two decimals.
    """

    line: int
    profile_id: str
    occurred_at: datetime
    cds: int
    dollars: Decimal

    @property
    def source_event_id(self) -> str:
        """The idempotency key of the purchase."""
        return f"cdnow:{self.line}"


def read_purchases(limit: int | None = None) -> list[Purchase]:
    """The purchases by time, within a day in the order of the file.

    Args:
        limit: only the first so many; None for all.
    """
    numbered = enumerate(FILE.read_text("ascii").splitlines(), start=1)
    lines = sorted((fields[2], number, fields) for number, line in numbered if (fields := line.split()))
    places: Counter[str] = Counter()
    purchases = []
    for date, number, fields in lines:
        midnight = datetime.strptime(date, "%Y%m%d").replace(tzinfo=UTC)
        purchases.append(
            Purchase(
                line=number,
                profile_id=f"cdnow-{fields[1]}",
                occurred_at=midnight + timedelta(seconds=places[date]),
                cds=int(fields[3]),
                dollars=Decimal(fields[4]),
            )
        )
        places[date] += 1
    return purchases[:limit]


def batches(purchases: Sequence[Purchase], *, longest: int) -> Iterator[list[Purchase]]:
    """Runs of purchases, in order, in which no customer comes twice.

    So the profile can be brought up to date for each decision, and the purchases of one customer stay in order.
    """
    batch: list[Purchase] = []
    customers: set[str] = set()
    for purchase in purchases:
        if purchase.profile_id in customers or len(batch) == longest:
            yield batch
            batch, customers = [], set()
        batch.append(purchase)
        customers.add(purchase.profile_id)
    if batch:
        yield batch
