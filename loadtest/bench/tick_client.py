"""The load of ticks, in a process of its own: reads a job as JSON, and writes what came of it."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import uvloop
from leo.activation.v1 import alert_service_pb2 as wire
from leo.activation.v1 import alert_service_pb2_grpc

from loadtest.bench.client import percentile
from loadtest.bench.tick_feed import FeedShape, TickFeed

_READY_SECONDS = 120.0
_PAUSE_SECONDS = 0.1
_LONGEST_SECONDS = 300.0
_OPTIONS = [("grpc.max_send_message_length", 16 * 1024 * 1024)]


async def run(job: dict[str, Any]) -> dict[str, float]:
    """Wait until every symbol is served, stream, then call one by one."""
    feed = TickFeed(FeedShape(**job["shape"]))
    metadata = (("authorization", f"Bearer {job['token']}"),)
    async with grpc.aio.insecure_channel(job["address"], _OPTIONS) as channel:
        stub = alert_service_pb2_grpc.AlertServiceStub(channel)
        await until_ready(stub, wire.AlertEvaluateRequest(batch=feed.first()), metadata)
        requests = [wire.StreamTicksRequest(batch=batch) for batch in feed.streamed()]
        begin = time.perf_counter()
        answers = stub.StreamTicks(_each(requests), metadata=metadata)
        results = [answer.result async for answer in answers]
        seconds = time.perf_counter() - begin
        latencies = []
        for batch in feed.single():
            request = wire.AlertEvaluateRequest(batch=batch)
            begin = time.perf_counter()
            response = await stub.AlertEvaluate(request, metadata=metadata, timeout=_LONGEST_SECONDS)
            latencies.append(time.perf_counter() - begin)
            results.append(response.result)
    latencies.sort()
    return {
        "accepted": sum(result.accepted_count for result in results),
        "fired": sum(result.fired_count for result in results),
        "seconds": seconds,
        "p50_ms": percentile(latencies, 0.50) * 1000,
        "p99_ms": percentile(latencies, 0.99) * 1000,
        "client_cpu": time.process_time(),
    }


async def until_ready(stub: Any, request: wire.AlertEvaluateRequest, metadata: Any) -> None:
    """A server takes its shards, with all their rules, after it has begun to serve."""
    deadline = time.perf_counter() + _READY_SECONDS
    while True:
        try:
            await stub.AlertEvaluate(request, metadata=metadata, timeout=_LONGEST_SECONDS)
        except grpc.aio.AioRpcError as error:
            waits = error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.FAILED_PRECONDITION}
            if not waits or time.perf_counter() > deadline:
                raise
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            return


async def _each(requests: list[wire.StreamTicksRequest]) -> AsyncIterator[wire.StreamTicksRequest]:
    for request in requests:
        yield request


def main() -> None:
    """Do the job of the standard input."""
    print(json.dumps(uvloop.run(run(json.load(sys.stdin)))))


if __name__ == "__main__":
    main()
