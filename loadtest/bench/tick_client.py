"""The load of ticks, in a process of its own: reads a job as JSON, and writes what came of it.

Kinds: `first` (one tick of each symbol, until the server takes it), `stream` (messages one after the other, as quickly
as they are answered), `open` (messages of a stream start by the clock, whatever became of earlier ones, and latency
counts from when one should have started), and `single` (calls of AlertEvaluate, one after the other).
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import grpc
import uvloop
from leo.activation.v1 import alert_service_pb2 as wire
from leo.activation.v1 import alert_service_pb2_grpc

from loadtest.bench.client import percentile
from loadtest.bench.tick_feed import Progress, TickFeed

STREAM = "/leo.activation.v1.AlertService/StreamTicks"
_READY_SECONDS = 120.0
_PAUSE_SECONDS = 0.05
_LONGEST_SECONDS = 300.0
_OPTIONS = [("grpc.max_send_message_length", 16 * 1024 * 1024)]
# More than that are made ready, and sent only as far as the time goes.
_MOST_A_SECOND = 320_000
# More than a server reads: it says how much is under way.
_UNDER_WAY = 256
_CROSSING_CALLS = 10


@dataclass(slots=True)
class Tally:
    """What was acknowledged; times in seconds."""

    accepted: int = 0
    fired: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    def add(self, result: wire.TickBatchResult) -> None:
        """Count an answer."""
        self.accepted += result.accepted_count
        self.fired += result.fired_count


@dataclass(frozen=True, slots=True)
class Load:
    """What a kind of load works with."""

    job: dict[str, Any]
    feed: TickFeed
    channel: grpc.aio.Channel

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The caller."""
        return (("authorization", f"Bearer {self.job['token']}"),)

    def stream(self, requests: AsyncIterator[bytes]) -> grpc.aio.StreamStreamCall:
        """An open stream of messages that are serialised already."""
        call = self.channel.stream_stream(STREAM, response_deserializer=wire.StreamTicksResponse.FromString)
        return call(requests, metadata=self.metadata)

    @property
    def stub(self) -> Any:
        """For single calls."""
        return alert_service_pb2_grpc.AlertServiceStub(self.channel)

    async def evaluate(self, batch: wire.TickBatch) -> wire.TickBatchResult:
        """A single call."""
        request = wire.AlertEvaluateRequest(batch=batch)
        response = await self.stub.AlertEvaluate(request, metadata=self.metadata, timeout=_LONGEST_SECONDS)
        result: wire.TickBatchResult = response.result
        return result


async def first(load: Load, tally: Tally) -> None:
    """One tick of every symbol."""
    request = wire.AlertEvaluateRequest(batch=load.feed.first())
    tally.add((await until_ready(load.stub, request, load.metadata)).result)


async def until_ready(
    stub: Any, request: wire.AlertEvaluateRequest, metadata: Any
) -> wire.AlertEvaluateResponse:
    """Call until it is answered: a server takes its shards, with all their rules, after it has begun to serve."""
    deadline = time.perf_counter() + _READY_SECONDS
    while True:
        try:
            answer: wire.AlertEvaluateResponse = await stub.AlertEvaluate(
                request, metadata=metadata, timeout=_LONGEST_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            waits = error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.FAILED_PRECONDITION}
            if not waits or time.perf_counter() > deadline:
                raise
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            return answer


async def stream(load: Load, tally: Tally) -> None:
    """`messages` of them, or as many as `seconds` take."""
    job = load.job
    ticks, seconds = job["ticks"], job.get("seconds")
    count = job.get("messages") or max(1, int(seconds * _MOST_A_SECOND / ticks))
    messages = load.feed.messages(count, ticks=ticks, crossing_share=job["crossing_share"])
    gc.freeze()
    places = asyncio.Semaphore(_UNDER_WAY)
    begin = time.perf_counter()
    async for response in load.stream(_paced(messages, places, begin + (seconds or _LONGEST_SECONDS))):
        places.release()
        tally.add(response.result)
    tally.seconds = time.perf_counter() - begin


async def _paced(messages: Sequence[bytes], places: asyncio.Semaphore, end: float) -> AsyncIterator[bytes]:
    for message in messages:
        await places.acquire()
        if time.perf_counter() > end:
            return
        yield message


async def open_loop(load: Load, tally: Tally) -> None:
    """`rate` ticks a second for `seconds`, in messages of `ticks`."""
    job = load.job
    pause = job["ticks"] / job["rate"]
    count = max(1, int(job["seconds"] / pause))
    messages = load.feed.messages(count, ticks=job["ticks"], crossing_share=job["crossing_share"])
    gc.freeze()
    begin = time.perf_counter()

    async def by_the_clock() -> AsyncIterator[bytes]:
        for number, message in enumerate(messages):
            await asyncio.sleep(max(0.0, begin + number * pause - time.perf_counter()))
            yield message

    number = 0
    async for response in load.stream(by_the_clock()):
        # Only those count in which something fired.
        if response.result.fired_count:
            tally.latencies.append(time.perf_counter() - begin - number * pause)
        tally.add(response.result)
        number += 1
    tally.seconds = time.perf_counter() - begin


async def single(load: Load, tally: Tally) -> None:
    """`calls` of one tick each; every tenth crosses."""
    batches = [load.feed.mixed(1, int(not number % _CROSSING_CALLS)) for number in range(load.job["calls"])]
    begin = time.perf_counter()
    for batch in batches:
        started = time.perf_counter()
        tally.add(await load.evaluate(batch))
        tally.latencies.append(time.perf_counter() - started)
    tally.seconds = time.perf_counter() - begin


KINDS: dict[str, Callable[[Load, Tally], Awaitable[None]]] = {
    "first": first,
    "stream": stream,
    "open": open_loop,
    "single": single,
}


async def run(job: dict[str, Any]) -> dict[str, Any]:
    """Do a job, and tell how far the feed has come."""
    progress, tally = Progress(**job["progress"]), Tally()
    async with grpc.aio.insecure_channel(job["address"], _OPTIONS) as channel:
        await KINDS[job["kind"]](
            Load(job, TickFeed(symbols=job["symbols"], progress=progress), channel), tally
        )
    ordered = sorted(tally.latencies)
    # What was made ready and not sent belongs to the rules that did not fire.
    progress.crossed = job["progress"]["crossed"] + tally.fired
    return {
        "progress": asdict(progress),
        "accepted": tally.accepted,
        "fired": tally.fired,
        "seconds": tally.seconds,
        "p50_ms": percentile(ordered, 0.50) * 1000,
        "p99_ms": percentile(ordered, 0.99) * 1000,
        "client_cpu": time.process_time(),
    }


def main() -> None:
    """Do the job of the standard input."""
    print(json.dumps(uvloop.run(run(json.load(sys.stdin)))))


if __name__ == "__main__":
    main()
