"""Holds a place for each event within its limits, in whatever epoch is in force."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from server.decisions.model import Verdict
from server.decisions.reservation.limits import (
    Holder,
    microseconds,
    moment,
    reserve_in_order,
    scope_token,
    topic_token,
)
from server.decisions.reservation.sets import PendingExpired, RedisReservations, ReservationRequest
from server.decisions.store import DecisionStore, EpochChanged
from server.errors import Unavailable
from server.platform.postgres import Connection, enter_tenant

Verdicts = Mapping[str, Verdict]
# What Redis is told of a profile's sends must be younger than the least time that it keeps a confirmed one: a send
# that was recorded since then is in its set all the same.
_FRESH_SECONDS: Final = 30.0


class PendingSendExpired(Exception):
    """A send that would decide is pending past its lease: its recorder went silent, and only the end of the epoch
    tells whether it was recorded."""


class Holding:
    """Reserves with Redis or with PostgreSQL, whichever the epoch names."""

    def __init__(self, *, store: DecisionStore, reservations: RedisReservations) -> None:
        self._store = store
        self._reservations = reservations

    async def reserve(
        self, epoch: int, loaded_at: float, requests: Sequence[ReservationRequest], *, hold: str
    ) -> list[Verdicts]:
        """Verdicts of Redis for each request, in order. One round trip; none without requests.

        Args:
            loaded_at: the event loop's time before the sends of the requests were loaded, in seconds.
            hold: from `new_hold`; `settle` names it.

        Raises:
            EpochEnded: Redis lost this epoch.
            PendingSendExpired: silent recorders must be settled first.
            Unavailable: Redis is away, or what was loaded is too old to be told to it.
        """
        if not requests:
            return []
        if asyncio.get_running_loop().time() - loaded_at > _FRESH_SECONDS:
            raise Unavailable("DATABASE_BUSY", "loading took too long; nothing was recorded")
        answers = await self._reservations.reserve(epoch, requests, hold=hold)
        if any(isinstance(answer, PendingExpired) for answer in answers):
            raise PendingSendExpired
        return [answer for answer in answers if isinstance(answer, dict)]

    async def reserve_locked(
        self, connection: Connection, epoch: int, requests: Sequence[ReservationRequest]
    ) -> list[Verdicts]:
        """Verdicts by what PostgreSQL has, for each request in order; its locks last until the transaction ends.

        The transaction is left in the context of the last tenant that it used. Round trips: 1, and 3 for each tenant.

        Raises:
            EpochChanged: another epoch is in force.
        """
        if await self._store.begin_recording(connection) != epoch:
            raise EpochChanged
        since = _earliest(requests)
        for tenant_id in sorted({tenant for tenant, _ in since}):
            profiles = [profile for tenant, profile in since if tenant == tenant_id]
            await self._store.lock_profiles(connection, tenant_id, profiles)
        holders = await self._holders(connection, since)
        return [
            _hold(request, holders.setdefault((request.tenant_id, request.profile_id), []))
            for request in requests
        ]

    async def settle(
        self, epoch: int, holds: Sequence[tuple[ReservationRequest, str | None]], *, hold: str
    ) -> None:
        """Confirm or release what `reserve` held. One round trip."""
        await self._reservations.settle(epoch, holds, hold=hold)

    async def _holders(
        self, connection: Connection, since: Mapping[tuple[UUID, str], int]
    ) -> dict[tuple[UUID, str], list[Holder]]:
        holders: dict[tuple[UUID, str], list[Holder]] = {}
        for tenant_id in sorted({tenant for tenant, _ in since}):
            wanted = [
                (profile, moment(start)) for (tenant, profile), start in since.items() if tenant == tenant_id
            ]
            await enter_tenant(connection, tenant_id)
            for row in await self._store.load_holders(connection, tenant_id, wanted):
                holders.setdefault((tenant_id, row["profile_id"]), []).append(
                    Holder(
                        occurred_us=microseconds(row["occurred_at"]),
                        task_id=row["task_id"],
                        campaign=scope_token(row["campaign_id"]),
                        event=scope_token(row["campaign_id"], row["event_name"]),
                        channel=scope_token(row["channel"]),
                        topic=topic_token(row["topic"]),
                    )
                )
        return holders


def _earliest(requests: Sequence[ReservationRequest]) -> dict[tuple[UUID, str], int]:
    """For each profile the earliest event time that its windows reach, in microseconds."""
    since: dict[tuple[UUID, str], int] = {}
    for request in requests:
        key = (request.tenant_id, request.profile_id)
        start = request.occurred_us - request.longest_window_us
        since[key] = min(since.get(key, start), start)
    return since


def _hold(request: ReservationRequest, holders: list[Holder]) -> Verdicts:
    verdicts = reserve_in_order(request.candidates, request.occurred_us, request.task_id, holders)
    held = next(
        (c for c in request.candidates if verdicts.get(c.rule.marketing_event_id) is Verdict.HELD), None
    )
    if held is not None:
        rule = held.rule
        holders.append(
            Holder(
                request.occurred_us,
                request.task_id,
                campaign=scope_token(rule.campaign_id),
                event=scope_token(rule.campaign_id, rule.event_name),
                channel=scope_token(held.channels[0]),
                topic=topic_token(rule.topic),
            )
        )
    return verdicts
