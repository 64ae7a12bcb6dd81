"""From claimed tasks to messages that may be sent: loaded, rendered, and recorded as `sending`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg

from server.dispatch.channels.channel import Channel
from server.dispatch.claims import ClaimedTask, Fact, Status, Step, TaskEnd, TaskStatus
from server.dispatch.delivery_store import DeliveryStore
from server.dispatch.rendering import TemplateShelf
from server.dispatch.steps import next_step
from server.platform.clock import utc_now
from server.platform.postgres import CommitOutcomeUnknown, Connection, Database

_CONSENT_ENDED: Final = "LE002"
_CONSENT_TRIES: Final = 5
_KEPT_TENANTS: Final = 256


@dataclass(frozen=True, slots=True)
class Prepared:
    """A task with its next step, and the channels that it may still travel over."""

    step: Step
    channels: tuple[str, ...]


class Preparation:
    """Prepares the tasks of one claim and tenant; what it returns with an attempt is committed as `sending`.

    Args:
        channels: those that this process serves, by name.
    """

    def __init__(self, *, database: Database, store: DeliveryStore, channels: Mapping[str, Channel]) -> None:
        self._database = database
        self._store = store
        self._channels = channels
        self._shelves: dict[UUID, tuple[int, frozenset[str], TemplateShelf]] = {}

    async def prepare(self, tenant_id: UUID, task_ids: Sequence[str], owner: str) -> list[Prepared]:
        """One transaction, 4 to 5 round trips. Nothing may be sent that is not in its result.

        Raises:
            Unavailable: nothing was recorded.
            CommitOutcomeUnknown: it stayed unknown what was recorded; the log says so to the next claimant.
        """
        for _ in range(_CONSENT_TRIES - 1):
            try:
                return await self._prepare(tenant_id, task_ids, owner)
            except asyncpg.PostgresError as error:
                # A consent was withdrawn between loading and writing: load again, and see it.
                if error.sqlstate != _CONSENT_ENDED:
                    raise
        return await self._prepare(tenant_id, task_ids, owner)

    async def _prepare(self, tenant_id: UUID, task_ids: Sequence[str], owner: str) -> list[Prepared]:
        prepared: list[Prepared] = []
        try:
            async with self._database.tenant_transaction(tenant_id) as connection:
                prepared = await self._begin(connection, tenant_id, task_ids, owner)
        except CommitOutcomeUnknown:
            return await self._look_up(tenant_id, prepared, owner)
        return prepared

    async def _begin(
        self, connection: Connection, tenant_id: UUID, task_ids: Sequence[str], owner: str
    ) -> list[Prepared]:
        tasks = await self._store.load_deliveries(connection, tenant_id, task_ids, owner)
        shelf = await self._shelf(connection, tenant_id, tasks)
        now = utc_now()
        prepared = [
            Prepared(
                next_step(tenant_id, task, channels=self._channels, templates=shelf, now=now),
                tuple(task.channels),
            )
            for task in tasks
        ]
        attempts = [p.step.attempt for p in prepared if p.step.attempt is not None]
        if not attempts:
            return prepared
        # Facts come first: a delivery on a further channel is queued before it is sent.
        facts = [fact for p in prepared if p.step.attempt is not None for fact in p.step.facts]
        await self._store.insert_facts(connection, tenant_id, facts)
        begun = await self._store.insert_sending(connection, tenant_id, attempts, owner)
        return [_unless_taken(p, begun) for p in prepared]

    async def _look_up(self, tenant_id: UUID, prepared: Sequence[Prepared], owner: str) -> list[Prepared]:
        """What of it was committed after all; the rest is left to the next claim."""
        task_ids = [p.step.attempt.subject.task_id for p in prepared if p.step.attempt is not None]
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            recorded = await self._store.load_sending(connection, tenant_id, task_ids, owner)
        return [p for p in prepared if _is_recorded(p, recorded)]

    async def _shelf(
        self, connection: Connection, tenant_id: UUID, tasks: Sequence[ClaimedTask]
    ) -> TemplateShelf:
        """The templates of the tasks; kept until a definition of the tenant changes."""
        names = frozenset(task.template_name for task in tasks if task.template_name)
        version = tasks[0].definitions_version if tasks else 0
        kept = self._shelves.get(tenant_id)
        if kept is not None and kept[0] == version:
            if names <= kept[1]:
                return kept[2]
            names |= kept[1]
        shelf = TemplateShelf(await self._store.load_templates(connection, tenant_id, sorted(names)))
        if len(self._shelves) >= _KEPT_TENANTS:
            self._shelves.clear()
        self._shelves[tenant_id] = (version, names, shelf)
        return shelf


def _unless_taken(prepared: Prepared, begun: set[str]) -> Prepared:
    """The step; `unknown` where another claimant of the same attempt has begun to send."""
    attempt = prepared.step.attempt
    if attempt is None or attempt.delivery_key in begun:
        return prepared
    unknown = Fact(
        attempt.subject,
        attempt.channel,
        attempt.delivery_key,
        attempt.attempt,
        Status.UNKNOWN,
        "ANOTHER_CLAIMANT",
    )
    end = TaskEnd(attempt.subject.task_id, TaskStatus.COMPLETED)
    return Prepared(Step([unknown], None, end), prepared.channels)


def _is_recorded(prepared: Prepared, recorded: set[tuple[str, int]]) -> bool:
    attempt = prepared.step.attempt
    return attempt is None or (attempt.delivery_key, attempt.attempt) in recorded
