"""The limits, computed once more from nothing but the rows: plain Python that shares no code with the servers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from loadtest.faults.decisions.shop import MESSAGES, TENANT_CAPS, Message


class Send(NamedTuple):
    """A recorded decision to send.

    Args:
        message: name of the marketing event.
        occurred_at: the event's own time, which limits are measured in.
    """

    tenant: str
    profile_id: str
    message: str
    occurred_at: datetime


class Limit(NamedTuple):
    """Any window of this length holds at most so many messages, of those named."""

    text: str
    window: timedelta
    maximum: int
    messages: frozenset[str]


def all_limits() -> list[Limit]:
    """The cooldowns, the campaigns' caps, and the tenants'."""
    everything = frozenset(message.name for message in MESSAGES)
    limits = [Limit("tenant's cap", window, maximum, everything) for window, maximum in TENANT_CAPS]
    for message in MESSAGES:
        own = frozenset({message.name})
        limits.append(Limit(f"cooldown of {message.name}", message.cooldown, 1, own))
        limits += [Limit(f"cap of {message.campaign}", *cap, own) for cap in message.campaign_caps]
    return limits


def violations(sends: Iterable[Send]) -> list[str]:
    """Every window of every customer that holds more than it may, in words."""
    by_customer: dict[tuple[str, str], list[Send]] = defaultdict(list)
    for send in sends:
        by_customer[send.tenant, send.profile_id].append(send)
    return [
        f"{limit.text} broken for {profile_id}: {found}"
        for (_, profile_id), own in by_customer.items()
        for limit in all_limits()
        for found in _broken(limit, own)
    ]


def _broken(limit: Limit, sends: Sequence[Send]) -> list[str]:
    """Two sends exactly one window apart are far enough."""
    times = sorted(send.occurred_at for send in sends if send.message in limit.messages)
    return [
        f"{limit.maximum + 1} within {times[last] - times[last - limit.maximum]}, the last at {times[last]}"
        for last in range(limit.maximum, len(times))
        if times[last] - times[last - limit.maximum] < limit.window
    ]


def expected_message(amount: int, occurred_at: datetime, sends: Sequence[Send]) -> Message | None:
    """What the shop's rules send at a purchase to a customer with consent and these sends; None for nothing."""
    limits = all_limits()
    for message in MESSAGES:
        more = [*sends, sends[0]._replace(message=message.name, occurred_at=occurred_at)] if sends else []
        if amount >= message.least_amount and not any(_broken(limit, more) for limit in limits):
            return message
    return None
