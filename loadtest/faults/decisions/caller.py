"""A caller as a process of its own: `python -m loadtest.faults.decisions.caller CONFIGURATION NAME LEDGER [OLD]`.

It asks over unary calls, batches and streams, repeats what fails until it is answered, and keeps its ledger. Told to
end (SIGTERM), it begins nothing new and ends when everything is answered. `OLD` is the ledger that its predecessor left
when it was killed: every second call that had no answer is repeated, the others are never heard of again.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final, TypeVar

import grpc
import orjson
from leo.activation.v1 import decision_service_pb2 as wire
from leo.activation.v1 import error_reason_pb2
from leo_client import LeoApiError, LeoClient
from leo_client.errors import AlreadyExists

from loadtest.faults.decisions.ledger import LedgerReader, LedgerWriter
from loadtest.faults.decisions.shop import TICK_SECONDS, event_id, purchase_of

STREAM: Final = "stream"
_AWAY: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.CANCELLED,
    }
)
_DEADLINE_SECONDS: Final = 10.0
_RETRY_SECONDS: Final = 0.05
_LOOK_SECONDS: Final = 1.0
_UNARY_LANES: Final = 3
_BATCH: Final = 20
_SHARED_BATCH: Final = 30
_SHARED_TICK_SECONDS: Final = 0.05
_MESSAGES_UNDER_WAY: Final = 3
_PAUSES: Final = {"unary": 0.03, "batch": 0.5, STREAM: 0.3}
# A connection stays with the server process that it met; new ones find the processes that came since.
_EVENTS_PER_CONNECTION: Final = 30

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Configuration:
    """What all callers are told.

    Args:
        started_at: when the drill began, by the monotonic clock: ticks count from it.
        tokens: for each tenant's id its token.
    """

    address: str
    seed: int
    started_at: float
    tokens: dict[str, str]

    def tick(self) -> int:
        """The tick now."""
        return int((time.monotonic() - self.started_at) / TICK_SECONDS)


@dataclass(slots=True)
class Caller:
    """All lanes of one caller.

    Args:
        reverses: whether it asks about shared batches from their end.
    """

    configuration: Configuration
    name: str
    ledger: LedgerWriter
    reverses: bool
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, left: Iterable[tuple[str, Sequence[str]]]) -> None:
        """Call until told to end.

        Args:
            left: what a predecessor left unanswered: the tenant and the events.
        """
        async with asyncio.TaskGroup() as lanes:

            def begin(tenant: str, work: Callable[[_Lane], Awaitable[None]]) -> None:
                lanes.create_task(self._connected(tenant, work))

            for tenant in self.configuration.tokens:
                for number in range(_UNARY_LANES):
                    begin(tenant, partial(_Lane.unary, name=f"{self.name}-unary-{number}"))
                begin(tenant, partial(_Lane.batches, name=f"{self.name}-batch"))
                begin(tenant, partial(_Lane.stream, name=f"{self.name}-{STREAM}"))
                begin(tenant, _Lane.shared_events)
                begin(tenant, _Lane.shared_batches)
            for tenant, source_event_ids in left:
                begin(tenant, partial(_Lane.repeat, source_event_ids=source_event_ids))

    async def _connected(self, tenant: str, work: Callable[[_Lane], Awaitable[None]]) -> None:
        lane = _Lane(self, tenant, self.connect(tenant))
        try:
            await work(lane)
        finally:
            await lane.client.close()

    def connect(self, tenant: str) -> LeoClient:
        """A connection of its own."""
        token = self.configuration.tokens[tenant]
        return LeoClient(self.configuration.address, token=token, deadline_seconds=_DEADLINE_SECONDS)

    async def pause(self, seconds: float) -> None:
        """So long, or until told to end."""
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except TimeoutError:
            return

    async def until_answered(
        self, call: int, attempt: Callable[[], Awaitable[Answer]]
    ) -> tuple[Answer, float] | None:
        """The answer, however often it takes, and when the last try began; None for what may not be."""
        while True:
            tried_at = time.monotonic()
            try:
                return await attempt(), tried_at
            except LeoApiError as error:
                if not self.accepts(call, error):
                    return None
            await asyncio.sleep(_RETRY_SECONDS)

    def accepts(self, call: int, error: LeoApiError) -> bool:
        """Whether calls fail like this in an outage; everything else is written down as wrong.

        INTERNAL without a reason is gRPC's own, of a connection that broke; the server's has one.
        """
        is_outage = error.code in _AWAY or (error.code is grpc.StatusCode.INTERNAL and not error.reason)
        if is_outage:
            self.ledger.failed(call, error.code.name)
        else:
            self.ledger.wrong(call, f"{error.code.name} {error.reason} {error}")
        return is_outage


@dataclass(slots=True)
class _Lane:
    """One connection, which asks for one tenant, one thing after the other.

    Args:
        opened: how many streams it has opened.
    """

    caller: Caller
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
            await asyncio.sleep(_RETRY_SECONDS)

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


async def _call(configuration: Configuration, name: str, path: Path, old_path: Path | None) -> None:
    caller = Caller(configuration, name, LedgerWriter(path), reverses=name.startswith("second"))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, caller.stopping.set)
    alone = asyncio.create_task(_end_when_alone())
    left: list[tuple[str, Sequence[str]]] = []
    if old_path is not None:
        old = LedgerReader(old_path)
        old.read()
        left = [(call.tenant, call.source_event_ids) for call in list(old.open_calls.values())[::2]]
    await caller.run(left)
    alone.cancel()


async def _end_when_alone() -> None:
    """A caller whose drill was killed has nobody to stop it."""
    drill = os.getppid()
    while os.getppid() == drill:  # noqa: ASYNC110 - another process changes it
        await asyncio.sleep(_LOOK_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    given, name, *paths = sys.argv[1:]
    configuration = Configuration(**orjson.loads(Path(given).read_bytes()))
    asyncio.run(_call(configuration, name, Path(paths[0]), Path(paths[1]) if paths[1:] else None))
