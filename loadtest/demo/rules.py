"""What the loader knows of customers, and the rules by which it does; each rule's text is printed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from loadtest.demo.purchases import Purchase

CONSENT_RULE: Final = (
    "four in five agreed to e-mail: the first four bytes of sha256(profile_id), as a number, mod 5 is not 0"
)
VIP_SPENT: Final = Decimal(250)
STATE_RULE: Final = (
    "before each decision, purchase_count and total_spent count the purchase itself in;"
    f" who has spent {VIP_SPENT} $ or more is in the segment 'vip'"
)


def agreed_to_email(profile_id: str) -> bool:
    """Whether the customer gave consent, by `CONSENT_RULE`."""
    return int.from_bytes(hashlib.sha256(profile_id.encode()).digest()[:4]) % 5 != 0


@dataclass(slots=True)
class Customer:
    """What a customer has bought so far."""

    purchase_count: int = 0
    total_spent: Decimal = Decimal(0)

    @property
    def segments(self) -> list[str]:
        """The segments that the customer is in now, by `STATE_RULE`."""
        return ["vip"] if self.total_spent >= VIP_SPENT else []


@dataclass(slots=True)
class Customers:
    """All customers, as of the purchases that were counted."""

    known: dict[str, Customer] = field(default_factory=dict)

    def count(self, purchase: Purchase) -> Customer:
        """Count a purchase in; the customer with it."""
        customer = self.known.setdefault(purchase.profile_id, Customer())
        customer.purchase_count += 1
        customer.total_spent += purchase.dollars
        return customer
