"""Plays the shop's own software: keeps the profiles, and asks for a decision at every purchase.

It uses the public client only.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from leo.activation.v1 import decision_service_pb2 as decisions
from leo.activation.v1 import profile_service_pb2 as profiles
from leo_client import LeoClient, to_json

from loadtest.demo.persistence import persistently
from loadtest.demo.purchases import Purchase, batches
from loadtest.demo.rules import Customer, Customers, agreed_to_email

_PAGE: Final = 1_000
CALLS_AT_ONCE: Final = 16
_GOOD: Final = frozenset(
    {
        profiles.PROFILE_WRITE_OUTCOME_CREATED,
        profiles.PROFILE_WRITE_OUTCOME_UPDATED,
        profiles.PROFILE_WRITE_OUTCOME_UNCHANGED,
    }
)
Item = TypeVar("Item")


class Refused(Exception):
    """The server refused something that the demo takes for right."""


@dataclass(slots=True)
class Loaded:
    """What the loader saw.

    Args:
        latencies: seconds from the start of each Decide call to its answer, pauses of an outage included.
        reasons: for each customer, the reasons of its decisions in their order.
    """

    latencies: list[float] = field(default_factory=list)
    reasons: dict[str, list[str]] = field(default_factory=dict)
    seconds: float = 0.0


async def register_customers(client: LeoClient, profile_ids: Sequence[str]) -> None:
    """Create the profiles, without purchases, and record who agreed to e-mail and who did not."""
    for page in _pages(profile_ids, _PAGE):
        patches = [_patch(profile_id, Customer()) for profile_id in page]
        for patch in patches:
            patch.primary_email = f"{patch.profile_id}@example.com"
        await _upsert(client, patches)
        await _set_consents(client, [_consent(profile_id) for profile_id in page])


async def load_purchases(
    clients: Sequence[LeoClient],
    purchases: Sequence[Purchase],
    on_decided: Callable[[decisions.Decision], None],
) -> Loaded:
    """Ask for a decision at each purchase, with the profile brought up to date right before.

    Args:
        clients: connections; the calls take turns on them, so that every server process gets some.
        on_decided: is told each decision as it is acknowledged.
    """
    loaded, customers = Loaded(), Customers()
    started = time.perf_counter()

    async def decided(client: LeoClient, purchase: Purchase, free: asyncio.Semaphore) -> None:
        on_decided(await _decide(client, purchase, free, loaded))

    for batch in batches(purchases, longest=CALLS_AT_ONCE * 8):
        await _upsert(clients[0], [_patch(p.profile_id, customers.count(p)) for p in batch])
        free = asyncio.Semaphore(CALLS_AT_ONCE)
        turns = enumerate(batch)
        await asyncio.gather(*(decided(clients[n % len(clients)], p, free) for n, p in turns))
    loaded.seconds = time.perf_counter() - started
    return loaded


async def _decide(
    client: LeoClient, purchase: Purchase, free: asyncio.Semaphore, loaded: Loaded
) -> decisions.Decision:
    request = decisions.DecideRequest(event=purchase_event(purchase))
    async with free:
        started = time.perf_counter()
        answer = await persistently(lambda: client.decisions.Decide(request))
        loaded.latencies.append(time.perf_counter() - started)
    reason = decisions.DecisionReason.Name(answer.decision.reason).removeprefix("DECISION_REASON_")
    loaded.reasons.setdefault(purchase.profile_id, []).append(reason)
    return answer.decision


def purchase_event(purchase: Purchase) -> decisions.Event:
    """The purchase as the server takes it."""
    event = decisions.Event(
        source_event_id=purchase.source_event_id,
        profile_id=purchase.profile_id,
        event_type="purchase",
        attributes=to_json({"cds": purchase.cds, "dollars": float(purchase.dollars)}),
    )
    event.occurred_at.FromDatetime(purchase.occurred_at)
    return event


async def _upsert(client: LeoClient, patches: Sequence[profiles.ProfilePatch]) -> None:
    request = profiles.UpsertProfilesRequest(profiles=patches)
    answer = await persistently(lambda: client.profiles.UpsertProfiles(request))
    _refuse_faults(answer.results)


async def _set_consents(client: LeoClient, consents: Sequence[profiles.Consent]) -> None:
    request = profiles.SetConsentsRequest(consents=consents)
    answer = await persistently(lambda: client.profiles.SetConsents(request))
    _refuse_faults(answer.results)


def _patch(profile_id: str, customer: Customer) -> profiles.ProfilePatch:
    facts = {"purchase_count": customer.purchase_count, "total_spent": float(customer.total_spent)}
    return profiles.ProfilePatch(
        profile_id=profile_id,
        segments=profiles.TextList(values=customer.segments),
        raw_attributes=to_json(facts),
    )


def _consent(profile_id: str) -> profiles.Consent:
    agreed = agreed_to_email(profile_id)
    return profiles.Consent(
        profile_id=profile_id,
        channel="email",
        status=profiles.CONSENT_STATUS_GRANTED if agreed else profiles.CONSENT_STATUS_WITHDRAWN,
        legal_basis="consent",
        source="order-form",
    )


def _refuse_faults(results: Iterable[profiles.ProfileWriteResult]) -> None:
    faults = [result for result in results if result.outcome not in _GOOD]
    if faults:
        raise Refused(f"{len(faults)} items were refused, the first one with: {faults[0]}")


def _pages(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))
