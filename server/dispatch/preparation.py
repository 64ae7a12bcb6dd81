"""From claimed tasks to messages that may be sent: loaded, rendered, and recorded as `sending`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final
from uuid import UUID

import asyncpg

from server.dispatch.admission import Admission, Prepared
from server.dispatch.claims import CONSENT_ENDED, ClaimedTask, Fact, Status, Step, TaskEnd, TaskStatus
from server.dispatch.credentials.directory import ChannelDirectory
from server.dispatch.delivery_store import DeliveryStore
from server.dispatch.digests import Planned, gathered, grouped, spread
from server.dispatch.rendering import TemplateShelf
from server.dispatch.steps import next_step
from server.platform.clock import utc_now
from server.platform.postgres import CommitOutcomeUnknown, Connection, Database

_CONSENT_TRIES: Final = 5
_KEPT_TENANTS: Final = 256


class Preparation:
    """Prepares the tasks of one claim and tenant; what it returns with an attempt is committed as `sending`.

    Args:
        directory: the adapter and the account of each tenant's channel.
        admission: lets through what may be sent now. Whatever is returned with an attempt holds a slot of it.
    """

    def __init__(
        self,
        *,
        database: Database,
        store: DeliveryStore,
        directory: ChannelDirectory,
        admission: Admission,
    ) -> None:
        self._database = database
        self._store = store
        self._directory = directory
        self._admission = admission
        self._shelves: dict[UUID, tuple[int, frozenset[str], TemplateShelf]] = {}

    async def prepare(self, tenant_id: UUID, task_ids: Sequence[str], owner: str) -> list[Prepared]:
        """One transaction, 4 to 6 round trips (two more for held alerts), and one to Redis. Nothing may be sent that is
        not in its result.

        Raises:
            Unavailable: nothing was recorded.
            CommitOutcomeUnknown: it stayed unknown what was recorded; the log says so to the next claimant.
        """
        for _ in range(_CONSENT_TRIES - 1):
            try:
                return await self._prepare(tenant_id, task_ids, owner)
            except asyncpg.PostgresError as error:
                # A consent was withdrawn between loading and writing: load again, and see it.
                if error.sqlstate != CONSENT_ENDED:
                    raise
        return await self._prepare(tenant_id, task_ids, owner)

    async def _prepare(self, tenant_id: UUID, task_ids: Sequence[str], owner: str) -> list[Prepared]:
        admitted: list[Prepared] = []
        prepared: list[Prepared] = []
        try:
            prepared = await self._recorded(tenant_id, task_ids, owner, admitted)
        finally:
            self._free_others(tenant_id, admitted, prepared)
        return prepared

    async def _recorded(
        self, tenant_id: UUID, task_ids: Sequence[str], owner: str, admitted: list[Prepared]
    ) -> list[Prepared]:
        try:
            async with self._database.tenant_transaction(tenant_id) as connection:
                prepared = await self._begin(connection, tenant_id, task_ids, owner, admitted)
        except CommitOutcomeUnknown:
            return await self._look_up(tenant_id, admitted, owner)
        return prepared

    def _free_others(
        self, tenant_id: UUID, admitted: Sequence[Prepared], prepared: Sequence[Prepared]
    ) -> None:
        """Give back the slots of what will not be sent."""
        sent = {each.step.attempt.delivery_key for each in prepared if each.step.attempt is not None}
        for each in admitted:
            if each.step.attempt is not None and each.step.attempt.delivery_key not in sent:
                self._admission.give_back(tenant_id, each)

    async def _begin(
        self,
        connection: Connection,
        tenant_id: UUID,
        task_ids: Sequence[str],
        owner: str,
        admitted: list[Prepared],
    ) -> list[Prepared]:
        """What is recorded; `admitted` gets what holds slots, also where recording fails."""
        claimed = await self._store.load_deliveries(connection, tenant_id, task_ids, owner)
        tasks = await gathered(self._store, connection, tenant_id, claimed, owner)
        shelf = await self._shelf(connection, tenant_id, tasks)
        routes = await self._directory.routes(connection, tenant_id)
        channels = {name: route.adapter for name, route in routes.items()}
        now = utc_now()
        plan = partial(next_step, tenant_id, channels=channels, templates=shelf, now=now)
        planned = grouped([Planned(task, plan(task)) for task in tasks], plan)
        ready = [Prepared(step, tuple(task.channels)) for task, step in planned]
        prepared = await self._admission.admit(tenant_id, ready, routes, now)
        admitted.extend(prepared)
        leading = [p.step.attempt for p in prepared if p.step.attempt is not None]
        attempts = [each for attempt in leading for each in (attempt, *attempt.members)]
        if not attempts:
            return prepared
        # Facts come first: a delivery on a further channel is queued before it is sent.
        facts = [fact for p in prepared if p.step.attempt is not None for fact in p.step.facts]
        if facts:
            await self._store.record_results(connection.fetch, tenant_id, facts)
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
    if attempt is None or all(each.delivery_key in begun for each in (attempt, *attempt.members)):
        return prepared
    unknown = Fact(
        attempt.subject,
        attempt.channel,
        attempt.delivery_key,
        attempt.attempt,
        Status.UNKNOWN,
        "ANOTHER_CLAIMANT",
        series=attempt.series,
    )
    end = TaskEnd(attempt.subject.task_id, TaskStatus.COMPLETED)
    return replace(prepared, step=spread(Step([unknown], None, end), attempt), route=None)


def _is_recorded(prepared: Prepared, recorded: set[tuple[str, int]]) -> bool:
    attempt = prepared.step.attempt
    return attempt is None or (attempt.delivery_key, attempt.attempt) in recorded
