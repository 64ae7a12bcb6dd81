"""Records results in groups: while one commit runs, the next results collect."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg

from server.dispatch.claims import Step
from server.dispatch.delivery_store import DeliveryStore
from server.errors import LeoError
from server.platform.background import TaskSet
from server.platform.logging import get_logger
from server.platform.postgres import Database

_FIRST_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 2.0
_PATIENCE_SECONDS: Final = 0.5
_MOST_LATE: Final = 4


@dataclass(frozen=True, slots=True)
class _Entry:
    step: Step
    owner: str
    done: asyncio.Future[None]


class StepRecorder:
    """Writes facts and ends of tasks. What a provider answered is kept until it is committed, however long
    PostgreSQL is away: it can not be asked for again.
    """

    def __init__(self, *, database: Database, store: DeliveryStore) -> None:
        self._database = database
        self._store = store
        self._waiting: dict[UUID, list[_Entry]] = defaultdict(list)
        self._flushing: dict[UUID, asyncio.Task[None]] = {}
        self._writing = TaskSet("recording")

    async def record(self, tenant_id: UUID, step: Step, owner: str) -> None:
        """Returns when the step is committed, together with those that were waiting; never raises for a
        database that is away. Round trips: 1 for each tenant and group; where addresses are dead 3, and one for each
        profile and channel of them.

        Args:
            owner: the claim; a task that it lost in the meantime is left alone, the facts are recorded still.
        """
        done = asyncio.get_running_loop().create_future()
        self._waiting[tenant_id].append(_Entry(step, owner, done))
        if tenant_id not in self._flushing:
            self._flushing[tenant_id] = asyncio.create_task(self._flush(tenant_id))
        await done

    async def _flush(self, tenant_id: UUID) -> None:
        """One group after another; one whose commit hangs does not hold up the next, as long as few do."""
        late: set[asyncio.Task[None]] = set()
        try:
            # Whoever is ready in this turn of the loop joins the group.
            await asyncio.sleep(0)
            while tenant_id in self._waiting:
                writing = self._writing.start(self._write(tenant_id, self._waiting.pop(tenant_id)))
                await asyncio.wait({writing}, timeout=_PATIENCE_SECONDS)
                late = {each for each in (*late, writing) if not each.done()}
                if len(late) >= _MOST_LATE:
                    await asyncio.wait(late, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._flushing[tenant_id]

    async def _write(self, tenant_id: UUID, group: Sequence[_Entry]) -> None:
        try:
            await self._commit_until_done(tenant_id, group)
        except (asyncpg.PostgresError, ValueError, TypeError) as error:
            await self._isolate(tenant_id, group, error)
            return
        for entry in group:
            if not entry.done.done():
                entry.done.set_result(None)

    async def _isolate(self, tenant_id: UUID, group: Sequence[_Entry], error: Exception) -> None:
        """One entry that can not be stored does not take its neighbours with it."""
        if len(group) == 1:
            get_logger().error("result_not_recorded", task_id=_task_of(group[0].step), exc_info=error)
            group[0].done.set_result(None)
            return
        middle = len(group) // 2
        await self._write(tenant_id, group[:middle])
        await self._write(tenant_id, group[middle:])

    async def _commit_until_done(self, tenant_id: UUID, group: Sequence[_Entry]) -> None:
        """Repeating is harmless, also after a commit whose answer was lost: see `record_results`."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._commit(tenant_id, group)
            except LeoError as error:
                get_logger().warning("results_wait_for_database", reason=error.reason, count=len(group))
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
            else:
                return

    async def _commit(self, tenant_id: UUID, group: Sequence[_Entry]) -> None:
        steps = [(step, entry.owner) for entry in group for step in (entry.step, *entry.step.others)]
        facts = [fact for step, _ in steps for fact in step.facts]
        dead = [address for step, _ in steps for address in step.dead]
        ends = [(step.end, owner) for step, owner in steps if step.end is not None]
        if not dead:
            await self._store.record_results(self._database.write, tenant_id, facts, ends)
            return
        async with self._database.tenant_transaction(tenant_id) as connection:
            await self._store.record_results(connection.fetch, tenant_id, facts, ends)
            await self._store.remove_dead_addresses(connection, tenant_id, dead)


def _task_of(step: Step) -> str | None:
    return step.end.task_id if step.end else None
