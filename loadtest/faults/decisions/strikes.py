"""Carries out one fault."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import redis.asyncio
import redis.exceptions

from loadtest.faults.decisions.caller_process import CallerProcess
from loadtest.faults.decisions.plan import Fault, FaultPoint
from loadtest.faults.decisions.stage import Stage

# A point is passed many times a second; only what is away altogether keeps it from being reached.
_REACH_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.01


Found = TypeVar("Found")


class NotReached(Exception):
    """Nothing came to the point, or what was to be struck never ran."""


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault that happened.

    Args:
        at: when, by the monotonic clock.
        caller: name of the caller that was killed, if one was.
    """

    fault: Fault
    at: float
    caller: str | None = None


async def strike(stage: Stage, fault: Fault) -> Struck:
    """Do it, as soon as what is struck runs.

    Raises:
        NotReached: that was not within half a minute.
    """
    if isinstance(fault.what, FaultPoint):
        sprung = await stage.traps.spring(fault.what, _REACH_SECONDS)
        if sprung is None:
            raise NotReached(f"{fault.name} was never reached")
        return Struck(fault, sprung.at)
    if fault.what == "caller":
        caller = await _kill_caller(stage, fault.number)
        return Struck(fault, time.monotonic(), caller.name)
    await _STRIKES[fault.what](stage, random.Random(f"{stage.configuration.seed}/{fault.number}"))
    return Struck(fault, time.monotonic())


async def _kill_one_server(stage: Stage, chance: random.Random) -> None:
    pids = await _until(lambda: [pid for pid in stage.server_pids() if stage.traps.commits[pid]])
    _kill_servers(stage, [chance.choice(pids)])


async def _kill_all_servers(stage: Stage, _chance: random.Random) -> None:
    parent = await _until(lambda: stage.serve.pid)
    children = stage.server_pids()
    os.kill(parent, signal.SIGKILL)
    _kill_servers(stage, children)


def _kill_servers(stage: Stage, pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        stage.traps.killed.add(pid)


async def _stop_postgres(stage: Stage, _chance: random.Random) -> None:
    """PostgreSQL's immediate stop: every session is ended at once, and the next start recovers."""
    os.kill(await _until(lambda: stage.postgres.pid), signal.SIGQUIT)


async def _kill_postgres(stage: Stage, _chance: random.Random) -> None:
    os.kill(await _until(lambda: stage.postgres.pid), signal.SIGKILL)


async def _kill_redis(stage: Stage, _chance: random.Random) -> None:
    os.kill(await _until(lambda: stage.redis.pid), signal.SIGKILL)


async def _empty_redis(stage: Stage, _chance: random.Random) -> None:
    async with redis.asyncio.Redis.from_url(stage.addresses.redis_url) as client:
        deadline = time.monotonic() + _REACH_SECONDS
        while time.monotonic() < deadline:
            try:
                await client.flushall()
            except (redis.exceptions.ConnectionError, OSError):
                await asyncio.sleep(_LOOK_SECONDS)
            else:
                return
    raise NotReached("Redis did not come back to be emptied")


_STRIKES: Final[dict[str, Callable[[Stage, random.Random], Awaitable[None]]]] = {
    "server": _kill_one_server,
    "all servers": _kill_all_servers,
    "PostgreSQL stopped": _stop_postgres,
    "PostgreSQL killed": _kill_postgres,
    "Redis killed": _kill_redis,
    "Redis emptied": _empty_redis,
}


async def _kill_caller(stage: Stage, number: int) -> CallerProcess:
    """Kill a caller whose stream waits for an answer, and start its successor."""
    caller = list(stage.callers.values())[number % len(stage.callers)]
    deadline = time.monotonic() + _REACH_SECONDS
    while time.monotonic() < deadline:
        caller.ledgers[-1].read()
        if caller.has_message_under_way:
            caller.kill()
            caller.ledgers[-1].read()
            was_under_way = caller.has_message_under_way
            caller.start()
            if was_under_way:
                return caller
        await asyncio.sleep(_LOOK_SECONDS)
    raise NotReached(f"caller {caller.name} never had a message under way")


async def _until(look: Callable[[], Found | None]) -> Found:
    """What is looked for, once it is there."""
    deadline = time.monotonic() + _REACH_SECONDS
    while time.monotonic() < deadline:
        if found := look():
            return found
        await asyncio.sleep(_LOOK_SECONDS)
    raise NotReached("what was to be struck never ran")
