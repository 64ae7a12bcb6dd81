"""The drill: decisions go on, three workers carry them out, and one after the other is killed."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
from leo_client import LeoClient

from loadtest.bench.dispatch_world import KEYS, fill_for_dispatch
from loadtest.bench.stage import Server, Stage, environment
from loadtest.faults.workers.audit import QUERIES, Audit, audit
from loadtest.faults.workers.caller import Caller
from loadtest.faults.workers.provider import Desk, Provider
from loadtest.faults.workers.slot import LEASE_SECONDS, SEND_SECONDS, NotReached, Slot
from loadtest.faults.workers.steps import Strike, draw_strikes
from server.embedded.database_setup import DatabaseUrls
from tests.workers.holding_proxy import HoldingProxy

WORKERS: Final = 3
_PER_SECOND: Final = 60.0
_CLIENT: Final = "bench-0"
_SETTLE_SECONDS: Final = 300.0
_LOOK_SECONDS: Final = 0.2
_NEVER: Final = 1_000
# An event of a channel's own type is answered over that channel.
_TRIGGERS: Final = "update marketing_event set trigger_event_type = event_channel"


@dataclass(slots=True)
class Played:
    """What came of it.

    Args:
        kills: how many workers were killed at each step.
        acknowledged: how many decisions to send were answered.
        requests: how many messages the providers got.
    """

    kills: Counter[str]
    acknowledged: int
    requests: int
    audit: Audit


async def play(stage: Stage, directory: Path, *, seed: int, kills: int) -> Played:
    """Kill so many workers, let the last ones finish, and compare.

    Args:
        directory: where logs go.

    Raises:
        NotReached: a worker did not come to a step, or ended by itself.
    """
    async with stage.database() as database:
        await fill_for_dispatch(database)
        proof = await asyncpg.connect(database.proof_url)
        await proof.execute(_TRIGGERS)
        async with stage.server(database) as server, AsyncExitStack() as stack:
            provider = Provider(random.Random(seed))
            slots = [
                await stack.enter_async_context(_slot(stage, database, provider, directory, number))
                for number in range(WORKERS)
            ]
            caller = _caller(stage, server, seed)
            stack.push_async_callback(caller.client.close)
            await _struck(slots, caller, draw_strikes(seed, kills))
            await _settled(proof, slots)
            found = await audit(proof, caller.acknowledged, provider.taken)
        await proof.close()
    struck = sum((slot.struck for slot in slots), Counter[str]())
    return Played(struck, len(caller.acknowledged), provider.taken.total(), found)


async def _struck(slots: list[Slot], caller: Caller, strikes: Iterator[Strike]) -> None:
    """Every slot takes the next strike that is left, while the caller goes on."""
    stopping = asyncio.Event()
    try:
        async with asyncio.TaskGroup() as group:
            calling = group.create_task(caller.run(stopping))
            await asyncio.gather(*(slot.play(strikes) for slot in slots))
            stopping.set()
            await calling
    except* NotReached as missed:
        raise missed.exceptions[0] from None


async def _settled(proof: asyncpg.Connection, slots: list[Slot]) -> None:
    """Let workers that nobody strikes carry out what is left.

    Raises:
        NotReached: something is left after five minutes.
    """
    for slot in slots:
        slot.serve()
    try:
        async with asyncio.timeout(_SETTLE_SECONDS):
            while await proof.fetchval(QUERIES["pending"]):  # noqa: ASYNC110 - others change it
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError:
        raise NotReached("deliveries are left that no worker carries out") from None


@asynccontextmanager
async def _slot(
    stage: Stage, database: DatabaseUrls, provider: Provider, directory: Path, number: int
) -> AsyncIterator[Slot]:
    desk = Desk(provider)
    await desk.open()
    variables = {
        **environment(),
        **stage.worker_variables,
        "LEO_CREDENTIAL_KEYS": KEYS,
        "LEO_LEASE_SECONDS": str(LEASE_SECONDS),
        "LEO_SEND_SECONDS": str(SEND_SECONDS),
        "LEO_RETRY_SECONDS": "0.1",
        # Silent providers are the drill's doing: a circuit that opens for them would only end the work.
        "LEO_CIRCUIT_FAILURES": str(_NEVER),
    }
    async with HoldingProxy(database.worker_url) as proxy:
        slot = Slot(f"worker-{number}", proxy, desk, variables, directory)
        try:
            yield slot
        finally:
            slot.kill()
            await desk.close()


def _caller(stage: Stage, server: Server, seed: int) -> Caller:
    token = stage.token(_CLIENT, ("decisions.write",))
    return Caller(LeoClient(server.address, token=token), random.Random(seed), _PER_SECOND)
