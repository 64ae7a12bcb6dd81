"""What workers do for segments: evaluate all profiles in turn, and have changes decided on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID, uuid4

import orjson

from server.errors import LeoError, Overloaded, Unavailable
from server.platform.logging import get_logger
from server.platform.postgres import Database
from server.platform.redis import RedisPool
from server.platform.task_claims import claimed_by_tenant
from server.segments.evaluation import SegmentEvaluation
from server.segments.store import Change, SegmentStore

EVALUATE_EVERY: Final = timedelta(minutes=5)
"""How long after the end of one round through a tenant's profiles the next begins."""

_PAGE: Final = 500


class Tenants(Protocol):
    """Who is served."""

    async def __call__(self) -> Sequence[UUID]:
        """Every active tenant."""
        ...


class Decider(Protocol):
    """What segments need of the decisions."""

    async def decide_batch(self, tenant_id: UUID, incoming: Sequence[Any]) -> Sequence[Any]:
        """Decide events like `ChangeEvent`; idempotent by `source_event_id`.

        Returns:
            For each event what was recorded (`task_id`, `outcome`), or a `LeoError`.

        Raises:
            LeoError: nothing was recorded.
        """
        ...


class ChangeEvent(NamedTuple):
    """The event of a change, as decisions take it. `attributes` is a JSON object."""

    source_event_id: str
    profile_id: str
    event_type: str
    occurred_at: datetime
    attributes: bytes


class RoundsOfTenants:
    """Goes through the profiles of every tenant, again and again.

    How far a round has come, and when the last one ended, stand in Redis. When Redis lost it, a round begins anew,
    which writes only what changed.
    """

    def __init__(
        self,
        *,
        evaluation: SegmentEvaluation,
        redis: RedisPool,
        tenants: Tenants,
    ) -> None:
        self._evaluation = evaluation
        self._redis = redis
        self._tenants = tenants

    async def run(self) -> None:
        """Every tenant whose round is due. Any number may run at once: one of them works on a tenant."""
        for tenant_id in await self._tenants():
            await self._round(tenant_id)

    async def _round(self, tenant_id: UUID) -> None:
        ended, at = f"leo:segments_ended:{tenant_id}", f"leo:segments_at:{tenant_id}"
        segments = await self._evaluation.segments(tenant_id)
        versions = repr([(each.name, each.version) for each in segments])
        if await self._redis.command("GET", ended) == versions.encode():
            return
        after = (await self._redis.command("GET", at) or b"").decode()
        last: str | None = after
        async for judged in self._evaluation.evaluate_all(tenant_id, after=after):
            last = judged.last_profile_id
            if last is not None:
                await self._redis.command("SET", at, last)
        if last is not None:
            return
        await self._redis.command("DEL", at)
        # Where nobody is in any segment, nothing changes until there is one.
        lasts = ("EX", int(EVALUATE_EVERY.total_seconds())) if segments else ()
        await self._redis.command("SET", ended, versions, *lasts)


class SegmentJobs:
    """Has changes of membership decided on, where a marketing event waits for them.

    Args:
        lease_seconds: how long a claim holds.
        worker: names this process in claims.
    """

    def __init__(
        self, *, database: Database, store: SegmentStore, decider: Decider, lease_seconds: float, worker: str
    ) -> None:
        self._database = database
        self._store = store
        self._decider = decider
        self._lease = timedelta(seconds=lease_seconds)
        self._worker = worker

    async def decide_changes(self) -> None:
        """Decide until none is due. Idempotent; any number may run at once."""
        claimant = f"{self._worker}:{uuid4().hex}"
        async for tenant_id, task_ids in claimed_by_tenant(lambda: self._claim(claimant)):
            await self._decide(tenant_id, task_ids, claimant)

    async def _claim(self, claimant: str) -> list[tuple[UUID, str]]:
        async with self._database.transaction() as connection:
            return await self._store.claim_changes(
                connection, limit=_PAGE, lease=self._lease, claimant=claimant
            )

    async def _decide(self, tenant_id: UUID, task_ids: list[str], claimant: str) -> None:
        try:
            async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
                changes = await self._store.load_changes(connection, tenant_id, task_ids, claimant)
            answers = await self._decider.decide_batch(tenant_id, [_event(change) for change in changes])
            ends = {
                change.task_id: _end(answer)
                for change, answer in zip(changes, answers, strict=True)
                if not isinstance(answer, Overloaded | Unavailable)
            }
            async with self._database.tenant_transaction(tenant_id) as connection:
                await self._store.end_changes(connection, tenant_id, ends)
        except LeoError as error:
            get_logger().warning("segment_changes_wait", count=len(task_ids), reason=error.reason)


def _event(change: Change) -> ChangeEvent:
    return ChangeEvent(
        change.source_event_id, change.profile_id, change.event_type, change.occurred_at, change.attributes
    )


def _end(answer: Any) -> tuple[str, bytes]:
    """Status and result of the task."""
    if isinstance(answer, LeoError):
        return "failed", orjson.dumps({"reason": answer.reason})
    return "completed", orjson.dumps({"decision_task_id": answer.task_id, "outcome": str(answer.outcome)})
