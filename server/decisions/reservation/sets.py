"""Reservations in Redis: the sends of each profile by event time, so that limits hold across all servers.

Redis is a cache and a mutual exclusion here, never the truth. What it does not know it takes from what was
loaded from PostgreSQL, which comes with every request; that it was emptied or replaced is told by the epoch, which
is checked when a place is asked for. A set is named by its epoch, so that what a former epoch left behind is never
read.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from uuid import UUID

import orjson

from server.decisions.model import Screened, Verdict
from server.decisions.reservation.limits import VERDICT_OF_BYTE, scope_token, topic_token
from server.platform.redis import RedisPool, Scripts

# The number is that of the members' layout: servers of two layouts share no epoch, so neither reads the other's sets.
EPOCH_KEY: Final = "leo:reservation:epoch:2"
_TASK_WIDTH: Final = 32
_HOLD_BYTES: Final = 4


class EpochEnded(Exception):
    """Redis is not in the epoch that was asked for: it was emptied, replaced, or another epoch has begun."""


@dataclass(frozen=True, slots=True)
class ReservationSettings:
    """How long things are kept.

    Args:
        lease_ms: how long a pending send counts without a word from its recorder.
        time_to_live_ms: how long a profile's set stays after its last use.
        settled_ms: how long a confirmed send stays at least; longer than what was loaded may be used (`holding`).
        lateness_us: how far behind a profile's newest send its set stays complete.
    """

    lease_ms: int = 10_000
    time_to_live_ms: int = 86_400_000
    settled_ms: int = 120_000
    lateness_us: int = 3_600_000_000


class ReservationRequest(NamedTuple):
    """One event that asks for a hold.

    Args:
        candidates: those that took every other hurdle, best first.
        longest_window_us: the longest window of any limit of the tenant.
        sends: what PostgreSQL has of the profile's sends since `occurred_us - longest_window_us`, as the JSON list
            of `load_decisions`; None for nothing.
    """

    tenant_id: UUID
    profile_id: str
    task_id: str
    occurred_us: int
    longest_window_us: int
    candidates: Sequence[Screened]
    sends: str | None = None


class PendingExpired:
    """A pending send whose recorder went silent would decide: it must be settled first."""


PENDING_EXPIRED: Final = PendingExpired()
Answer = dict[str, Verdict] | PendingExpired


def new_hold() -> str:
    """Tells the holds of one try of a batch from those that other tries of the same decisions, here or on another
    server, have: a try that fails releases its own only."""
    return secrets.token_hex(_HOLD_BYTES)


class RedisReservations:
    """The reservation scripts. Every method is one round trip (two when Redis meets a script for the first
    time)."""

    def __init__(self, redis: RedisPool, settings: ReservationSettings) -> None:
        self._redis = redis
        self._settings = settings
        self._scripts = Scripts.load("decisions/reservation")

    async def reserve(self, epoch: int, requests: Sequence[ReservationRequest], *, hold: str) -> list[Answer]:
        """Reserve for each event in order.

        Raises:
            EpochEnded: nothing was reserved.
            Unavailable: Redis is away; some may have been reserved, under their lease.
        """
        replies = await self._redis.run(
            self._scripts["reserve"],
            keys=[EPOCH_KEY, *(_key(epoch, r.tenant_id, r.profile_id) for r in requests)],
            arguments=[
                epoch,
                self._settings.lease_ms,
                self._settings.time_to_live_ms,
                self._settings.lateness_us,
                self._settings.settled_ms,
                _encode(requests, hold),
            ],
        )
        if replies == [b"E"]:
            raise EpochEnded
        return [_decode(request, reply) for request, reply in zip(requests, replies, strict=True)]

    async def settle(
        self, epoch: int, holds: Sequence[tuple[ReservationRequest, str | None]], *, hold: str
    ) -> None:
        """End pending sends.

        Args:
            holds: each with what it counts against (`Rule.scopes`) when it is recorded, or None when it is not.
        """
        await self._redis.run(
            self._scripts["settle"],
            keys=[_key(epoch, request.tenant_id, request.profile_id) for request, _ in holds],
            arguments=[
                self._settings.settled_ms,
                self._settings.time_to_live_ms,
                hold,
                orjson.dumps([[r.occurred_us, r.task_id[:_TASK_WIDTH], scopes or ""] for r, scopes in holds]),
            ],
        )

    async def ping(self) -> None:
        """Whether Redis answers.

        Raises:
            Unavailable: it does not.
        """
        await self._redis.ping()

    async def begin_epoch(self, epoch: int) -> None:
        """Write the epoch key for the Redis that answers now.

        Raises:
            Unavailable: Redis is away.
        """
        await self._redis.run(self._scripts["begin_epoch"], keys=[EPOCH_KEY], arguments=[epoch])


def _key(epoch: int, tenant_id: UUID, profile_id: str) -> str:
    return f"leo:reservation:{epoch}:{tenant_id}:{profile_id}"


def _encode(requests: Sequence[ReservationRequest], hold: str) -> bytes:
    """Events of a batch ask for the same few candidates, so each is told once, and then by its number."""
    numbers: dict[bytes, int] = {}
    events = [
        (
            request.occurred_us,
            request.task_id[:_TASK_WIDTH],
            request.longest_window_us,
            hold,
            [numbers.setdefault(c.rule.holds[c.channels[0]], len(numbers)) for c in request.candidates],
            [] if request.sends is None else _members(request.sends),
        )
        for request in requests
    ]
    return orjson.dumps([[orjson.Fragment(asked) for asked in numbers], events])


def _members(sends: str) -> list[tuple[int, str]]:
    """Sends as `load_decisions` gives them, as members of a set have them."""
    return [
        (
            occurred_us,
            task_id[:_TASK_WIDTH]
            + scope_token(campaign_id)
            + scope_token(campaign_id, event_name)
            + scope_token(channel)
            + topic_token(topic),
        )
        for occurred_us, task_id, campaign_id, event_name, channel, topic in orjson.loads(sends)
    ]


def _decode(request: ReservationRequest, reply: bytes) -> Answer:
    if reply == b"X":
        return PENDING_EXPIRED
    return {
        candidate.rule.marketing_event_id: VERDICT_OF_BYTE[letter]
        for candidate, letter in zip(request.candidates, reply, strict=False)
    }
