"""The process that sends profiles and events: reads a job from its input, writes a report to its output, both JSON.

What it sends was written to a file before, as whole messages, so that making them costs nothing while it is measured.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import struct
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
import uvloop
from google.protobuf.message import Message
from leo.activation.v1 import profile_service_pb2 as wire

_SERVICE: Final = "/leo.activation.v1.ProfileService"
_LENGTH: Final = struct.Struct("!I")
_OPTIONS: Final = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]


@dataclass(slots=True)
class Tally:
    """What was answered: sums of the numbers in answers, refusals, and the time of each call in milliseconds."""

    sums: dict[str, int] = field(default_factory=dict)
    refused: int = 0
    times: list[float] = field(default_factory=list)

    def add(self, answer: Any) -> None:
        """Count an answer."""
        for name in ("created", "updated", "unchanged", "stale", "recorded", "known"):
            if hasattr(answer, name):
                self.sums[name] = self.sums.get(name, 0) + getattr(answer, name)
        if hasattr(answer, "refused"):
            self.refused += len(answer.refused)
        for result in getattr(answer, "results", ()):
            name = wire.ProfileWriteOutcome.Name(result.outcome).rpartition("_")[2].lower()
            self.sums[name] = self.sums.get(name, 0) + 1


def write_messages(path: Path, messages: Iterable[Message]) -> int:
    """Write messages to a file, each after its length; how many there were."""
    count = 0
    with path.open("wb") as file:
        for message in messages:
            data = message.SerializeToString()
            file.write(_LENGTH.pack(len(data)) + data)
            count += 1
    return count


def read_messages(path: Path) -> Iterator[bytes]:
    """The messages of a file."""
    with path.open("rb") as file:
        while head := file.read(_LENGTH.size):
            yield file.read(*_LENGTH.unpack(head))


async def import_profiles(job: dict[str, Any]) -> Tally:
    """Send the file over some streams at once, each with its connection; parts go to whichever is free."""
    tally = Tally()
    waiting = read_messages(Path(job["path"]))
    await asyncio.gather(*(_import_stream(job, waiting, tally) for _ in range(job["streams"])))
    return tally


async def _import_stream(job: dict[str, Any], waiting: Iterator[bytes], tally: Tally) -> None:
    room = asyncio.Semaphore(job["ahead"])

    async def messages() -> AsyncIterator[bytes]:
        for message in waiting:
            await room.acquire()
            yield message

    async with grpc.aio.insecure_channel(job["address"], _OPTIONS) as channel:
        call = channel.stream_stream(
            f"{_SERVICE}/ImportProfiles", response_deserializer=wire.ImportProfilesResponse.FromString
        )
        async for answer in call(messages(), metadata=_bearer(job)):
            tally.add(answer)
            room.release()


async def call_each(job: dict[str, Any]) -> Tally:
    """Send each message of the file as a call of its own, some at once."""
    answer_type = {"UpsertProfiles": wire.UpsertProfilesResponse, "IngestEvents": wire.IngestEventsResponse}
    tally = Tally()
    waiting = read_messages(Path(job["path"]))

    async def caller() -> None:
        async with grpc.aio.insecure_channel(job["address"], _OPTIONS) as channel:
            call = channel.unary_unary(
                f"{_SERVICE}/{job['method']}", response_deserializer=answer_type[job["method"]].FromString
            )
            for message in waiting:
                begin = time.perf_counter()
                answer = await call(message, metadata=_bearer(job), timeout=120)
                tally.times.append((time.perf_counter() - begin) * 1000)
                tally.add(answer)

    await asyncio.gather(*(caller() for _ in range(job["streams"])))
    return tally


def _bearer(job: dict[str, Any]) -> tuple[tuple[str, str]]:
    return (("authorization", f"Bearer {job['token']}"),)


async def _run(job: dict[str, Any]) -> dict[str, float]:
    begin, cpu = time.perf_counter(), time.process_time()
    tally = await (import_profiles(job) if job["method"] == "ImportProfiles" else call_each(job))
    report: dict[str, float] = {
        **tally.sums,
        "refused": tally.refused,
        "seconds": time.perf_counter() - begin,
        "client": time.process_time() - cpu,
    }
    if tally.times:
        centiles = statistics.quantiles([*tally.times, *tally.times], n=100)
        report |= {"p50_ms": statistics.median(tally.times), "p99_ms": centiles[98]}
    return report


if __name__ == "__main__":
    print(json.dumps(uvloop.run(_run(json.load(sys.stdin)))))
