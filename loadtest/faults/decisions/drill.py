"""The drill from its first call to its last comparison."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import asyncpg
from rich.console import Console

from loadtest.faults.decisions.audit import (
    Key,
    Row,
    ask_again,
    decide_absent,
    ledger_faults,
    limit_faults,
    read_halves,
    read_rows,
    redis_reserves,
    refusal_faults,
)
from loadtest.faults.decisions.ledger import LedgerReader
from loadtest.faults.decisions.plan import Fault
from loadtest.faults.decisions.recovery import BOUND_SECONDS, Recovery, recover, seconds_until_served
from loadtest.faults.decisions.stage import Stage, end_calls, staged
from loadtest.faults.decisions.strikes import NotReached, Struck, strike
from loadtest.faults.decisions.unplanned import unplanned_ends
from server.embedded.errors import StackError

_READ_SECONDS: Final = 0.02
_PATIENCE_SECONDS: Final = 3.0
_WARM_UP_SECONDS: Final = 30.0
# What a dead process had reserved blocks for so long: the lease, and some time to spare.
_LEASE_SECONDS: Final = 11.0
# Rows are looked at again after each fault: those of the time in which it happened.
_RECENT: Final = timedelta(seconds=20)
_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Drill:
    """What has come of the drill so far.

    Args:
        struck: the latest fault.
        serving: for each fault, in how many seconds a call was answered after it.
        faults: what must not be, in words.
        checks: how often the database was searched for halves.
        rows: every decision, in the end.
        commits: how many batches each server process asked to commit.
        unanswered: events that were asked for and never answered, since their caller died.
        absent: how many of these were not recorded either.
        directory: where logs and ledgers are.
    """

    seed: int
    plan: list[Fault]
    struck: Struck | None = None
    serving: list[asyncio.Task[float | None]] = field(default_factory=list)
    recoveries: list[Recovery] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    checks: int = 0
    rows: dict[Key, Row] = field(default_factory=dict)
    ledgers: list[LedgerReader] = field(default_factory=list)
    commits: Counter[int] = field(default_factory=Counter)
    unanswered: int = 0
    absent: int = 0
    directory: Path = Path()
    seconds: float = 0.0


async def play(console: Console, drill: Drill) -> None:
    """Start everything, strike, compare; `drill` holds what came of it.

    Raises:
        StackError: something does not start.
        LeoApiError: the server refuses a call of the drill's own.
    """
    started = time.perf_counter()
    async with staged(drill.seed) as stage:
        async with _reading(stage):
            await _until_everyone_commits(stage)
            await _strike_all(console, stage, drill)
            drill.faults += await end_calls(stage)
        await _audit(stage, drill)
        drill.faults += unplanned_ends(stage, drill.plan)
        drill.ledgers, drill.commits = stage.ledgers, stage.traps.commits
        drill.directory = stage.directory
    drill.seconds = time.perf_counter() - started


@asynccontextmanager
async def _reading(stage: Stage) -> AsyncIterator[None]:
    """Follow the ledgers while the block runs."""

    async def follow() -> None:
        while True:
            for caller in stage.callers.values():
                caller.ledgers[-1].read()
            await asyncio.sleep(_READ_SECONDS)

    following = asyncio.create_task(follow())
    try:
        yield
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def _until_everyone_commits(stage: Stage) -> None:
    """Return once both server processes answer calls.

    Raises:
        StackError: they do not within half a minute.
    """
    if not await _until(lambda: len(stage.traps.commits) > 1, _WARM_UP_SECONDS):
        raise StackError(f"the callers get no answers; see {stage.directory / 'callers.log'}")


async def _until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:  # noqa: ASYNC110 - others change it
        await asyncio.sleep(_READ_SECONDS)
    return condition()


async def _strike_all(console: Console, stage: Stage, drill: Drill) -> None:
    """One fault after the other. Most wait until calls are answered again; some come at once, never two in a row."""
    watching: list[asyncio.Task[None]] = []
    started = time.monotonic()
    for fault in drill.plan:
        if not fault.overlaps:
            await asyncio.gather(*drill.serving)
            await _everything_back(watching)
        await asyncio.sleep(fault.pause_seconds)
        try:
            struck = await strike(stage, fault)
        except NotReached as error:
            drill.faults.append(f"fault {fault.number}: {error}")
            break
        console.print(f"{struck.at - started:7.2f} s  {fault.number:3}  {fault.name}", highlight=False)
        drill.struck = struck
        drill.serving.append(asyncio.create_task(seconds_until_served(stage, struck)))
        watching.append(asyncio.create_task(_watch(stage, drill, struck, drill.serving[-1])))
    await asyncio.gather(*watching)


async def _everything_back(watching: Sequence[asyncio.Task[None]]) -> None:
    """Return once every process decides again, but do not wait for it long."""
    if watching:
        await asyncio.wait(watching, timeout=_PATIENCE_SECONDS)


async def _watch(stage: Stage, drill: Drill, struck: Struck, served: asyncio.Task[float | None]) -> None:
    recovery = await recover(stage, struck, served, lambda: drill.struck is not struck)
    drill.recoveries.append(recovery)
    name = f"fault {struck.fault.number}, {struck.fault.name}"
    if recovery.served is None:
        drill.faults.append(f"{name}: no call was answered within {BOUND_SECONDS:g} s")
    elif recovery.whole is None and not recovery.disturbed:
        drill.faults.append(f"{name}: not every server process decided again within {BOUND_SECONDS:g} s")
    # PostgreSQL may be away again: then the next look sees the same rows.
    with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        async with _connected(stage) as connection:
            found = await read_halves(connection, datetime.now(UTC) - _RECENT)
            drill.checks += 1
            drill.faults += [f"{name}: {half}" for half in found]


@asynccontextmanager
async def _connected(stage: Stage) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(stage.addresses.database.superuser_url)
    try:
        yield connection
    finally:
        await connection.close()


async def _audit(stage: Stage, drill: Drill) -> None:
    """Everything that is compared when nobody calls any more."""
    acknowledged = [entry for ledger in stage.ledgers for entry in ledger.acknowledged]
    refused = [entry for ledger in stage.ledgers for entry in ledger.refused]
    drill.faults += [text for ledger in stage.ledgers for text in ledger.wrong]
    async with _connected(stage) as connection:
        rows = await read_rows(connection)
        drill.faults += ledger_faults(acknowledged, rows) + refusal_faults(refused, rows) + limit_faults(rows)
        drill.faults += await read_halves(connection, _BEGINNING)
        drill.checks += 1
        await _settle(stage, drill, rows)
        drill.rows = await read_rows(connection)
        drill.faults += limit_faults(drill.rows) + await read_halves(connection, _BEGINNING)
        drill.faults += [
            f"{key[1]} was changed afterwards" for key in rows if drill.rows.get(key) != rows[key]
        ]
        if not await redis_reserves(connection):
            drill.faults.append("the servers did not go back to Redis")


async def _settle(stage: Stage, drill: Drill, rows: dict[Key, Row]) -> None:
    """What had no answer is either whole, and then answered as it stands, or absent, and then decided now."""
    unanswered = {
        (call.tenant, source_event_id)
        for ledger in stage.ledgers
        for call in ledger.open_calls.values()
        for source_event_id in call.source_event_ids
    }
    acknowledged = {(a.tenant, a.source_event_id) for ledger in stage.ledgers for a in ledger.acknowledged}
    open_ended = sorted(unanswered - acknowledged)
    recorded = [key for key in open_ended if key in rows]
    absent = [key for key in open_ended if key not in rows]
    drill.unanswered, drill.absent = len(open_ended), len(absent)
    drill.faults += await ask_again(stage, recorded, rows)
    last = max((recovery.struck.at for recovery in drill.recoveries), default=0.0)
    await asyncio.sleep(max(0.0, last + _LEASE_SECONDS - time.monotonic()))
    drill.faults += await decide_absent(stage, absent, rows)
