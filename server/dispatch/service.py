"""Use cases of dispatch: plan, and look at what became of it. Workers do the rest (see `jobs.py`)."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from uuid import UUID

from server.dispatch.model import (
    DISPATCH_QUEUE,
    ONE_PROFILE,
    Delivery,
    DeliveryDetails,
    DeliveryFilter,
    DispatchRequest,
    Plan,
    Target,
)
from server.dispatch.store import DispatchStore
from server.dispatch.wake_up import WakeUp
from server.errors import AlreadyExists, FieldViolation, InvalidInput, NotFound, PreconditionFailed
from server.paging import Page, PageRequest, open_cursor
from server.platform.clock import utc_now
from server.platform.ids import audience_sha256, canonical_json, key_id
from server.platform.postgres import Connection, Database
from server.validation import Violations

_LARGEST_POSITION_DIGITS = 18


class DispatchService:
    """Plans dispatches, and tells where deliveries are.

    Args:
        wake_up: tells workers that a queue has work; losing it costs a second, not a dispatch.
    """

    def __init__(self, *, database: Database, store: DispatchStore, wake_up: WakeUp) -> None:
        self._database = database
        self._store = store
        self._wake_up = wake_up

    async def dispatch(self, tenant_id: UUID, request: DispatchRequest) -> Plan:
        """Plan a dispatch; the same request again gets the same plan as it stands then.

        PostgreSQL: 4 to 6 round trips.

        Raises:
            InvalidInput: with every fault.
            NotFound: the profile or the snapshot does not exist.
            PreconditionFailed: no marketing event of this id is active.
            AlreadyExists: the id was planned with another body.
        """
        request.check()
        plan_task_id = key_id("task", tenant_id, f"dispatch:{request.source_request_id}")
        fingerprint = sha256(canonical_json(request.body()).encode()).hexdigest()
        async with self._database.tenant_transaction(tenant_id) as connection:
            plan = await self._store.find_plan(connection, tenant_id, plan_task_id)
            created = plan is None and await self._create(
                connection, tenant_id, request, plan_task_id, fingerprint
            )
            plan = plan or await self._store.find_plan(connection, tenant_id, plan_task_id)
            if plan is None or plan.input_sha256 != fingerprint:
                raise _changed_body(request)
            plan = replace(await self._counted(connection, tenant_id, plan), duplicate=not created)
        if created:
            await self._wake_up.notify(DISPATCH_QUEUE)
        return plan

    async def get_plan(self, tenant_id: UUID, plan_task_id: str) -> Plan:
        """A dispatch as it stands now. PostgreSQL: 1 or 2 statements.

        Raises:
            InvalidInput: this is no id of ours.
            NotFound: the tenant has no such plan.
        """
        violations = Violations()
        violations.sha256("plan_task_id", plan_task_id)
        violations.raise_if_any()
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            plan = await self._store.find_plan(connection, tenant_id, plan_task_id)
            if plan is None:
                raise NotFound("dispatch", plan_task_id)
            return await self._counted(connection, tenant_id, plan)

    async def get_delivery(
        self, tenant_id: UUID, *, delivery_key: str | None, task_id: str | None
    ) -> DeliveryDetails:
        """A delivery with everything that was recorded. PostgreSQL: 2 to 3 statements in one transaction.

        Raises:
            InvalidInput: not exactly one id, or no id of ours.
            NotFound: the tenant has no such delivery.
        """
        _check_ids(delivery_key, task_id)
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            if delivery_key is not None:
                task_id = await self._store.find_task_of_delivery(connection, tenant_id, delivery_key)
            if task_id is None:
                raise NotFound("delivery", delivery_key or "")
            found = await self._store.find_deliveries(connection, tenant_id, task_id, delivery_key)
            records = await self._store.list_records(connection, tenant_id, task_id, delivery_key)
        if not found:
            raise NotFound("delivery", delivery_key or task_id)
        return DeliveryDetails(found[0], tuple(records))

    async def list_deliveries(
        self, tenant_id: UUID, wanted: DeliveryFilter, page: PageRequest
    ) -> Page[Delivery]:
        """One page of deliveries, which may end before it is full. PostgreSQL: one statement.

        Raises:
            InvalidInput: a filter has a fault, or the token is not from this list.
        """
        wanted.check()
        cursor = open_cursor(page, listing=["deliveries", *wanted.words()], first=("0",))
        after = _position(str(cursor.after[0]))
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            listed = await self._store.list_deliveries(
                connection, tenant_id, wanted, after=after, limit=cursor.limit
            )
        if listed.reached is not None and len(listed.deliveries) <= cursor.size:
            return Page(tuple(listed.deliveries), cursor.token((str(listed.reached),)))
        return cursor.page(listed.deliveries, lambda delivery: (str(delivery.position),))

    async def _create(
        self,
        connection: Connection,
        tenant_id: UUID,
        request: DispatchRequest,
        plan_task_id: str,
        fingerprint: str,
    ) -> bool:
        """Whether this call made the plan; another one with the same id may have been quicker."""
        target = await self._store.find_dispatch_target(connection, tenant_id, request)
        _refuse_missing(request, target)
        planned_at = utc_now()
        if request.valid_until is not None and request.valid_until <= planned_at:
            raise InvalidInput(
                [FieldViolation("valid_until", "is over; leave it out, or set a time to come")]
            )
        return await self._store.insert_plan(
            connection,
            tenant_id,
            request,
            plan_task_id=plan_task_id,
            campaign_id=target.campaign_id,
            snapshot_id=await self._audience(connection, tenant_id, request),
            planned_at=planned_at,
            input_sha256=fingerprint,
        )

    async def _audience(self, connection: Connection, tenant_id: UUID, request: DispatchRequest) -> str:
        """The frozen audience: the one that was named, or one that is frozen now for the profile."""
        if request.profile_id is None:
            assert request.snapshot_id is not None
            return request.snapshot_id
        audience = audience_sha256([request.profile_id])
        version = sha256(ONE_PROFILE.encode()).hexdigest()
        snapshot_id = key_id("snapshot", tenant_id, ONE_PROFILE, version, audience)
        await self._store.freeze_profile(
            connection,
            tenant_id,
            snapshot_id=snapshot_id,
            segment_name=ONE_PROFILE,
            segment_version=version,
            reason="dispatch to one profile",
            audience_sha256=audience,
            profile_id=request.profile_id,
        )
        return snapshot_id

    async def _counted(self, connection: Connection, tenant_id: UUID, plan: Plan) -> Plan:
        counts = plan.result
        if counts is None or "decided_count" not in counts:
            counts = await self._store.count_plan(connection, tenant_id, plan.plan_task_id)
        return replace(plan, decided_count=counts["decided_count"], send_count=counts["send_count"])


def _refuse_missing(request: DispatchRequest, target: Target) -> None:
    if request.profile_id is not None and not target.profile_exists:
        raise NotFound("profile", request.profile_id)
    if request.snapshot_id is not None and target.member_count is None:
        raise NotFound("snapshot", request.snapshot_id)
    if target.marketing_event_status != "active":
        raise PreconditionFailed(
            "REFERENCE_MISSING",
            "no marketing event of this id is active",
            {"field": "marketing_event_id", "marketing_event_id": request.marketing_event_id},
        )


def _changed_body(request: DispatchRequest) -> AlreadyExists:
    return AlreadyExists(
        "EVENT_BODY_CHANGED",
        "this source_request_id stands for another request",
        {"source_request_id": request.source_request_id},
    )


def _check_ids(delivery_key: str | None, task_id: str | None) -> None:
    violations = Violations()
    if delivery_key is not None:
        violations.sha256("delivery_key", delivery_key)
    elif task_id is not None:
        violations.sha256("task_id", task_id)
    else:
        violations.add("delivery_key", "set exactly one of delivery_key and task_id")
    violations.raise_if_any()


def _position(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > _LARGEST_POSITION_DIGITS:
        raise InvalidInput([FieldViolation("page.page_token", "is not a next_page_token of this list")])
    return int(text)
