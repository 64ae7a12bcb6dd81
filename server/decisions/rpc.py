"""DecisionService on the wire: messages to models and back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final

from google.protobuf.message import Message
from grpc.aio import ServicerContext
from leo.activation.v1 import decision_service_pb2 as wire
from leo.activation.v1 import decision_service_pb2_grpc, error_reason_pb2

from server.decisions.arms import ArmView
from server.decisions.audit_messages import add_checks, from_backtest, from_replay, to_draft, to_span
from server.decisions.backtesting import BacktestService
from server.decisions.intake import IncomingEvent
from server.decisions.model import DecisionRecord, Outcome, Reason
from server.decisions.replaying import ReplayService
from server.decisions.service import Answer, DecisionService
from server.errors import InvalidInput, LeoError
from server.rpc.caller import current_caller
from server.rpc.interceptors import Gate
from server.wire import to_datetime, to_timestamp

_OUTCOMES: Final = {
    Outcome.SEND: wire.DECISION_OUTCOME_SEND,
    Outcome.SUPPRESSED: wire.DECISION_OUTCOME_SUPPRESSED,
}
_REASONS: Final = {reason: wire.DecisionReason.Value(f"DECISION_REASON_{reason}") for reason in Reason}


_SERVICE: Final = f"/{wire.DESCRIPTOR.services_by_name['DecisionService'].full_name}"


def gates(service: DecisionService) -> dict[str, Gate]:
    """What calls of these methods ask before anything is done for them. Streams are kept waiting instead."""
    return {f"{_SERVICE}/Decide": service.admit_event, f"{_SERVICE}/DecideBatch": service.admit_batch}


class DecisionServicer(decision_service_pb2_grpc.DecisionServiceServicer):
    """Converts and delegates."""

    def __init__(
        self, *, service: DecisionService, replays: ReplayService, backtests: BacktestService
    ) -> None:
        self._service = service
        self._replays = replays
        self._backtests = backtests

    async def Decide(
        self, request: wire.DecideRequest, context: ServicerContext[Message, Message]
    ) -> wire.DecideResponse:
        """Decide one event."""
        record = await self._service.decide(current_caller().tenant_id, _to_event(request.event))
        return wire.DecideResponse(decision=_from_record(record, request.include_candidates))

    async def DecideBatch(
        self, request: wire.DecideBatchRequest, context: ServicerContext[Message, Message]
    ) -> wire.DecideBatchResponse:
        """Decide events, each answered on its own."""
        return wire.DecideBatchResponse(
            results=await self._results(request.events, request.include_candidates)
        )

    async def DecideStream(
        self,
        request_iterator: AsyncIterator[wire.DecideStreamRequest],
        context: ServicerContext[Message, Message],
    ) -> AsyncIterator[wire.DecideStreamResponse]:
        """As DecideBatch, message by message."""
        async for request in request_iterator:
            results = await self._results(request.events, request.include_candidates)
            yield wire.DecideStreamResponse(results=results)

    async def GetDecision(
        self, request: wire.GetDecisionRequest, context: ServicerContext[Message, Message]
    ) -> wire.GetDecisionResponse:
        """One recorded decision."""
        details = await self._service.get_decision(
            current_caller().tenant_id, task=request.task_id, source_event_id=request.source_event_id
        )
        row = details.row
        decision = _from_record(details.record, True)
        add_checks(decision, await self._replays.explain(current_caller().tenant_id, row))
        return wire.GetDecisionResponse(
            decision=decision,
            profile_id=row["profile_id"],
            event_type=row["event_type"],
            occurred_at=to_timestamp(row["occurred_at"]),
            rule_bundle_id=row["rule_bundle_id"],
            snapshot_id=row["snapshot_id"] or "",
            inputs=row["inputs"].encode(),
            reasoning_trace=row["reasoning_trace"].encode(),
            output_sha256=row["output_sha256"],
        )

    async def Replay(
        self, request: wire.ReplayRequest, context: ServicerContext[Message, Message]
    ) -> wire.ReplayResponse:
        """One recorded decision, made again."""
        return from_replay(
            await self._replays.replay(
                current_caller().tenant_id, task=request.task_id, source_event_id=request.source_event_id
            )
        )

    async def Backtest(
        self, request: wire.BacktestRequest, context: ServicerContext[Message, Message]
    ) -> wire.BacktestResponse:
        """A draft over what happened."""
        span = to_span(current_caller().tenant_id, request)
        return from_backtest(
            await self._backtests.backtest(span, to_draft(request.draft), request.sample_size)
        )

    async def _results(self, events: Iterable[wire.Event], candidates: bool) -> list[wire.DecisionResult]:
        answers: Sequence[Answer] = await self._service.decide_batch(
            current_caller().tenant_id, [_to_event(event) for event in events]
        )
        return [_from_answer(answer, candidates) for answer in answers]


def _to_event(message: wire.Event) -> IncomingEvent:
    return IncomingEvent(
        source_event_id=message.source_event_id,
        profile_id=message.profile_id,
        event_type=message.event_type,
        occurred_at=to_datetime(message.occurred_at) if message.HasField("occurred_at") else None,
        attributes=message.attributes,
    )


def _from_answer(answer: Answer, candidates: bool) -> wire.DecisionResult:
    if isinstance(answer, LeoError):
        return wire.DecisionResult(error=_from_error(answer))
    return wire.DecisionResult(decision=_from_record(answer, candidates))


def _from_error(error: LeoError) -> wire.DecisionError:
    field = error.violations[0].field if isinstance(error, InvalidInput) else ""
    return wire.DecisionError(
        reason=error_reason_pb2.ErrorReason.Value(error.reason), field=field, message=error.message
    )


def _from_record(record: DecisionRecord, candidates: bool) -> wire.Decision:
    message = wire.Decision(
        task_id=record.task_id,
        source_event_id=record.source_event_id,
        outcome=_OUTCOMES[record.outcome],
        reason=_REASONS[record.reason],
        reason_summary=record.summary,
        marketing_event_id=record.marketing_event_id or "",
        channels=record.channels,
        due_at=to_timestamp(record.due_at),
        decided_at=to_timestamp(record.decided_at),
        duplicate=record.duplicate,
        arm=_from_arm(record.arm),
    )
    if candidates:
        message.candidates.extend(
            wire.Candidate(
                marketing_event_id=candidate.marketing_event_id,
                event_name=candidate.event_name,
                reason=_REASONS[Reason(candidate.reason)],
                explanation=candidate.explanation,
                arm=_from_arm(candidate.arm),
            )
            for candidate in record.candidates
        )
    return message


def _from_arm(arm: ArmView | None) -> wire.Arm | None:
    if arm is None:
        return None
    return wire.Arm(
        experiment_id=arm.experiment_id,
        variant=arm.variant,
        template_name=arm.template_name or "",
        propensity=arm.propensity,
    )
