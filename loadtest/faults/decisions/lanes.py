"""The ways in which a caller asks, each over one connection, one thing after the other."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

from leo.activation.v1 import decision_service_pb2 as wire
from leo.activation.v1 import error_reason_pb2
from leo_client import LeoApiError, LeoClient
from leo_client.errors import AlreadyExists

from loadtest.faults.decisions.calling import Calling
from loadtest.faults.decisions.shop import TICK_SECONDS, event_id, purchase_of

STREAM: Final = "stream"
_REOPEN_SECONDS: Final = 0.05
_BATCH: Final = 20
_SHARED_BATCH: Final = 30
_SHARED_TICK_SECONDS: Final = 0.05
_MESSAGES_UNDER_WAY: Final = 3
_PAUSES: Final = {"unary": 0.03, "batch": 0.5, STREAM: 0.3}
# A connection stays with the server process that it met; new ones find the processes that came since.
_EVENTS_PER_CONNECTION: Final = 30


@dataclass(slots=True)
class Lane:
    """One connection, which asks for one tenant, one thing after the other.

    Args:
        opened: how many streams it has opened.
    """

    caller: Calling
    tenant: str
    client: LeoClient
    opened: int = 0

    def _message(self, source_event_id: str, extra: int = 0) -> wire.Event:
        return purchase_of(self.caller.configuration.seed, source_event_id).message(extra)

    async def unary(self, name: str) -> None:
        """One event after the other; now and then once more, or with another body."""
        chance = random.Random(name)
        for number in count(1):
            source_event_id = event_id(name, self.caller.configuration.tick(), number)
            await self._decide(name, source_event_id)
            if chance.random() < 0.05:
                await self._decide(name, source_event_id)
            if chance.random() < 0.02:
                await self._decide(name, source_event_id, extra=1)
            await self.caller.pause(_PAUSES["unary"])
            if self.caller.stopping.is_set():
                return
            if number % _EVENTS_PER_CONNECTION == 0:
                await self.client.close()
                self.client = self.caller.connect(self.tenant)

    async def shared_events(self) -> None:
        """Events that the other caller asks about at the same time."""
        while not self.caller.stopping.is_set():
            tick = self.caller.configuration.tick()
            number = int(time.monotonic() / _SHARED_TICK_SECONDS)
            await self._decide("shared", event_id("shared", tick, number))
            await self.caller.pause(_SHARED_TICK_SECONDS - time.monotonic() % _SHARED_TICK_SECONDS)

    async def batches(self, name: str) -> None:
        """Batches of its own."""
        number = 0
        while not self.caller.stopping.is_set():
            tick = self.caller.configuration.tick()
            await self._decide_batch(name, [event_id(name, tick, number + i) for i in range(_BATCH)])
            number += _BATCH
            await self.caller.pause(_PAUSES["batch"])

    async def shared_batches(self) -> None:
        """Batches that the other caller asks about at the same time, in the opposite order."""
        while not self.caller.stopping.is_set():
            tick = self.caller.configuration.tick()
            batch = [event_id("shared-batch", tick, number) for number in range(_SHARED_BATCH)]
            await self._decide_batch("shared-batch", batch[::-1] if self.caller.reverses else batch)
            await self.caller.pause(TICK_SECONDS - time.monotonic() % TICK_SECONDS)

    async def repeat(self, source_event_ids: Sequence[str]) -> None:
        """Ask again what a predecessor got no answer to."""
        await self._decide_batch("again", source_event_ids)

    async def _decide(self, lane: str, source_event_id: str, extra: int = 0) -> None:
        ledger = self.caller.ledger
        call = ledger.asks(self.tenant, lane, [source_event_id])
        request = wire.DecideRequest(event=self._message(source_event_id, extra))

        async def attempt() -> wire.DecideResponse | AlreadyExists:
            try:
                return await self.client.decisions.Decide(request)
            except AlreadyExists as error:
                return error

        answered = await self.caller.until_answered(call, attempt)
        if answered is None:
            return
        answer, tried_at = answered
        if isinstance(answer, AlreadyExists):
            self._refused(call, source_event_id, answer, expected=extra != 0)
        elif extra:
            ledger.wrong(call, "another body under the same id was taken")
        else:
            ledger.told(call, tried_at, [answer.decision])

    def _refused(self, call: int, source_event_id: str, error: AlreadyExists, *, expected: bool) -> None:
        ledger = self.caller.ledger
        if expected and error.reason == "EVENT_BODY_CHANGED":
            ledger.refused(call, source_event_id, error.metadata.get("first_input_sha256", ""))
        else:
            ledger.wrong(call, f"{error.reason}: {error}")

    async def _decide_batch(self, lane: str, source_event_ids: Sequence[str]) -> None:
        call = self.caller.ledger.asks(self.tenant, lane, source_event_ids)
        request = wire.DecideBatchRequest(events=map(self._message, source_event_ids))
        answered = await self.caller.until_answered(call, lambda: self.client.decisions.DecideBatch(request))
        if answered is not None:
            self._told(call, answered[1], answered[0].results)

    def _told(self, call: int, tried_at: float, results: Iterable[wire.DecisionResult]) -> None:
        decisions = []
        for result in results:
            if result.HasField("decision"):
                decisions.append(result.decision)
            else:
                reason = error_reason_pb2.ErrorReason.Name(result.error.reason)
                self.caller.ledger.wrong(call, f"{reason}: {result.error.message}")
        self.caller.ledger.told(call, tried_at, decisions)

    async def stream(self, name: str) -> None:
        """A stream with some messages under way; one that breaks is opened again and repeats them."""
        under_way: dict[int, Sequence[str]] = {}
        numbers = count()
        while not self.caller.stopping.is_set() or under_way:
            opened_at = time.monotonic()
            try:
                requests = self._messages(name, under_way, numbers)
                async for answer in self.client.decisions.DecideStream(requests):
                    call = next(iter(under_way))
                    self._told(call, opened_at, answer.results)
                    del under_way[call]
            except LeoApiError as error:
                self.caller.accepts(next(iter(under_way), 0), error)
            await asyncio.sleep(_REOPEN_SECONDS)

    async def _messages(
        self, name: str, under_way: dict[int, Sequence[str]], numbers: Iterator[int]
    ) -> AsyncIterator[wire.DecideStreamRequest]:
        """First what was under way when the last stream broke; nothing more once another stream is open."""
        self.opened += 1
        opened = self.opened
        for source_event_ids in list(under_way.values()):
            yield self._stream_request(source_event_ids)
        while not self.caller.stopping.is_set() and self.opened == opened:
            if len(under_way) < _MESSAGES_UNDER_WAY:
                tick = self.caller.configuration.tick()
                batch = [event_id(name, tick, next(numbers)) for _ in range(_BATCH)]
                under_way[self.caller.ledger.asks(self.tenant, name, batch)] = batch
                yield self._stream_request(batch)
            await self.caller.pause(_PAUSES[STREAM])

    def _stream_request(self, source_event_ids: Sequence[str]) -> wire.DecideStreamRequest:
        return wire.DecideStreamRequest(events=map(self._message, source_event_ids))
