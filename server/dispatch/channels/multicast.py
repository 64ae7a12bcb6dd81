"""One message to all addresses of a profile, where the provider takes one at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from server.dispatch.channels.channel import Accepted, ErrorClass, Refused, SendResult

# What all of them together mean when none was taken: the first of these that occurs.
_WEIGHT: Final = (
    ErrorClass.AMBIGUOUS,
    ErrorClass.TRANSIENT,
    ErrorClass.QUOTA,
    ErrorClass.AUTHENTICATION,
    ErrorClass.CONTENT,
    ErrorClass.RECIPIENT,
)


async def to_each(addresses: Sequence[str], send: Callable[[str], Awaitable[SendResult]]) -> SendResult:
    """Send to every address at once, and say what that means for the message as a whole."""
    return combine(await asyncio.gather(*(send(address) for address in addresses)))


def combine(results: Sequence[SendResult]) -> SendResult:
    """One result of several: taken when one was taken.

    What was refused for the moment is then not tried again: the person has the message.
    """
    if len(results) == 1:
        return results[0]
    accepted = [result for result in results if isinstance(result, Accepted)]
    refused = [result for result in results if isinstance(result, Refused)]
    dead = tuple(address for result in results for address in result.dead_addresses)
    response = {
        "accepted": len(accepted),
        "refused": dict(Counter(result.reason for result in refused)),
        "first": (accepted or refused)[0].response,
    }
    if accepted:
        return Accepted(accepted[0].provider_message_id, response, dead)
    worst = min(refused, key=lambda result: _WEIGHT.index(result.error))
    waits = [r.retry_after_seconds for r in refused if r.retry_after_seconds is not None]
    return Refused(worst.error, worst.reason, response, max(waits, default=None), dead)
