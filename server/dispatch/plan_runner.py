"""Carries out dispatches: every member of the frozen audience passes through Decide, page by page."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import UUID, uuid4

from server.dispatch.delivery_store import BEGINNING, Claim, DeliveryStore
from server.dispatch.model import DISPATCH_QUEUE
from server.dispatch.plan_store import ClaimedPlan, PlanStore
from server.dispatch.steps import PAUSE_SECONDS
from server.errors import LeoError, Overloaded, Unavailable
from server.platform.logging import get_logger
from server.platform.postgres import Connection, Database

_PAGE: Final = 500
_PAGE_TRIES: Final = 5
_PAUSE_SECONDS: Final = 0.5
_PARTS_PAUSE: Final = timedelta(minutes=10)
_TROUBLE_PAUSE: Final = timedelta(seconds=5)
_BUSY: Final = (Overloaded, Unavailable)


class Decider(Protocol):
    """What a dispatch needs of the decisions."""

    async def decide_members(
        self,
        tenant_id: UUID,
        *,
        plan_task_id: str,
        marketing_event_id: str,
        snapshot_id: str,
        profile_ids: Sequence[str],
        occurred_at: datetime,
    ) -> Sequence[object]:
        """Decide for members of a frozen audience; idempotent by plan and profile.

        Returns:
            One answer for each profile; a `LeoError` for one that could not be decided.

        Raises:
            LeoError: nothing was recorded.
        """
        ...


class PlanNotFinished(Exception):
    """Members could not be decided for now; another claim goes on later."""


class PlanRunner:
    """The dispatches that this process carries out, one after the other.

    A large one is divided into parts, ranges of members that are leased one by one, so that the fleet shares it. A
    worker that dies leaves a lease that runs out; who claims its part then decides for it again from its beginning,
    which changes nothing for those who were decided.

    Args:
        part_members: how many members a part has; more than that divide a plan.
        lease_seconds: how long a claim holds after each page.
        worker: names this process in claims.
    """

    def __init__(
        self,
        *,
        database: Database,
        claims: DeliveryStore,
        store: PlanStore,
        decider: Decider,
        part_members: int,
        lease_seconds: float,
        worker: str,
    ) -> None:
        self._part_members = part_members
        self._database = database
        self._claims = claims
        self._store = store
        self._decider = decider
        self._lease = timedelta(seconds=lease_seconds)
        self._worker = worker
        self._stopping = False
        self._draining = False
        self._wanted = False

    async def drain(self) -> None:
        """Carry out plans until none is due. While one drain runs, a further call only makes it look again."""
        self._wanted = True
        if self._draining:
            return
        self._draining = True
        try:
            while self._wanted and not self._stopping:
                self._wanted = False
                owner = f"{self._worker}:{uuid4().hex}"
                for claim in await self._claim(owner):
                    self._wanted = True
                    await self._carry_out(claim, owner)
        finally:
            self._draining = False

    def stop(self) -> None:
        """Finish the page that is under way, and no more; another process goes on."""
        self._stopping = True

    async def _claim(self, owner: str) -> list[Claim]:
        return await self._claims.claim_tasks(
            self._database.write, DISPATCH_QUEUE, limit=1, lease=self._lease, owner=owner, since=BEGINNING
        )

    async def _carry_out(self, claim: Claim, owner: str) -> None:
        try:
            await self._walk(claim.tenant_id, claim.task_id, owner)
        except (LeoError, PlanNotFinished) as error:
            get_logger().warning("dispatch_waits", task_id=claim.task_id, exc_info=error)
            await self._put_off(claim, owner)

    async def _put_off(self, claim: Claim, owner: str) -> None:
        """Others may go on soon, instead of when the lease has run out; where PostgreSQL is away, it has to."""
        with suppress(LeoError):
            async with self._database.tenant_transaction(claim.tenant_id) as connection:
                await self._store.put_off_plan(
                    connection, claim.tenant_id, claim.task_id, owner, _TROUBLE_PAUSE
                )

    async def _walk(self, tenant_id: UUID, task_id: str, owner: str) -> None:
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            plan = await self._store.load_claimed_plan(connection, tenant_id, task_id, owner)
        if plan is None:
            return
        if not plan.is_part and plan.member_count > self._part_members:
            await self._divide(tenant_id, plan, owner)
        elif plan.plan_status == "cancelled":
            await self._end(tenant_id, plan, owner, status="cancelled")
        else:
            await self._walk_members(tenant_id, plan, owner)

    async def _walk_members(self, tenant_id: UUID, plan: ClaimedPlan, owner: str) -> None:
        after = plan.after
        while True:
            lease = timedelta(0) if self._stopping else self._lease
            members = await self._page(tenant_id, plan, owner, after, lease)
            if members is None or self._stopping:
                return
            if not members:
                await self._end(tenant_id, plan, owner, status="completed")
                return
            await self._decide(tenant_id, plan, members)
            after = members[-1]

    async def _divide(self, tenant_id: UUID, plan: ClaimedPlan, owner: str) -> None:
        """Parts for the whole fleet, once; then the plan waits until the last of them ends it."""
        async with self._database.tenant_transaction(tenant_id) as connection:
            if not await self._goes_on(connection, tenant_id, plan, owner, self._lease):
                return
            parts = await self._store.count_parts(connection, tenant_id, plan.task_id)
            if parts.part_count == 0:
                await self._store.split_plan(connection, tenant_id, plan.task_id, self._part_members)
            elif parts.open_count == 0:
                await self._end_whole(connection, tenant_id, plan.task_id)
            await self._store.put_off_plan(connection, tenant_id, plan.task_id, owner, _PARTS_PAUSE)

    async def _page(
        self, tenant_id: UUID, plan: ClaimedPlan, owner: str, after: str, lease: timedelta
    ) -> list[str] | None:
        """The next members, with the lease renewed; None when the claim was lost, or the plan does not go on."""
        async with self._database.tenant_transaction(tenant_id) as connection:
            if not await self._goes_on(connection, tenant_id, plan, owner, lease):
                return None
            return await self._store.list_members(connection, tenant_id, plan, after=after, limit=_PAGE)

    async def _goes_on(
        self, connection: Connection, tenant_id: UUID, plan: ClaimedPlan, owner: str, lease: timedelta
    ) -> bool:
        """Whether the claim holds on and nothing holds the plan back; otherwise it is given back."""
        if await self._store.extend_lease(connection, tenant_id, plan.task_id, owner, lease):
            return True
        await self._claims.share_holding(connection, tenant_id)
        pause = timedelta(seconds=PAUSE_SECONDS)
        await self._store.leave_plan(connection, tenant_id, plan.task_id, owner, pause)
        return False

    async def _decide(self, tenant_id: UUID, plan: ClaimedPlan, members: Sequence[str]) -> None:
        """Decide a page; members that met a busy moment are asked again before the walk goes on.

        One that is refused for good holds up nobody: it is missing from the plan's decided members.
        """
        remaining = list(members)
        for _ in range(_PAGE_TRIES):
            answers = await self._decider.decide_members(
                tenant_id,
                plan_task_id=plan.plan_task_id,
                marketing_event_id=plan.marketing_event_id,
                snapshot_id=plan.snapshot_id,
                profile_ids=remaining,
                occurred_at=plan.occurred_at,
            )
            answered = zip(remaining, answers, strict=True)
            remaining = [member for member, answer in answered if isinstance(answer, _BUSY)]
            if not remaining:
                return
            await asyncio.sleep(_PAUSE_SECONDS)
        raise PlanNotFinished

    async def _end(self, tenant_id: UUID, plan: ClaimedPlan, owner: str, *, status: str) -> None:
        """End a plan, or a part of one; the last part ends the whole."""
        async with self._database.tenant_transaction(tenant_id) as connection:
            if not plan.is_part:
                counts = await self._store.count_plan(connection, tenant_id, plan.task_id)
                await self._store.end_plan(
                    connection, tenant_id, plan.task_id, owner, status=status, result=counts
                )
                return
            # Whoever ends a part holds the whole meanwhile: of two last parts, one sees the other's end.
            whole = await self._store.lock_whole_plan(connection, tenant_id, plan.plan_task_id)
            await self._store.end_plan(connection, tenant_id, plan.task_id, owner, status=status, result={})
            parts = await self._store.count_parts(connection, tenant_id, plan.plan_task_id)
            if whole == "pending" and parts.open_count == 0:
                await self._end_whole(connection, tenant_id, plan.plan_task_id)

    async def _end_whole(self, connection: Connection, tenant_id: UUID, plan_task_id: str) -> None:
        counts = await self._store.count_plan(connection, tenant_id, plan_task_id)
        await self._store.end_plan(
            connection, tenant_id, plan_task_id, None, status="completed", result=counts
        )
