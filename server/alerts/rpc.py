"""AlertService on the wire: messages to models and back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final, TypeAlias

from google.protobuf.message import Message
from grpc.aio import ServicerContext
from leo.activation.v1 import alert_service_pb2 as wire

from server.alerts import backtest_messages, messages, rule_messages
from server.alerts.backtest_service import AlertBacktestService
from server.alerts.firing_rpc import FiringServicer
from server.alerts.firing_service import FiringService
from server.alerts.service import GLOBAL_TICKS_SCOPE, AlertService
from server.rpc.caller import Caller, current_caller
from server.wire import to_page_request, to_page_response

Context: TypeAlias = ServicerContext[Message, Message]
_Answer: TypeAlias = tuple[int, asyncio.Task[wire.TickBatchResult]]
_Answers: TypeAlias = asyncio.Queue[_Answer | None]
# Room for two transactions: while one commits, the next gathers.
_UNDER_WAY: Final = 200_000
_SMALLEST: Final = 800


class AlertServicer(FiringServicer):
    """Converts and delegates."""

    def __init__(
        self, *, service: AlertService, firings: FiringService, backtests: AlertBacktestService
    ) -> None:
        super().__init__(firings=firings)
        self._service = service
        self._backtests = backtests

    async def AlertEvaluate(
        self, request: wire.AlertEvaluateRequest, context: Context
    ) -> wire.AlertEvaluateResponse:
        """Take a batch of ticks."""
        return wire.AlertEvaluateResponse(result=await self._evaluate(request.batch, current_caller()))

    async def StreamTicks(
        self, requests: AsyncIterator[wire.StreamTicksRequest], context: Context
    ) -> AsyncIterator[wire.StreamTicksResponse]:
        """Take batches of ticks; those that follow are read while one commits."""
        answers, room = _Answers(), _Room(_UNDER_WAY)
        reader = asyncio.create_task(self._read(requests, current_caller(), answers, room))
        try:
            while (answer := await answers.get()) is not None:
                size, task = answer
                yield wire.StreamTicksResponse(result=await task)
                room.free(size)
            await reader
        finally:
            reader.cancel()
            _give_up(answers)

    async def BacktestAlert(
        self, requests: AsyncIterator[wire.BacktestAlertRequest], context: Context
    ) -> wire.BacktestAlertResponse:
        """Try a rule on ticks."""
        tenant_id = current_caller().tenant_id
        first = await anext(requests, wire.BacktestAlertRequest())
        batches = (messages.to_batch(request.batch, tenant_id) async for request in requests)
        report = await self._backtests.backtest_alert(
            tenant_id, backtest_messages.to_draft(first.draft), batches
        )
        return backtest_messages.from_report(report)

    async def PutAlertRules(
        self, request: wire.PutAlertRulesRequest, context: Context
    ) -> wire.PutAlertRulesResponse:
        """Make rules active."""
        answers = await self._service.put_alert_rules(
            current_caller().tenant_id, [rule_messages.to_rule(rule) for rule in request.rules]
        )
        return wire.PutAlertRulesResponse(results=map(rule_messages.from_put_answer, answers))

    async def ListAlertRules(
        self, request: wire.ListAlertRulesRequest, context: Context
    ) -> wire.ListAlertRulesResponse:
        """Rules, page by page."""
        page = await self._service.list_alert_rules(
            current_caller().tenant_id,
            to_page_request(request.page),
            profile_id=request.profile_id or None,
            symbol=request.symbol or None,
            status=rule_messages.STATUSES.get(request.status),
        )
        return wire.ListAlertRulesResponse(
            rules=map(rule_messages.from_rule, page.items), page=to_page_response(page.next_token)
        )

    async def DeleteAlertRule(
        self, request: wire.DeleteAlertRuleRequest, context: Context
    ) -> wire.DeleteAlertRuleResponse:
        """Stop a rule."""
        rule = await self._service.delete_alert_rule(current_caller().tenant_id, request.rule_id)
        return wire.DeleteAlertRuleResponse(rule=rule_messages.from_rule(rule))

    async def _read(
        self,
        requests: AsyncIterator[wire.StreamTicksRequest],
        caller: Caller,
        answers: _Answers,
        room: _Room,
    ) -> None:
        """Tasks begin in the order in which they are made, and stand in line before they first wait."""
        try:
            async for request in requests:
                size = _size_of(request.batch)
                await room.take(size)
                answers.put_nowait((size, asyncio.create_task(self._evaluate(request.batch, caller))))
        finally:
            answers.put_nowait(None)

    async def _evaluate(self, message: wire.TickBatch, caller: Caller) -> wire.TickBatchResult:
        batch = messages.to_batch(message, caller.tenant_id)
        outcome = await self._service.evaluate(
            caller.tenant_id, batch, may_tick_globally=GLOBAL_TICKS_SCOPE in caller.scopes
        )
        return messages.from_outcome(outcome, batch, caller.tenant_id)


class _Room:
    """How much of a stream may be under way: ticks and names of symbols, which are what takes memory."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._freed = asyncio.Event()

    async def take(self, size: int) -> None:
        """Wait until there is room; the message that fills it may be larger than what is left."""
        while self._left <= 0:
            self._freed.clear()
            await self._freed.wait()
        self._left -= size

    def free(self, size: int) -> None:
        """A message is answered."""
        self._left += size
        self._freed.set()


def _size_of(batch: wire.TickBatch) -> int:
    return max(_SMALLEST, len(batch.symbol_indices) + len(batch.symbols))


def _give_up(answers: _Answers) -> None:
    """Nobody waits for these any more; what is being committed is committed nevertheless."""
    while not answers.empty():
        answer = answers.get_nowait()
        if answer is not None:
            answer[1].cancel()
