"""Reservations in Redis: the sends of each profile by event time, so that limits hold across all servers.

Redis is a cache and a mutual exclusion here, never the truth. What it does not know it says (`COLD`), and
PostgreSQL fills it in; that it was emptied or replaced is told by the epoch, which is checked by every
script. A set is named by its epoch, so that what a former epoch left behind is never read.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import orjson

from server.decisions.limits import VERDICT_OF_LETTER, Holder
from server.decisions.model import Screened, Verdict
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
        settled_ms: how long a confirmed send stays at least; longer than any transaction may last.
        lateness_us: how far behind a profile's newest send an event may come without asking PostgreSQL.
    """

    lease_ms: int = 10_000
    time_to_live_ms: int = 86_400_000
    settled_ms: int = 120_000
    lateness_us: int = 3_600_000_000


@dataclass(frozen=True, slots=True)
class ReservationRequest:
    """One event that asks for a hold.

    Args:
        candidates: those that took every other hurdle, best first.
        longest_window_us: the longest window of any limit of the tenant.
        hold: tells this hold from those that other tries of the same decision, here or on another server, have:
            a try that fails releases its own only.
    """

    tenant_id: UUID
    profile_id: str
    task_id: str
    occurred_us: int
    longest_window_us: int
    candidates: Sequence[Screened]
    hold: str = field(default_factory=lambda: secrets.token_hex(_HOLD_BYTES))


@dataclass(frozen=True, slots=True)
class Cold:
    """Redis does not know the profile's sends that far back."""


@dataclass(frozen=True, slots=True)
class PendingExpired:
    """A pending send whose recorder went silent would decide: it must be settled first."""


Answer = dict[str, Verdict] | Cold | PendingExpired


class RedisReservations:
    """The reservation scripts. Every method is one round trip (two when Redis meets a script for the first
    time)."""

    def __init__(self, redis: RedisPool, settings: ReservationSettings) -> None:
        self._redis = redis
        self._settings = settings
        self._scripts = Scripts.load("decisions")

    async def reserve(self, epoch: int, requests: Sequence[ReservationRequest]) -> list[Answer]:
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
                *(_encode(request) for request in requests),
            ],
        )
        if replies == [b"E"]:
            raise EpochEnded
        return [_decode(request, reply) for request, reply in zip(requests, replies, strict=True)]

    async def warm(self, epoch: int, profiles: Iterable[tuple[UUID, str, int, Sequence[Holder]]]) -> None:
        """Fill in what PostgreSQL knows: (tenant, profile, complete from in us, its sends since then)."""
        profiles = list(profiles)
        await self._redis.run(
            self._scripts["warm"],
            keys=[EPOCH_KEY, *(_key(epoch, tenant, profile) for tenant, profile, _, _ in profiles)],
            arguments=[
                epoch,
                self._settings.time_to_live_ms,
                self._settings.settled_ms,
                *(_encode_holders(since, holders) for _, _, since, holders in profiles),
            ],
        )

    async def settle(self, epoch: int, holds: Sequence[tuple[ReservationRequest, str | None]]) -> None:
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
                *(
                    orjson.dumps(
                        [request.occurred_us, request.task_id[:_TASK_WIDTH], scopes or "", request.hold]
                    )
                    for request, scopes in holds
                ),
            ],
        )

    async def forget(self, epoch: int, profiles: Iterable[tuple[UUID, str]]) -> None:
        """Drop the sets of profiles: whoever needs one next reads PostgreSQL."""
        await self._redis.command("DEL", *(_key(epoch, tenant, profile) for tenant, profile in profiles))

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


def _encode(request: ReservationRequest) -> bytes:
    return b'[%d,"%b",%d,[%b],"%b"]' % (
        request.occurred_us,
        request.task_id[:_TASK_WIDTH].encode(),
        request.longest_window_us,
        b",".join(candidate.rule.holds[candidate.channels[0]] for candidate in request.candidates),
        request.hold.encode(),
    )


def _encode_holders(complete_from_us: int, holders: Sequence[Holder]) -> bytes:
    sends = [
        [h.occurred_us, f"{h.task_id[:_TASK_WIDTH]}{h.campaign}{h.event}{h.channel}{h.topic}"]
        for h in holders
    ]
    return orjson.dumps([complete_from_us, sends])


def _decode(request: ReservationRequest, reply: bytes) -> Answer:
    text = reply.decode()
    if text == "C":
        return Cold()
    if text.startswith("X"):
        return PendingExpired()
    return {
        candidate.rule.marketing_event_id: VERDICT_OF_LETTER[letter]
        for candidate, letter in zip(request.candidates, text, strict=False)
    }
