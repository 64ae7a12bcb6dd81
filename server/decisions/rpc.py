"""DecisionService on the wire: messages to models and back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from google.protobuf.message import Message
from grpc.aio import ServicerContext
from leo.activation.v1 import decision_service_pb2 as wire
from leo.activation.v1 import decision_service_pb2_grpc

from server.decisions.audit_messages import add_checks, from_backtest, from_replay, to_draft, to_span
from server.decisions.backtest.service import BacktestService
from server.decisions.messages import Results, add_answers, from_record, to_event
from server.decisions.replay.service import ReplayService
from server.decisions.service import DecisionService
from server.rpc.caller import current_caller
from server.rpc.interceptors import Gate
from server.wire import to_timestamp

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
        record = await self._service.decide(current_caller().tenant_id, to_event(request.event))
        return wire.DecideResponse(decision=from_record(record, request.include_candidates))

    async def DecideBatch(
        self, request: wire.DecideBatchRequest, context: ServicerContext[Message, Message]
    ) -> wire.DecideBatchResponse:
        """Decide events, each answered on its own."""
        response = wire.DecideBatchResponse()
        await self._answer(request, response.results)
        return response

    async def DecideStream(
        self,
        request_iterator: AsyncIterator[wire.DecideStreamRequest],
        context: ServicerContext[Message, Message],
    ) -> AsyncIterator[wire.DecideStreamResponse]:
        """As DecideBatch, message by message."""
        async for request in request_iterator:
            response = wire.DecideStreamResponse()
            await self._answer(request, response.results)
            yield response

    async def GetDecision(
        self, request: wire.GetDecisionRequest, context: ServicerContext[Message, Message]
    ) -> wire.GetDecisionResponse:
        """One recorded decision."""
        details = await self._service.get_decision(
            current_caller().tenant_id, task=request.task_id, source_event_id=request.source_event_id
        )
        row = details.row
        decision = from_record(details.record, True)
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

    async def _answer(
        self, request: wire.DecideBatchRequest | wire.DecideStreamRequest, results: Results
    ) -> None:
        answers = await self._service.decide_batch(
            current_caller().tenant_id, [to_event(event) for event in request.events]
        )
        add_answers(results, answers, request.include_candidates)
