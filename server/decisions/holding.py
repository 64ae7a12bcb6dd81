"""Holds a place for each event within its limits, in whatever epoch is in force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from server.decisions.epochs import redis_reserves
from server.decisions.limits import Holder, microseconds, moment, reserve_in_order, scope_token, topic_token
from server.decisions.model import Verdict
from server.decisions.reservation import (
    Answer,
    Cold,
    PendingExpired,
    RedisReservations,
    ReservationRequest,
)
from server.decisions.store import DecisionStore
from server.errors import Unavailable
from server.platform.postgres import Connection, Database, enter_tenant

Verdicts = Mapping[str, Verdict]


class PendingSendExpired(Exception):
    """The sends of these profiles contain one whose recorder went silent; `Holding.resolve` settles them."""

    def __init__(self, profiles: Sequence[tuple[UUID, str]]) -> None:
        super().__init__(f"{len(profiles)} profiles have a pending send past its lease")
        self.profiles = profiles


class Holding:
    """Reserves with Redis or with PostgreSQL, whichever the epoch names."""

    def __init__(self, *, database: Database, store: DecisionStore, reservations: RedisReservations) -> None:
        self._database = database
        self._store = store
        self._reservations = reservations

    async def reserve(
        self, connection: Connection, epoch: int, requests: Sequence[ReservationRequest]
    ) -> list[Verdicts]:
        """Verdicts for each request, in order. The transaction is left in the context of the last tenant it
        used.

        Raises:
            EpochEnded: Redis lost this epoch.
            PendingSendExpired: silent recorders must be settled first.
            Unavailable: Redis is away.
        """
        if not requests:
            return []
        if redis_reserves(epoch):
            return await self._with_redis(connection, epoch, requests)
        return await self._with_postgres(connection, requests)

    async def settle(self, epoch: int, holds: Sequence[tuple[ReservationRequest, str | None]]) -> None:
        """Confirm or release what `reserve` held. PostgreSQL's locks end with their transaction."""
        if holds and redis_reserves(epoch):
            await self._reservations.settle(epoch, holds)

    async def resolve(self, epoch: int, profiles: Sequence[tuple[UUID, str]]) -> None:
        """Forget what silent recorders left: once nobody records, PostgreSQL has everything that counts."""
        async with self._database.transaction() as connection:
            await self._store.wait_for_recorders(connection)
            await self._reservations.forget(epoch, profiles)

    async def _with_redis(
        self, connection: Connection, epoch: int, requests: Sequence[ReservationRequest]
    ) -> list[Verdicts]:
        answers = await self._reservations.reserve(epoch, requests)
        cold = [
            request for request, answer in zip(requests, answers, strict=True) if isinstance(answer, Cold)
        ]
        if cold:
            await self._warm(connection, epoch, cold)
            again = iter(await self._reservations.reserve(epoch, cold))
            answers = [next(again) if isinstance(answer, Cold) else answer for answer in answers]
        return _verdicts(requests, answers)

    async def _warm(self, connection: Connection, epoch: int, requests: Sequence[ReservationRequest]) -> None:
        since = _earliest(requests)
        holders = await self._holders(connection, since)
        await self._reservations.warm(
            epoch,
            [
                (tenant, profile, start, holders.get((tenant, profile), []))
                for (tenant, profile), start in since.items()
            ],
        )

    async def _with_postgres(
        self, connection: Connection, requests: Sequence[ReservationRequest]
    ) -> list[Verdicts]:
        """Locks and reads the profiles, then applies the same rule; the locks last until the commit."""
        since = _earliest(requests)
        for tenant_id in sorted({tenant for tenant, _ in since}):
            profiles = [profile for tenant, profile in since if tenant == tenant_id]
            await self._store.lock_profiles(connection, tenant_id, profiles)
        holders = await self._holders(connection, since)
        return [
            _hold(request, holders.setdefault((request.tenant_id, request.profile_id), []))
            for request in requests
        ]

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


def _verdicts(requests: Sequence[ReservationRequest], answers: Sequence[Answer]) -> list[Verdicts]:
    expired = [
        (request.tenant_id, request.profile_id)
        for request, answer in zip(requests, answers, strict=True)
        if isinstance(answer, PendingExpired)
    ]
    if expired:
        raise PendingSendExpired(expired)
    verdicts: list[Verdicts] = [answer for answer in answers if isinstance(answer, dict)]
    if len(verdicts) != len(answers):
        raise Unavailable("REDIS_UNAVAILABLE", "Redis forgot a profile's sends as soon as it was told them")
    return verdicts


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
