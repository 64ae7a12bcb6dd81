"""The load, in a process of its own: reads a job as JSON from its input, and writes what came of it.

Three kinds: `closed` (so many callers, each with one call under way), `open` (calls start by the clock,
whatever became of earlier ones, and latency counts from when a call should have started) and `stream`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import grpc
import uvloop
from leo.activation.v1 import decision_service_pb2 as wire

from loadtest.bench.events import EventStream, RoundsOfAll

DECIDE = "/leo.activation.v1.DecisionService/Decide"
STREAM = "/leo.activation.v1.DecisionService/DecideStream"
_DEADLINE_SECONDS = 60.0
HINT = "grpc-retry-pushback-ms"
_TURNED_AWAY_SECONDS = 0.1  # by gRPC itself, which gives no hint


@dataclass(slots=True)
class Tally:
    """What was acknowledged, and how long it took; times in seconds."""

    acknowledged: int = 0
    sends: int = 0
    measured: int = 0
    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, decision: wire.Decision) -> None:
        """Count an answer."""
        self.acknowledged += not decision.duplicate
        self.sends += decision.outcome == wire.DECISION_OUTCOME_SEND

    def report(self) -> dict[str, float]:
        """Totals, the rate of the measured part, and percentiles in milliseconds."""
        ordered = sorted(self.latencies)
        return {
            "acknowledged": self.acknowledged,
            "sends": self.sends,
            "seconds": self.seconds,
            "per_second": self.measured / self.seconds if self.seconds else 0.0,
            "p50_ms": percentile(ordered, 0.50) * 1000,
            "p99_ms": percentile(ordered, 0.99) * 1000,
            "client_cpu": time.process_time(),
        }


def retry_seconds(error: grpc.aio.AioRpcError) -> float:
    """When a busy server wants to be asked again; the time until then counts as waiting for its answer.

    Raises:
        grpc.aio.AioRpcError: the call failed otherwise.
    """
    if error.code() is grpc.StatusCode.CANCELLED:
        return _TURNED_AWAY_SECONDS
    if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
        raise error
    hints = (int(value) for key, value in error.trailing_metadata() or () if key == HINT)
    return next(hints, 0) / 1000


def percentile(ordered: list[float], share: float) -> float:
    """The value below which this share of an ordered list lies; 0 of an empty one."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


async def closed(job: dict[str, Any], tally: Tally) -> None:
    """`concurrency` callers for `warm_seconds` and then `seconds`; only the latter is measured."""
    async with grpc.aio.insecure_channel(job["address"]) as channel:
        call = _unary(channel, job)
        begin = time.perf_counter() + job["warm_seconds"]
        end = begin + job["seconds"]
        numbers = count(job.get("first", 0))

        async def caller() -> None:
            while (started := time.perf_counter()) < end:
                tally.add(await call(next(numbers)))
                finished = time.perf_counter()
                if started >= begin and finished <= end:
                    tally.latencies.append(finished - started)

        await asyncio.gather(*(caller() for _ in range(job["concurrency"])))
    tally.measured, tally.seconds = len(tally.latencies), job["seconds"]


async def open_loop(job: dict[str, Any], tally: Tally) -> None:
    """`rate` calls a second, by the clock."""
    async with grpc.aio.insecure_channel(job["address"]) as channel:
        call = _unary(channel, job)
        begin = time.perf_counter()
        warm = int(job["warm_seconds"] * job["rate"])
        total = warm + int(job["seconds"] * job["rate"])

        async def one(number: int, due: float) -> None:
            tally.add(await call(number))
            if number >= warm:
                tally.latencies.append(time.perf_counter() - due)

        async with asyncio.TaskGroup() as calls:
            for number in range(total):
                due = begin + number / job["rate"]
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                calls.create_task(one(number, due))
        tally.measured, tally.seconds = (
            len(tally.latencies),
            time.perf_counter() - begin - job["warm_seconds"],
        )


