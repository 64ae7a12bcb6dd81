"""Servers as processes of their own, each on a port of its own, and load that asks them."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from leo.activation.v1 import decision_service_pb2 as wire
from leo_client import LeoClient
from leo_client.errors import Unavailable

from server.config import ServerSettings

_TRIES = 40


@dataclass(slots=True)
class ServingProcess:
    """A server that answers on `address`.

    Args:
        fresh: ids of the events that it decided first.
        log: what it has logged so far.
    """

    process: asyncio.subprocess.Process
    address: str
    client: LeoClient
    fresh: list[str] = field(default_factory=list)
    log: list[dict[str, object]] = field(default_factory=list)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    async def decide(self, event: wire.Event) -> wire.Decision:
        """Decide by a unary call; while something behind the server is away the call is made again."""
        for _ in range(_TRIES):
            try:
                decision = (await self.client.decisions.Decide(wire.DecideRequest(event=event))).decision
            except Unavailable:
                continue
            if not decision.duplicate:
                self.fresh.append(decision.source_event_id)
            return decision
        raise GaveUp

    async def decide_all(self, events: Sequence[wire.Event]) -> list[wire.Decision]:
        """Decide all at once, each in a call of its own."""
        return list(await asyncio.gather(*map(self.decide, events)))


class GaveUp(Exception):
    """The server never came back."""


@asynccontextmanager
async def serving(
    settings: ServerSettings, token: str, module: str = "tests.rpc.serving_process"
) -> AsyncIterator[ServingProcess]:
    """A server process with this configuration, killed in the end unless it has ended."""
    environment = {
        f"LEO_{name.upper()}": str(getattr(value, "get_secret_value", lambda value=value: value)())
        for name, value in settings
        if value is not None
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module),
        env={"PYTHONPATH": ":".join(sys.path), **environment},
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        address = await _address(process.stderr)
        log: list[dict[str, object]] = []
        reader = asyncio.create_task(_read(process.stderr, log))
        async with LeoClient(address, token=token) as client:
            yield ServingProcess(process, address, client, log=log)
        if process.returncode is None:
            process.kill()
        await reader
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _address(log: asyncio.StreamReader) -> str:
    seen = []
    async for line in log:
        seen.append(line.decode())
        if line.startswith(b"{") and (entry := json.loads(line))["event"] == "serving":
            return str(entry["address"])
    raise AssertionError("the server did not start:\n" + "".join(seen))


async def _read(lines: asyncio.StreamReader, log: list[dict[str, object]]) -> None:
    async for line in lines:
        if line.startswith(b"{"):
            log.append(json.loads(line))


def purchases(profile_id: str, moments: Iterable[datetime], prefix: str = "") -> list[wire.Event]:
    """A purchase at each moment."""
    return [event(f"{prefix}{position}", profile_id, at) for position, at in enumerate(moments)]


def event(source_event_id: str, profile_id: str, at: datetime, event_type: str = "purchase") -> wire.Event:
    """Something that happened to a profile at a moment."""
    message = wire.Event(source_event_id=source_event_id, profile_id=profile_id, event_type=event_type)
    message.occurred_at.FromDatetime(at)
    return message


def started(
    servers: Sequence[ServingProcess], events: Sequence[wire.Event]
) -> list[asyncio.Task[wire.Decision]]:
    """Calls for all events, shared by the servers; 64 at once for each."""
    gates = [asyncio.Semaphore(64) for _ in servers]

    async def call(position: int, given: wire.Event) -> wire.Decision:
        async with gates[position % len(servers)]:
            return await servers[position % len(servers)].decide(given)

    return [asyncio.create_task(call(position, given)) for position, given in enumerate(events)]


async def at_half(calls: Sequence[asyncio.Task[wire.Decision]], act: Callable[[], object]) -> None:
    """Act when half of the calls are answered and the others are not."""
    half = asyncio.Event()
    answered = 0

    def count(_: object) -> None:
        nonlocal answered
        answered += 1
        if answered >= len(calls) // 2:
            half.set()

    for call in calls:
        call.add_done_callback(count)
    await half.wait()
    await asyncio.to_thread(act)
