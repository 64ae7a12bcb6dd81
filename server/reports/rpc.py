"""ReportService on the wire: messages to models and back."""

from __future__ import annotations

from typing import Final

from google.protobuf.message import Message
from grpc.aio import ServicerContext
from leo.activation.v1 import report_service_pb2 as wire
from leo.activation.v1 import report_service_pb2_grpc

from server.reports.model import Dimension, Metrics, MetricsRequest
from server.reports.service import ReportService
from server.rpc.caller import current_caller
from server.wire import to_page_request, to_page_response, to_timestamp

_DIMENSIONS: Final = {
    wire.MetricsDimension.Value(f"METRICS_DIMENSION_{dimension.name}"): dimension for dimension in Dimension
}


class ReportServicer(report_service_pb2_grpc.ReportServiceServicer):
    """Converts and delegates."""

    def __init__(self, *, service: ReportService) -> None:
        self._service = service

    async def GetActivationMetrics(
        self, request: wire.GetActivationMetricsRequest, context: ServicerContext[Message, Message]
    ) -> wire.GetActivationMetricsResponse:
        """Counts over days."""
        report = await self._service.get_activation_metrics(
            current_caller().tenant_id, _to_request(request), to_page_request(request.page)
        )
        return wire.GetActivationMetricsResponse(
            metrics=map(_from_metrics, report.page.items),
            source=wire.MetricsSource.Value(f"METRICS_SOURCE_{report.source.name}"),
            as_of=to_timestamp(report.as_of),
            page=to_page_response(report.page.next_token),
        )


def _to_request(message: wire.GetActivationMetricsRequest) -> MetricsRequest:
    return MetricsRequest(
        since=message.since,
        until=message.until,
        group_by=[_DIMENSIONS.get(value) for value in message.group_by],
        campaign_id=message.campaign_id,
        marketing_event_id=message.marketing_event_id,
        channel=message.channel,
    )


def _from_metrics(metrics: Metrics) -> wire.ActivationMetrics:
    day, campaign_id, marketing_event_id, channel = metrics.group
    return wire.ActivationMetrics(
        day=day,
        campaign_id=campaign_id,
        marketing_event_id=marketing_event_id,
        channel=channel,
        **metrics.counts,
    )
