"""DispatchService on the wire: conversion, nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from leo.activation.v1 import dispatch_service_pb2 as pb
from leo.activation.v1 import dispatch_service_pb2_grpc

from server.dispatch.control import DispatchControl, Progress
from server.dispatch.credentials.messages import from_stored, to_new_credential
from server.dispatch.credentials.service import CredentialService
from server.dispatch.model import Delivery, DeliveryFilter, DeliveryRecord, DispatchRequest, Plan
from server.dispatch.service import DispatchService
from server.rpc.caller import current_caller
from server.wire import to_datetime, to_page_request, to_page_response, to_timestamp

_UNSPECIFIED = pb.DELIVERY_STATUS_UNSPECIFIED


class DispatchServicer(dispatch_service_pb2_grpc.DispatchServiceServicer):
    """Converts and delegates."""

    def __init__(
        self, *, service: DispatchService, control: DispatchControl, credentials: CredentialService
    ) -> None:
        self._service = service
        self._control = control
        self._credentials = credentials

    async def Dispatch(self, request: pb.DispatchRequest, context: Any) -> pb.DispatchResponse:
        plan = await self._service.dispatch(current_caller().tenant_id, _to_request(request))
        return pb.DispatchResponse(plan=_from_plan(plan))

    async def GetDelivery(self, request: pb.GetDeliveryRequest, context: Any) -> pb.GetDeliveryResponse:
        details = await self._service.get_delivery(
            current_caller().tenant_id,
            delivery_key=request.delivery_key if request.HasField("delivery_key") else None,
            task_id=request.task_id if request.HasField("task_id") else None,
        )
        return pb.GetDeliveryResponse(
            delivery=_from_delivery(details.delivery),
            records=[_from_record(record) for record in details.records],
        )

    async def ListDeliveries(
        self, request: pb.ListDeliveriesRequest, context: Any
    ) -> pb.ListDeliveriesResponse:
        page = await self._service.list_deliveries(
            current_caller().tenant_id, _to_filter(request), to_page_request(request.page)
        )
        return pb.ListDeliveriesResponse(
            deliveries=[_from_delivery(delivery) for delivery in page.items],
            page=to_page_response(page.next_token),
        )

    async def RequeueDelivery(
        self, request: pb.RequeueDeliveryRequest, context: Any
    ) -> pb.RequeueDeliveryResponse:
        requeued = await self._control.requeue(
            current_caller().tenant_id,
            request.delivery_key,
            series=request.series,
            resend_unknown=request.resend_unknown,
        )
        return pb.RequeueDeliveryResponse(
            delivery=_from_delivery(requeued.details.delivery), duplicate=requeued.duplicate
        )

    async def WatchDispatch(
        self, request: pb.WatchDispatchRequest, context: Any
    ) -> AsyncIterator[pb.WatchDispatchResponse]:
        async for progress in self._control.watch(current_caller().tenant_id, request.plan_task_id):
            yield _from_progress(progress)

    async def PauseDispatch(self, request: pb.PauseDispatchRequest, context: Any) -> pb.PauseDispatchResponse:
        plan = await self._control.pause(current_caller().tenant_id, request.plan_task_id)
        return pb.PauseDispatchResponse(plan=_from_plan(plan))

    async def ResumeDispatch(
        self, request: pb.ResumeDispatchRequest, context: Any
    ) -> pb.ResumeDispatchResponse:
        plan = await self._control.resume(current_caller().tenant_id, request.plan_task_id)
        return pb.ResumeDispatchResponse(plan=_from_plan(plan))

    async def CancelDispatch(
        self, request: pb.CancelDispatchRequest, context: Any
    ) -> pb.CancelDispatchResponse:
        plan = await self._control.cancel(current_caller().tenant_id, request.plan_task_id)
        return pb.CancelDispatchResponse(plan=_from_plan(plan))

    async def PutChannelCredential(
        self, request: pb.PutChannelCredentialRequest, context: Any
    ) -> pb.PutChannelCredentialResponse:
        stored = await self._credentials.put(current_caller().tenant_id, to_new_credential(request))
        return pb.PutChannelCredentialResponse(credential=from_stored(stored))

    async def ListChannelCredentials(
        self, request: pb.ListChannelCredentialsRequest, context: Any
    ) -> pb.ListChannelCredentialsResponse:
        stored = await self._credentials.list(current_caller().tenant_id, request.channel or None)
        return pb.ListChannelCredentialsResponse(credentials=[from_stored(each) for each in stored])

    async def DeleteChannelCredential(
        self, request: pb.DeleteChannelCredentialRequest, context: Any
    ) -> pb.DeleteChannelCredentialResponse:
        deleted = await self._credentials.delete(current_caller().tenant_id, request.channel)
        return pb.DeleteChannelCredentialResponse(deleted=deleted)


def _to_request(message: pb.DispatchRequest) -> DispatchRequest:
    return DispatchRequest(
        source_request_id=message.source_request_id,
        marketing_event_id=message.marketing_event_id,
        profile_id=message.profile_id if message.HasField("profile_id") else None,
        snapshot_id=message.snapshot_id if message.HasField("snapshot_id") else None,
        reason=message.reason,
        valid_until=to_datetime(message.valid_until) if message.HasField("valid_until") else None,
    )


def _to_filter(message: pb.ListDeliveriesRequest) -> DeliveryFilter:
    return DeliveryFilter(
        campaign_id=message.campaign_id or None,
        marketing_event_id=message.marketing_event_id or None,
        profile_id=message.profile_id or None,
        plan_task_id=message.plan_task_id or None,
        status=_status_word(message.status) if message.status != _UNSPECIFIED else None,
    )


def _from_plan(plan: Plan) -> pb.DispatchPlan:
    return pb.DispatchPlan(
        plan_task_id=plan.plan_task_id,
        status=pb.DispatchStatus.Value(f"DISPATCH_STATUS_{plan.status.upper()}"),
        marketing_event_id=plan.marketing_event_id,
        snapshot_id=plan.snapshot_id,
        member_count=plan.member_count,
        decided_count=plan.decided_count,
        send_count=plan.send_count,
        suppressed_count=plan.decided_count - plan.send_count,
        reason=str((plan.result or {}).get("reason", "")),
        planned_at=to_timestamp(plan.planned_at),
        duplicate=plan.duplicate,
        valid_until=to_timestamp(plan.valid_until),
    )


def _from_progress(progress: Progress) -> pb.WatchDispatchResponse:
    return pb.WatchDispatchResponse(
        plan=_from_plan(progress.plan),
        deliveries=[
            pb.DeliveryCount(status=_status(status), count=count)
            for status, count in progress.deliveries.items()
        ],
        open_count=progress.open_count,
        ended=progress.ended,
    )


def _from_delivery(delivery: Delivery) -> pb.Delivery:
    return pb.Delivery(
        delivery_key=delivery.delivery_key,
        task_id=delivery.task_id,
        plan_task_id=delivery.plan_task_id or "",
        marketing_event_id=delivery.marketing_event_id,
        campaign_id=delivery.campaign_id or "",
        profile_id=delivery.profile_id,
        snapshot_id=delivery.snapshot_id,
        channel=delivery.channel,
        status=_status(delivery.status),
        reason=delivery.reason or "",
        attempt=delivery.attempt,
        provider_message_id=delivery.provider_message_id or "",
        due_at=to_timestamp(delivery.due_at),
        queued_at=to_timestamp(delivery.queued_at),
        changed_at=to_timestamp(delivery.changed_at),
        series=delivery.series,
    )


def _from_record(record: DeliveryRecord) -> pb.DeliveryRecord:
    return pb.DeliveryRecord(
        delivery_id=record.delivery_id,
        delivery_key=record.delivery_key,
        channel=record.channel,
        status=_status(record.status),
        attempt=record.attempt,
        reason=record.reason or "",
        destination=record.destination or "",
        subject=record.subject or "",
        body=record.body or "",
        provider_message_id=record.provider_message_id or "",
        provider_response=(record.provider_response or "").encode(),
        recorded_at=to_timestamp(record.recorded_at),
        series=record.series,
    )


def _status(word: str) -> pb.DeliveryStatus.ValueType:
    return pb.DeliveryStatus.Value(f"DELIVERY_STATUS_{word.upper()}")


def _status_word(status: pb.DeliveryStatus.ValueType) -> str:
    return pb.DeliveryStatus.Name(status).removeprefix("DELIVERY_STATUS_").lower()
