"""The part of AlertService on the wire that is about what fired."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TypeAlias

from google.protobuf.message import Message
from grpc.aio import ServicerContext
from leo.activation.v1 import alert_service_pb2 as wire
from leo.activation.v1 import alert_service_pb2_grpc

from server.alerts import firing_messages as messages
from server.alerts.firing_service import FiringService
from server.rpc.caller import current_caller
from server.wire import to_datetime, to_page_request, to_page_response

Context: TypeAlias = ServicerContext[Message, Message]


class FiringServicer(alert_service_pb2_grpc.AlertServiceServicer):
    """Converts and delegates; `AlertServicer` adds rules and ticks."""

    def __init__(self, *, firings: FiringService) -> None:
        self._firings = firings

    async def SilenceAlerts(
        self, request: wire.SilenceAlertsRequest, context: Context
    ) -> wire.SilenceAlertsResponse:
        """Begin a silence."""
        caller = current_caller()
        silence = messages.to_silence(request, requested_by=caller.subject)
        begun = await self._firings.silence_alerts(caller.tenant_id, silence)
        return wire.SilenceAlertsResponse(silence=messages.from_silence(begun))

    async def ListSilences(
        self, request: wire.ListSilencesRequest, context: Context
    ) -> wire.ListSilencesResponse:
        """Silences, page by page."""
        page = await self._firings.list_silences(
            current_caller().tenant_id, to_page_request(request.page), include_ended=request.include_ended
        )
        return wire.ListSilencesResponse(
            silences=map(messages.from_silence, page.items), page=to_page_response(page.next_token)
        )

    async def EndSilence(self, request: wire.EndSilenceRequest, context: Context) -> wire.EndSilenceResponse:
        """End a silence before its time."""
        caller = current_caller()
        silence = await self._firings.end_silence(
            caller.tenant_id, request.silence_id, ended_by=caller.subject
        )
        return wire.EndSilenceResponse(silence=messages.from_silence(silence))

    async def ListAlertFirings(
        self, request: wire.ListAlertFiringsRequest, context: Context
    ) -> wire.ListAlertFiringsResponse:
        """What fired, page by page."""
        page = await self._firings.list_firings(
            current_caller().tenant_id,
            to_page_request(request.page),
            messages.to_filter(request),
            status=messages.STATUSES.get(request.status),
            unacknowledged_only=request.unacknowledged_only,
        )
        return wire.ListAlertFiringsResponse(
            firings=map(messages.from_firing, page.items), page=to_page_response(page.next_token)
        )

    async def AcknowledgeAlert(
        self, request: wire.AcknowledgeAlertRequest, context: Context
    ) -> wire.AcknowledgeAlertResponse:
        """Mark a firing as seen."""
        caller = current_caller()
        until = to_datetime(request.silence_until) if request.HasField("silence_until") else None
        firing, silence = await self._firings.acknowledge(
            caller.tenant_id,
            rule_id=request.rule_id,
            generation=request.generation,
            note=request.note,
            by=caller.subject,
            silence_until=until,
        )
        return wire.AcknowledgeAlertResponse(
            firing=messages.from_firing(firing),
            silence=None if silence is None else messages.from_silence(silence),
        )

    async def WatchAlerts(
        self, request: wire.WatchAlertsRequest, context: Context
    ) -> AsyncIterator[wire.WatchAlertsResponse]:
        """What fires, until the caller has enough."""
        wanted = messages.to_filter(request)
        watching = self._firings.watch(current_caller().tenant_id, wanted, request.resume_token)
        async with aclosing(watching) as stream:
            async for watched in stream:
                yield messages.from_watched(watched)
