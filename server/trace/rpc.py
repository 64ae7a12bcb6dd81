"""TraceService on the wire: messages to models and back."""

from __future__ import annotations

from typing import Final

from google.protobuf.message import Message
from grpc.aio import ServicerContext
from leo.activation.v1 import decision_service_pb2 as decisions
from leo.activation.v1 import dispatch_service_pb2 as dispatch
from leo.activation.v1 import snapshot_service_pb2 as snapshots
from leo.activation.v1 import trace_service_pb2 as wire
from leo.activation.v1 import trace_service_pb2_grpc

from server.rpc.caller import current_caller
from server.trace.model import (
    BehaviouralEvent,
    Candidate,
    Decision,
    Delivery,
    MarketingEvent,
    Snapshot,
    Step,
)
from server.trace.service import TraceService
from server.wire import to_page_request, to_page_response, to_timestamp

# The recorded words are the names of the wire's values, without their prefix.
_OUTCOMES: Final = {
    name.removeprefix("DECISION_OUTCOME_").lower(): value for name, value in decisions.DecisionOutcome.items()
}
_REASONS: Final = {
    name.removeprefix("DECISION_REASON_"): value for name, value in decisions.DecisionReason.items()
}
_STATUSES: Final = {
    name.removeprefix("DELIVERY_STATUS_").lower(): value for name, value in dispatch.DeliveryStatus.items()
}


class TraceServicer(trace_service_pb2_grpc.TraceServiceServicer):
    """Converts and delegates."""

    def __init__(self, *, service: TraceService) -> None:
        self._service = service

    async def GetJourney(
        self, request: wire.GetJourneyRequest, context: ServicerContext[Message, Message]
    ) -> wire.GetJourneyResponse:
        """What was decided for one profile."""
        page = await self._service.get_journey(
            current_caller().tenant_id, request.profile_id, to_page_request(request.page)
        )
        return wire.GetJourneyResponse(
            journey=wire.Journey(profile_id=request.profile_id, steps=map(_from_step, page.items)),
            page=to_page_response(page.next_token),
        )

    async def ExplainDelivery(
        self, request: wire.ExplainDeliveryRequest, context: ServicerContext[Message, Message]
    ) -> wire.ExplainDeliveryResponse:
        """Why one delivery stands where it stands."""
        explained = await self._service.explain_delivery(current_caller().tenant_id, request.delivery_key)
        return wire.ExplainDeliveryResponse(
            delivery_key=explained.delivery_key,
            status=_STATUSES[explained.status],
            code=explained.code,
            explanation=explained.sentence,
            waiting=explained.waiting,
            until=to_timestamp(explained.until),
            since=to_timestamp(explained.since),
            reason=explained.reason or "",
            attempt=explained.attempt,
        )


def _from_step(step: Step) -> wire.JourneyStep:
    return wire.JourneyStep(
        event=_from_event(step.event) if step.event else None,
        decision=_from_decision(step.decision),
        snapshot=_from_snapshot(step.snapshot) if step.snapshot else None,
        marketing_event=_from_marketing_event(step.marketing_event) if step.marketing_event else None,
        deliveries=map(_from_delivery, step.deliveries),
    )


def _from_event(event: BehaviouralEvent) -> wire.JourneyEvent:
    return wire.JourneyEvent(
        source_event_id=event.source_event_id,
        event_type=event.event_type,
        occurred_at=to_timestamp(event.occurred_at),
        attributes=event.attributes.encode(),
    )


def _from_decision(decision: Decision) -> wire.JourneyDecision:
    return wire.JourneyDecision(
        task_id=decision.task_id,
        parent_task_id=decision.parent_task_id or "",
        agent_name=decision.agent_name,
        outcome=_OUTCOMES[decision.outcome],
        reason=_reason(decision.reason_code),
        reason_code=decision.reason_code or "",
        summary=decision.summary or "",
        candidates=map(_from_candidate, decision.candidates),
        rule_bundle_id=decision.rule_bundle_id or "",
        decided_at=to_timestamp(decision.decided_at),
        due_at=to_timestamp(decision.due_at),
        status=decision.status,
        erased=decision.erased,
    )


def _from_candidate(candidate: Candidate) -> decisions.Candidate:
    return decisions.Candidate(
        marketing_event_id=candidate.marketing_event_id,
        event_name=candidate.event_name,
        reason=_reason(candidate.reason),
        explanation=candidate.explanation,
    )


def _reason(code: str | None) -> decisions.DecisionReason.ValueType:
    return _REASONS.get(code or "", decisions.DECISION_REASON_UNSPECIFIED)


def _from_snapshot(snapshot: Snapshot) -> wire.JourneySnapshot:
    return wire.JourneySnapshot(
        snapshot=snapshots.Snapshot(
            snapshot_id=snapshot.snapshot_id,
            segment_name=snapshot.segment_name,
            segment_version=snapshot.segment_version,
            reason=snapshot.reason,
            audience_sha256=snapshot.audience_sha256,
            member_count=snapshot.member_count,
            created_at=to_timestamp(snapshot.created_at),
        ),
        is_member=snapshot.is_member,
    )


def _from_marketing_event(event: MarketingEvent) -> wire.JourneyMarketingEvent:
    return wire.JourneyMarketingEvent(
        marketing_event_id=event.marketing_event_id,
        event_name=event.event_name,
        campaign_id=event.campaign_id,
        channels=event.channels,
        template_name=event.template_name,
        templates=[
            wire.JourneyTemplate(
                template_id=template.template_id,
                channel=template.channel,
                language=template.language,
                version=template.version,
            )
            for template in event.templates
        ],
    )


def _from_delivery(delivery: Delivery) -> wire.JourneyDelivery:
    return wire.JourneyDelivery(
        delivery_id=delivery.delivery_id,
        delivery_key=delivery.delivery_key,
        attempt=delivery.attempt,
        channel=delivery.channel,
        status=_STATUSES[delivery.status],
        destination=delivery.destination or "",
        reason=delivery.reason or "",
        provider_message_id=delivery.provider_message_id or "",
        sent_at=to_timestamp(delivery.sent_at),
        recorded_at=to_timestamp(delivery.recorded_at),
    )