async def stream(job: dict[str, Any], tally: Tally) -> None:
    """Every tenant's messages over streams, `streams` of them open at once; all of it is measured.

    One tenant's events are divided over all streams; of several tenants, each has a stream of its own. They share
    one connection, unless the job wants `connections`.
    """
    waiting = iter(_stream_jobs(job))
    async with AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(_channel(job["address"]))
            for _ in range(job.get("connections", 1))
        ]
        await asyncio.gather(*(channel.channel_ready() for channel in channels))
        begin = time.perf_counter()
        await asyncio.gather(
            *(_streams(channels[n % len(channels)], waiting, tally) for n in range(job["streams"]))
        )
        tally.seconds = time.perf_counter() - begin
    tally.measured = tally.acknowledged


def _channel(address: str) -> grpc.aio.Channel:
    """With a connection of its own; gRPC would share one among all channels to an address."""
    return grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])


async def _streams(channel: grpc.aio.Channel, waiting: Iterator[_StreamJob], tally: Tally) -> None:
    call = channel.stream_stream(
        STREAM,
        request_serializer=wire.DecideStreamRequest.SerializeToString,
        response_deserializer=wire.DecideStreamResponse.FromString,
    )
    for token, messages in waiting:
        async for response in call(_each(messages), metadata=_bearer(token)):
            for result in response.results:
                if result.HasField("error"):
                    raise SystemExit(f"an event was refused: {result.error.message}")
                tally.add(result.decision)


async def _each(messages: list[wire.DecideStreamRequest]) -> AsyncIterator[wire.DecideStreamRequest]:
    for message in messages:
        yield message


_StreamJob = tuple[str, list[wire.DecideStreamRequest]]


def _stream_jobs(job: dict[str, Any]) -> list[_StreamJob]:
    """Messages are made before the clock starts. A stream takes every n-th message of its tenant."""
    jobs = []
    of_tenant = job["streams"] if len(job["tokens"]) == 1 else 1
    for token in job["tokens"]:
        events = _events(job)
        first, size = job.get("first", 0), job["batch"]
        messages = [
            wire.DecideStreamRequest(events=[events.event(n) for n in range(start, start + size)])
            for start in range(first, first + job["events"], size)
        ]
        jobs.extend((token, messages[first::of_tenant]) for first in range(of_tenant))
    return jobs


def _unary(channel: grpc.aio.Channel, job: dict[str, Any]) -> Callable[[int], Awaitable[wire.Decision]]:
    call = channel.unary_unary(
        job["method"],
        request_serializer=wire.DecideRequest.SerializeToString,
        response_deserializer=wire.DecideResponse.FromString,
    )
    events = _events(job)
    metadata = _bearer(job["tokens"][0])

    async def decide(number: int) -> wire.Decision:
        request = wire.DecideRequest(event=events.event(number))
        while True:
            try:
                response: wire.DecideResponse = await call(
                    request, metadata=metadata, timeout=_DEADLINE_SECONDS
                )
            except grpc.aio.AioRpcError as error:
                await asyncio.sleep(retry_seconds(error))
            else:
                return response.decision

    return decide


def _events(job: dict[str, Any]) -> EventStream | RoundsOfAll:
    if job.get("rounds_of_all"):
        return RoundsOfAll(profiles=job["profiles"], label=job["label"])
    return EventStream(profiles=job["profiles"], label=job["label"], population=job.get("population"))


def _bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


KINDS: dict[str, Callable[[dict[str, Any], Tally], Awaitable[None]]] = {
    "closed": closed,
    "open": open_loop,
    "stream": stream,
}


async def _run(job: dict[str, Any]) -> Tally:
    tally = Tally()
    await KINDS[job["kind"]](job, tally)
    return tally


def main() -> None:
    """Do the job of the standard input."""
    print(json.dumps(uvloop.run(_run(json.load(sys.stdin))).report()))


if __name__ == "__main__":
    main()
