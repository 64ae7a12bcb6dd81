"""Cooldowns and caps in event time: when does one more send break a limit?

The same rule is applied in two places: here, where PostgreSQL's holders decide (Redis away), and in
`reserve.lua`, where Redis decides. One behavioural suite (tests/decisions/test_limits.py) holds them
together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

import orjson

from server.decisions.model import ANY, Limit, LimitKind, Screened, Verdict

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_WITHOUT_TOPIC: Final = "." * 16
VERDICT_OF_BYTE: Final = {b"h"[0]: Verdict.HELD, b"o"[0]: Verdict.COOLDOWN, b"k"[0]: Verdict.CAPPED}
_LETTER_OF_KIND: Final = {LimitKind.COOLDOWN: "o", LimitKind.CAP: "k"}


@dataclass(frozen=True, slots=True)
class Holder:
    """A send that counts against limits.

    Args:
        occurred_us: event time in microseconds since 1970.
        task_id: the decision that sent.
        campaign, event, channel, topic: scope tokens of what was sent.
    """

    occurred_us: int
    task_id: str
    campaign: str
    event: str
    channel: str
    topic: str


def microseconds(moment: datetime) -> int:
    """Event time as whole microseconds since 1970, exact for every datetime."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(occurred_us: int) -> datetime:
    """The instant of `microseconds`, in UTC."""
    return _EPOCH + timedelta(microseconds=occurred_us)


@lru_cache(maxsize=65_536)
def scope_token(*parts: str) -> str:
    """A name of fixed width for a scope: 16 hexadecimal digits over the length-prefixed parts."""
    encoded = b"".join(b"%d:%b" % (len(raw), raw) for raw in (part.encode() for part in parts))
    return hashlib.blake2b(encoded, digest_size=8).hexdigest()


def topic_token(topic: str | None) -> str:
    """The token of a send's topic; without one it is counted by no limit that names a topic."""
    return _WITHOUT_TOPIC if topic is None else scope_token(topic)


def hold_request(scopes: str, limits: Iterable[Limit]) -> bytes:
    """What a candidate asks of `reserve.lua`: its own tokens, then its limits, as JSON."""
    encoded = [
        (
            _LETTER_OF_KIND[limit.kind],
            limit.campaign,
            limit.event,
            limit.channel,
            limit.topic,
            limit.window_us,
            limit.maximum,
        )
        for limit in limits
    ]
    return orjson.dumps([scopes, encoded])


def reserve_in_order(
    candidates: Iterable[Screened], occurred_us: int, task_id: str, holders: Sequence[Holder]
) -> dict[str, Verdict]:
    """Ask for each candidate in turn until one may be held.

    Args:
        candidates: those that took all other hurdles, best first.
        occurred_us: event time of the event, in microseconds since 1970.
        task_id: the decision that asks; its own earlier hold does not count against it.
        holders: all other sends to the profile near that time, in any order.

    Returns:
        The verdict of each candidate that was asked, by marketing event.
    """
    others = [holder for holder in holders if holder.task_id != task_id]
    verdicts: dict[str, Verdict] = {}
    for candidate in candidates:
        broken = broken_limit(candidate.rule.limits[candidate.channels[0]], occurred_us, others)
        if broken is None:
            verdicts[candidate.rule.marketing_event_id] = Verdict.HELD
            break
        verdicts[candidate.rule.marketing_event_id] = (
            Verdict.COOLDOWN if broken.kind is LimitKind.COOLDOWN else Verdict.CAPPED
        )
    return verdicts


def broken_limit(limits: Iterable[Limit], occurred_us: int, holders: Sequence[Holder]) -> Limit | None:
    """The first limit that a send at `occurred_us` would break, or None."""
    for limit in limits:
        if is_broken(limit, occurred_us, holders):
            return limit
    return None


def counted(limit: Limit, occurred_us: int, holders: Iterable[Holder]) -> list[Holder]:
    """The sends that the limit counts and that are near enough to share a window with one at `occurred_us`."""
    return [
        holder
        for holder in holders
        if abs(holder.occurred_us - occurred_us) < limit.window_us and _matches(limit, holder)
    ]


def is_broken(limit: Limit, occurred_us: int, holders: Iterable[Holder]) -> bool:
    """Whether a send at `occurred_us` would break the limit."""
    times = sorted(holder.occurred_us for holder in counted(limit, occurred_us, holders))
    for first in range(len(times) - limit.maximum + 1):
        earliest = min(times[first], occurred_us)
        latest = max(times[first + limit.maximum - 1], occurred_us)
        if latest - earliest < limit.window_us:
            return True
    return False


def _matches(limit: Limit, holder: Holder) -> bool:
    return (
        limit.campaign in (ANY, holder.campaign)
        and limit.event in (ANY, holder.event)
        and limit.channel in (ANY, holder.channel)
        and limit.topic in (ANY, holder.topic)
    )
