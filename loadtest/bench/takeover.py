"""The benchmark of a death: of three servers that share the shards of alerts one is killed; who answers, and when."""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import grpc
from leo.activation.v1 import alert_service_pb2 as wire
from leo.activation.v1 import alert_service_pb2_grpc

from loadtest.bench.benchmark import Benchmark, Sample, Sizes, interleaved
from loadtest.bench.driving import NotReconciled
from loadtest.bench.stage import Server, Stage
from loadtest.bench.tick_feed import IDLE_PRICE, NANOS, symbol
from loadtest.bench.tick_world import put_rules
from loadtest.bench.ticks import symbols_of
from loadtest.bench.world import World, fill, tenant_client
from server.platform.ids import symbol_shard

_SERVERS: Final = 3
_RULES: Final = 1_000_000
_PROFILES: Final = 1_000
_LONGEST_SECONDS: Final = 120.0
_PAUSE_SECONDS: Final = 0.1
_SHARDS_EACH: Final = range(64 // _SERVERS, -(-64 // _SERVERS) + 1)
_NOT_HERE: Final = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.FAILED_PRECONDITION}


@dataclass(frozen=True, slots=True)
class Probe:
    """Asks servers for the evaluation of one tick of a symbol of each shard.

    Args:
        names: symbols by shard.
        stubs: by address.
    """

    names: dict[int, str]
    stubs: dict[str, alert_service_pb2_grpc.AlertServiceAsyncStub]
    metadata: tuple[tuple[str, str], ...]

    async def owner(self, shard: int) -> str | None:
        """The address that evaluates a shard's ticks now; None while nobody does."""
        answers = await asyncio.gather(
            *(self._takes(stub, self.names[shard]) for stub in self.stubs.values())
        )
        return next((address for address, takes in zip(self.stubs, answers, strict=True) if takes), None)

    async def _takes(self, stub: alert_service_pb2_grpc.AlertServiceAsyncStub, name: str) -> bool:
        batch = wire.TickBatch(
            symbols=[name],
            symbol_indices=[0],
            price_nanos=[IDLE_PRICE * NANOS],
            observed_at_us=[int(time.time() * 1e6)],
        )
        try:
            answer = await stub.AlertEvaluate(
                wire.AlertEvaluateRequest(batch=batch), metadata=self.metadata, timeout=_LONGEST_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            if error.code() in _NOT_HERE:
                return False
            raise
        return answer.result.accepted_count == 1


async def _takeover(stage: Stage, sizes: Sizes) -> Sample:
    """Seconds from the kill until the last of its shards answers elsewhere."""
    symbols = symbols_of(sizes)
    async with stage.database() as database, AsyncExitStack() as servers:
        await fill(database, World(1, _PROFILES), definitions=False)
        await put_rules(database, rules=max(1_000, int(_RULES * sizes.share)), symbols=symbols)
        await stage.settle()
        running = [await servers.enter_async_context(stage.server(database)) for _ in range(_SERVERS)]
        async with _probe(stage, running, symbols) as probe:
            owners = await _shared(probe)
            waits = await _kill(probe, running[0], owners)
    return Sample(max(waits), {"median_s": statistics.median(waits), "shards": len(waits)})


@asynccontextmanager
async def _probe(stage: Stage, running: Sequence[Server], symbols: int) -> AsyncIterator[Probe]:
    names = {symbol_shard(symbol(number)): symbol(number) for number in range(symbols)}
    token = stage.token(tenant_client(0), ("alerts.write",))
    async with AsyncExitStack() as channels:
        stubs = {}
        for server in running:
            channel = await channels.enter_async_context(grpc.aio.insecure_channel(server.address))
            stubs[server.address] = alert_service_pb2_grpc.AlertServiceStub(channel)
        yield Probe(names, stubs, (("authorization", f"Bearer {token}"),))


async def _shared(probe: Probe) -> dict[int, str]:
    """Owners by shard, once each server has its third of them and evaluates."""
    deadline = time.perf_counter() + _LONGEST_SECONDS
    while time.perf_counter() < deadline:
        found = await asyncio.gather(*map(probe.owner, probe.names))
        owners = {shard: owner for shard, owner in zip(probe.names, found, strict=True) if owner}
        if len(owners) == len(probe.names) and _evenly(list(owners.values())):
            return owners
        await asyncio.sleep(_PAUSE_SECONDS)
    raise NotReconciled(f"three servers did not share the shards within {_LONGEST_SECONDS} s")


def _evenly(owners: Sequence[str]) -> bool:
    """Whether nobody has more than a third, and nobody none."""
    shares = [owners.count(address) for address in set(owners)]
    return len(shares) == _SERVERS and max(shares) <= _SHARDS_EACH[-1]


async def _kill(probe: Probe, victim: Server, owners: dict[int, str]) -> list[float]:
    """Seconds until somebody else answered, for each of the victim's shards."""
    del probe.stubs[victim.address]
    begin = time.perf_counter()
    os.kill(victim.process.pid, signal.SIGKILL)
    lost = [shard for shard, owner in owners.items() if owner == victim.address]
    return list(await asyncio.gather(*(_seconds_until_owned(probe, shard, begin) for shard in lost)))


async def _seconds_until_owned(probe: Probe, shard: int, begin: float) -> float:
    while (waited := time.perf_counter() - begin) < _LONGEST_SECONDS:
        if await probe.owner(shard):
            return waited
        await asyncio.sleep(_PAUSE_SECONDS)
    raise NotReconciled(f"nobody took shard {shard} within {_LONGEST_SECONDS} s")


BENCHMARKS = (Benchmark("alerts_takeover", "s", interleaved(_takeover)),)
