"""Sends what is due in one work queue: claim, prepare, send, record, over and over."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from server.dispatch.channels.channel import (
    NO_CREDENTIAL,
    Channel,
    ErrorClass,
    Message,
    Refused,
    SendResult,
)
from server.dispatch.claims import Attempt, Step
from server.dispatch.delivery_store import BEGINNING, Claim, DeliveryStore
from server.dispatch.outcomes import RetryPolicy, after_send
from server.dispatch.preparation import Preparation, Prepared
from server.dispatch.recorder import StepRecorder
from server.errors import LeoError
from server.platform.clock import utc_now
from server.platform.logging import get_logger
from server.platform.postgres import CommitOutcomeUnknown, Database

_LARGEST_CLAIM: Final = 500
_UNSERVED_SLOTS: Final = 256
_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class DeliveryLimits:
    """Times of a delivery.

    Args:
        lease_seconds: how long a claim holds; what a dead worker had claimed is taken up again after it.
        send_seconds: how long one message may take once its turn has come; at most half a lease.
    """

    lease_seconds: float
    send_seconds: float

    def __post_init__(self) -> None:
        if not 0 < self.send_seconds * 2 <= self.lease_seconds:
            raise ValueError("a lease must last for at least twice the time of sending one message")


class DeliveryRunner:
    """The deliveries of one queue in this process. No more are claimed than have a slot.

    Args:
        queue: the work queue: the name of the first channel of its deliveries.
        channels: the channels that this process serves, by name.
        worker: names this process in claims, e.g. `host:pid`.
        jitter: 0 to 1, spreads retries.
    """

    def __init__(
        self,
        *,
        queue: str,
        channels: Mapping[str, Channel],
        database: Database,
        store: DeliveryStore,
        preparation: Preparation,
        recorder: StepRecorder,
        limits: DeliveryLimits,
        policy: RetryPolicy,
        worker: str,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._queue = queue
        self._channel = channels.get(queue)
        self._channels = channels
        self._database = database
        self._store = store
        self._preparation = preparation
        self._recorder = recorder
        self._limits = limits
        self._policy = policy
        self._worker = worker
        self._jitter = jitter
        self._free = self._slots = self._channel.slots if self._channel else _UNSERVED_SLOTS
        self._wanted = False
        self._stopping = False
        self._draining = False
        self._since = BEGINNING
        self._changed = asyncio.Event()
        self._work: set[asyncio.Task[None]] = set()

    async def drain(self) -> None:
        """Send until nothing is due any more, and all that was begun is recorded.

        While one drain runs, a further call only makes it look again, and returns at once.
        """
        self._wanted = True
        self._changed.set()
        if self._draining:
            return
        self._draining = True
        try:
            while self._may_claim() or self._work:
                if self._may_claim():
                    await self._claim()
                else:
                    self._changed.clear()
                    await self._changed.wait()
        finally:
            self._draining = False

    def stop(self) -> None:
        """Claim nothing more; a running drain ends once what was begun is recorded."""
        self._stopping = True
        self._changed.set()

    def _may_claim(self) -> bool:
        # A few free slots are not worth a claim of their own: they come back in groups.
        return self._wanted and not self._stopping and self._free * 4 >= self._slots

    async def _claim(self) -> None:
        """Begin one claim's work; forget the wish when there is nothing, or nothing can be sent."""
        self._wanted = False
        if self._channel is not None and not await self._channel.ready():
            get_logger().warning("channel_not_ready", channel=self._queue)
            return
        owner = f"{self._worker}:{uuid4().hex}"
        limit = min(self._free, _LARGEST_CLAIM)
        try:
            claims = await self._lease(owner, limit)
        except LeoError as error:
            get_logger().warning("cannot_claim", queue=self._queue, reason=error.reason)
            return
        # Below the mark everything was claimed; once that runs dry, the next look is from the beginning.
        self._wanted = bool(claims) or self._since != BEGINNING
        self._since = min(claim.due_at for claim in claims) if len(claims) == limit else BEGINNING
        deadline = asyncio.get_running_loop().time() + self._limits.lease_seconds
        for tenant_id, task_ids in _by_tenant(claims).items():
            self._begin(self._deliver(tenant_id, task_ids, owner, deadline), len(task_ids))

    async def _lease(self, owner: str, limit: int) -> list[Claim]:
        async with self._database.transaction() as connection:
            return await self._store.claim_tasks(
                connection,
                self._queue,
                limit=limit,
                lease=timedelta(seconds=self._limits.lease_seconds),
                owner=owner,
                since=self._since,
            )

    def _begin(self, work: Coroutine[Any, Any, None], slots: int) -> None:
        """Run work that holds so many slots; it gives them back as its deliveries are recorded."""
        self._free -= slots
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        self._changed.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            get_logger().error("delivery_failed", queue=self._queue, exc_info=error)

    def _release(self, slots: int = 1) -> None:
        self._free += slots
        self._changed.set()

    async def _deliver(self, tenant_id: UUID, task_ids: Sequence[str], owner: str, deadline: float) -> None:
        held = len(task_ids)
        try:
            prepared = await self._prepared(tenant_id, task_ids, owner, deadline)
            self._release(held - len(prepared))
            held = 0
            await asyncio.gather(*(self._finish(tenant_id, p, owner, deadline) for p in prepared))
        finally:
            self._release(held)

    async def _prepared(
        self, tenant_id: UUID, task_ids: Sequence[str], owner: str, deadline: float
    ) -> list[Prepared]:
        """Prepared once the database is there, as long as the claim leaves time to send; else nothing."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                return await self._preparation.prepare(tenant_id, task_ids, owner)
            except CommitOutcomeUnknown:
                return []
            except LeoError as error:
                get_logger().warning("cannot_prepare", queue=self._queue, reason=error.reason)
            if self._left(deadline) <= pause or self._stopping:
                return []
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def _finish(self, tenant_id: UUID, prepared: Prepared, owner: str, deadline: float) -> None:
        """Send, unless there is nothing to send, and record; then the slot is free."""
        try:
            step = prepared.step
            if step.attempt is not None:
                result = await self._send(step.attempt, deadline)
                step = after_send(
                    step.attempt,
                    result,
                    channels=prepared.channels,
                    policy=self._policy,
                    now=utc_now(),
                    jitter=self._jitter,
                )
            await self._recorder.record(tenant_id, step, owner)
            # On its next channel a delivery is due at once.
            self._wanted = self._wanted or _due_now(step)
        finally:
            self._release()

    async def _send(self, attempt: Attempt, deadline: float) -> SendResult:
        message = Message(
            delivery_key=attempt.delivery_key,
            destination=attempt.destinations[0],
            subject=attempt.subject_line,
            body=attempt.body,
            content_type=attempt.content_type,
            data=attempt.data,
            more_destinations=attempt.destinations[1:],
        )
        try:
            channel = self._channels[attempt.channel]
            return await channel.send(message, NO_CREDENTIAL, wait_seconds=max(0.0, self._left(deadline)))
        except Exception as error:
            # A fault of the adapter: whether the provider got the message, nobody knows.
            get_logger().error("channel_fault", channel=attempt.channel, exc_info=error)
            return Refused(ErrorClass.AMBIGUOUS, "CHANNEL_FAULT")

    def _left(self, deadline: float) -> float:
        """Seconds in which sending may still begin."""
        return deadline - self._limits.send_seconds - asyncio.get_running_loop().time()


def _due_now(step: Step) -> bool:
    end = step.end
    return end is not None and end.due_at is not None and end.due_at <= utc_now()


def _by_tenant(claims: Sequence[Claim]) -> dict[UUID, list[str]]:
    groups: dict[UUID, list[str]] = defaultdict(list)
    for claim in claims:
        groups[claim.tenant_id].append(claim.task_id)
    return groups
