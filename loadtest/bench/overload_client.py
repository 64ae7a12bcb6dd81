"""Load past the capacity, in a process of its own: reads a job as JSON, and writes what became of each event.

Two kinds: `closed` (so many callers, each with one call under way: what the server can do) and `offered` (events
arrive by the clock, whatever becomes of earlier ones, and nobody repeats what was refused). A call carries one
event, or a batch of them. The numbers of the events that were acknowledged, and of those that were refused, go to
files, so that each can be looked for in the database.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from array import array
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import uvloop
from leo.activation.v1 import decision_service_pb2 as wire

from loadtest.bench.client import DECIDE, HINT, percentile, retry_seconds
from loadtest.bench.events import EventStream

BATCH = "/leo.activation.v1.DecisionService/DecideBatch"


def _numbers() -> array[int]:
    return array("q")


@dataclass(slots=True)
class Outcomes:
    """What became of the events.

    Args:
        acknowledged, refused: numbers of the events.
        sends: acknowledged decisions to send.
        hinted: calls that were refused with the time when to come back.
        turned_away: calls that gRPC refused by itself, since the server had not looked at them in time.
        late: calls that their own deadline ended.
        next: the first number that no event of this run has.
        good: acknowledged events of the measured time.
        offered: events that were sent in the measured time.
        latencies: of the acknowledged calls of the measured time, in seconds since they were due.
    """

    acknowledged: array[int] = field(default_factory=_numbers)
    refused: array[int] = field(default_factory=_numbers)
    sends: int = 0
    hinted: int = 0
    turned_away: int = 0
    late: int = 0
    next: int = 0
    good: int = 0
    offered: int = 0
    latencies: list[float] = field(default_factory=list)

    def failed(self, error: grpc.aio.AioRpcError, numbers: range) -> None:
        """Count a call that was not answered; the run ends at what overload does not explain."""
        match error.code():
            case grpc.StatusCode.RESOURCE_EXHAUSTED:
                self.refused.extend(numbers)
                self.hinted += any(key == HINT for key, _ in error.trailing_metadata() or ())
            case grpc.StatusCode.CANCELLED:
                self.refused.extend(numbers)
                self.turned_away += 1
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                self.late += 1
            case _:
                raise error


@dataclass(frozen=True, slots=True)
class Measured:
    """The time that counts, by `time.perf_counter`."""

    begin: float
    end: float

    def holds(self, moment: float) -> bool:
        """Whether the moment lies in it."""
        return self.begin <= moment < self.end


Call = Callable[[range], Awaitable[list[wire.Decision]]]


async def closed(job: dict[str, Any], call: Call, outcomes: Outcomes) -> None:
    """`concurrency` callers, one call each at a time; whoever is refused comes back when it is told to."""
    measured = _measured(job)
    numbers = count(job["first"], job["batch"])

    async def caller() -> None:
        while (due := time.perf_counter()) < measured.end:
            pause = await _one(call, outcomes, measured, next(numbers), job["batch"], due)
            await asyncio.sleep(pause)

    await asyncio.gather(*(caller() for _ in range(job["concurrency"])))


async def offered(job: dict[str, Any], call: Call, outcomes: Outcomes) -> None:
    """`rate` events a second, by the clock."""
    measured = _measured(job)
    batch, begin = job["batch"], time.perf_counter()
    calls = int((job["warm_seconds"] + job["seconds"]) * job["rate"] / batch)
    async with asyncio.TaskGroup() as group:
        for position in range(calls):
            due = begin + position * batch / job["rate"]
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(_one(call, outcomes, measured, job["first"] + position * batch, batch, due))


def _measured(job: dict[str, Any]) -> Measured:
    begin = time.perf_counter() + job["warm_seconds"]
    return Measured(begin, begin + job["seconds"])


async def _one(
    call: Call, outcomes: Outcomes, measured: Measured, number: int, batch: int, due: float
) -> float:
    """One call, counted; for how many seconds its caller should stay away now."""
    numbers = range(number, number + batch)
    outcomes.next = max(outcomes.next, number + batch)
    if measured.holds(time.perf_counter()):
        outcomes.offered += batch
    try:
        decisions = await call(numbers)
    except grpc.aio.AioRpcError as error:
        outcomes.failed(error, numbers)
        return retry_seconds(error) if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED else 0.0
    outcomes.acknowledged.extend(numbers)
    outcomes.sends += sum(decision.outcome == wire.DECISION_OUTCOME_SEND for decision in decisions)
    if measured.holds(finished := time.perf_counter()):
        outcomes.good += batch
        outcomes.latencies.append(finished - due)
    return 0.0


def _call(channel: grpc.aio.Channel, job: dict[str, Any]) -> Call:
    events = EventStream(profiles=job["profiles"], label=job["label"])
    arguments = {
        "metadata": (("authorization", f"Bearer {job['tokens'][0]}"),),
        "timeout": job["deadline_seconds"],
    }
    single = channel.unary_unary(
        DECIDE,
        request_serializer=wire.DecideRequest.SerializeToString,
        response_deserializer=wire.DecideResponse.FromString,
    )
    several = channel.unary_unary(
        BATCH,
        request_serializer=wire.DecideBatchRequest.SerializeToString,
        response_deserializer=wire.DecideBatchResponse.FromString,
    )

    async def one(numbers: range) -> list[wire.Decision]:
        return [(await single(wire.DecideRequest(event=events.event(numbers[0])), **arguments)).decision]

    async def many(numbers: range) -> list[wire.Decision]:
        request = wire.DecideBatchRequest(events=[events.event(number) for number in numbers])
        results = (await several(request, **arguments)).results
        if any(result.HasField("error") for result in results):
            raise SystemExit(f"an event was refused: {results}"[:1000])
        return [result.decision for result in results]

    return one if job["batch"] == 1 else many


async def _run(job: dict[str, Any]) -> dict[str, float]:
    outcomes = Outcomes()
    kinds = {"closed": closed, "offered": offered}
    async with grpc.aio.insecure_channel(job["address"]) as channel:
        await kinds[job["kind"]](job, _call(channel, job), outcomes)
    for name in ("acknowledged", "refused"):
        Path(job["ledger"]).with_suffix(f".{name}").write_bytes(getattr(outcomes, name).tobytes())
    ordered = sorted(outcomes.latencies)
    return {
        "acknowledged": len(outcomes.acknowledged),
        "refused": len(outcomes.refused),
        "per_second": outcomes.good / job["seconds"],
        "offered_per_second": outcomes.offered / job["seconds"],
        "p50_ms": percentile(ordered, 0.50) * 1000,
        "p99_ms": percentile(ordered, 0.99) * 1000,
        "client_cpu": time.process_time(),
        **{name: getattr(outcomes, name) for name in ("sends", "hinted", "turned_away", "late", "next")},
    }


def main() -> None:
    """Do the job of the standard input."""
    print(json.dumps(uvloop.run(_run(json.load(sys.stdin)))))


if __name__ == "__main__":
    main()
