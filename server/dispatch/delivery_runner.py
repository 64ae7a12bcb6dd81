"""Sends what is due in one work queue: claim, prepare, send, record, over and over."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import ceil, inf
from typing import Final
from uuid import UUID, uuid4

from server.dispatch.admission import Admission, Prepared
from server.dispatch.channels.channel import Channel
from server.dispatch.claims import Step
from server.dispatch.delivery_store import BEGINNING, Claim, DeliveryStore
from server.dispatch.preparation import Preparation
from server.dispatch.readiness import Readiness
from server.dispatch.recorder import StepRecorder
from server.dispatch.sending import Sender
from server.errors import LeoError
from server.platform.background import TaskSet
from server.platform.clock import utc_now
from server.platform.logging import get_logger
from server.platform.postgres import CommitOutcomeUnknown, Database

_LARGEST_CLAIM: Final = 500
_CLAIMS_AT_ONCE: Final = 4
_UNSERVED_SLOTS: Final = 256
_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 2.0
_SWEEP_SECONDS: Final = 1.0
_SHORTEST_WAIT_SECONDS: Final = 0.05


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
    """The deliveries of one queue in this process. No more are claimed than have a slot, and none while there are as
    many answers as slots that are not recorded.

    Args:
        queue: the work queue: the name of the first channel of its deliveries.
        adapters: those of the queue's channel, one for each provider.
        admission: knows the slots of each adapter; the same as the preparation's.
        worker: names this process in claims, e.g. `host:pid`.
    """

    def __init__(
        self,
        *,
        queue: str,
        adapters: Sequence[Channel],
        admission: Admission,
        database: Database,
        store: DeliveryStore,
        preparation: Preparation,
        sender: Sender,
        recorder: StepRecorder,
        limits: DeliveryLimits,
        worker: str,
    ) -> None:
        self._queue = queue
        self._adapters = adapters
        self._readiness = Readiness(adapters)
        self._admission = admission
        self._database = database
        self._store = store
        self._preparation = preparation
        self._sender = sender
        self._recorder = recorder
        self._limits = limits
        self._worker = worker
        self._held = 0
        self._unrecorded = 0
        # When the first and the last of those come again that were held back for less than a sweep.
        self._again_at, self._again_until = inf, 0.0
        self._wanted = False
        self._stopping = False
        self._draining = False
        self._since = BEGINNING
        self._changed = asyncio.Event()
        self._work = TaskSet("delivery", on_end=self._changed.set)

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
            while self._may_claim() or self._work or self._soon():
                if self._may_claim():
                    await self._claim()
                else:
                    await self._change()
        finally:
            self._draining = False

    def stop(self) -> None:
        """Claim nothing more; a running drain ends once what was begun is recorded."""
        self._stopping = True
        self._changed.set()

    @property
    def _slots(self) -> int:
        return self._admission.slots(self._adapters) if self._adapters else _UNSERVED_SLOTS

    def _may_claim(self) -> bool:
        if not self._wanted or self._stopping:
            return False
        # A few free slots are not worth a claim of their own: they come back in groups.
        slots = self._slots
        return (slots - self._held) * _CLAIMS_AT_ONCE >= slots and self._unrecorded < slots

    def _soon(self) -> bool:
        """Whether something that was held back comes again before the next sweep."""
        return self._again_at < inf and not self._stopping

    async def _change(self) -> None:
        """Wait until slots are free, or what was held back is due."""
        self._changed.clear()
        wait = self._again_at - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(wait if wait < inf else None):
                await self._changed.wait()
        except TimeoutError:
            self._wanted = True
            now = asyncio.get_running_loop().time()
            self._again_at = now + _SHORTEST_WAIT_SECONDS if now < self._again_until else inf

    async def _claim(self) -> None:
        """Begin one claim's work; forget the wish when there is nothing, or nothing can be sent."""
        self._wanted = False
        if not await self._ready():
            get_logger().warning("channel_not_ready", channel=self._queue)
            return
        owner = f"{self._worker}:{uuid4().hex}"
        # Claims of a part of the slots overlap: one is sent while another is loaded and a third recorded.
        limit = min(self._slots - self._held, ceil(self._slots / _CLAIMS_AT_ONCE), _LARGEST_CLAIM)
        try:
            claims = await self._lease(owner, limit)
        except LeoError as error:
            get_logger().warning("cannot_claim", queue=self._queue, reason=error.reason)
            return
        # Below the mark everything was claimed; once that runs dry, the next look is from the beginning. What comes
        # after that look is announced, or found by the sweep.
        more = len(claims) == limit
        self._wanted = self._wanted or more or self._since != BEGINNING
        self._since = min(claim.due_at for claim in claims) if more else BEGINNING
        deadline = asyncio.get_running_loop().time() + self._limits.lease_seconds
        for tenant_id, task_ids in _by_tenant(claims).items():
            # It gives its slots back as its deliveries are answered.
            self._held += len(task_ids)
            self._work.start(self._deliver(tenant_id, task_ids, owner, deadline))

    async def _ready(self) -> bool:
        """Whether any adapter is; a queue that none serves is emptied all the same."""
        ready = await self._readiness.look()
        for adapter, is_ready in ready.items():
            self._admission.note_ready(adapter, is_ready)
        return not ready or any(ready.values())

    async def _lease(self, owner: str, limit: int) -> list[Claim]:
        return await self._store.claim_tasks(
            self._database.write,
            self._queue,
            limit=limit,
            lease=timedelta(seconds=self._limits.lease_seconds),
            owner=owner,
            since=self._since,
        )

    def _release(self, slots: int = 1) -> None:
        self._held -= slots
        if self._may_claim():
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
        """Send, unless there is nothing to send; then the slot is free. Record what became of it."""
        step = await self._sent(tenant_id, prepared, deadline)
        self._unrecorded += 1
        try:
            await self._recorder.record(tenant_id, step, owner)
        finally:
            self._unrecorded -= 1
        self._note_due(step)
        if self._may_claim():
            self._changed.set()

    async def _sent(self, tenant_id: UUID, prepared: Prepared, deadline: float) -> Step:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        taken: float | None = None
        try:
            step = await self._sender.send(tenant_id, prepared, max(0.0, self._left(deadline)))
            taken = loop.time() - begun
        finally:
            self._admission.give_back(tenant_id, prepared, taken)
            self._release()
        return step

    def _note_due(self, step: Step) -> None:
        """On its next channel a delivery is due at once, and others come again before the next sweep."""
        if step.end is None or step.end.due_at is None:
            return
        wait = (step.end.due_at - utc_now()).total_seconds()
        if wait <= 0:
            self._wanted = True
        elif wait < _SWEEP_SECONDS:
            moment = asyncio.get_running_loop().time() + max(wait, _SHORTEST_WAIT_SECONDS)
            self._again_at = min(self._again_at, moment)
            self._changed.set()
            self._again_until = max(self._again_until, moment)

    def _left(self, deadline: float) -> float:
        """Seconds in which sending may still begin."""
        return deadline - self._limits.send_seconds - asyncio.get_running_loop().time()


def _by_tenant(claims: Sequence[Claim]) -> dict[UUID, list[str]]:
    groups: dict[UUID, list[str]] = defaultdict(list)
    for claim in claims:
        groups[claim.tenant_id].append(claim.task_id)
    return groups
