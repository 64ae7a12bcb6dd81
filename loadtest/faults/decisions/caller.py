"""A caller as a process of its own: `python -m loadtest.faults.decisions.caller CONFIGURATION NAME LEDGER [OLD]`.

It asks over unary calls, batches and streams, repeats what fails until it is answered, and keeps its ledger. Told to
end (SIGTERM), it begins nothing new and ends when everything is answered. `OLD` is the ledger that its predecessor left
when it was killed: every second call that had no answer is repeated, the others are never heard of again.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import orjson

from loadtest.faults.decisions.calling import Calling, Configuration
from loadtest.faults.decisions.lanes import STREAM, Lane
from loadtest.faults.decisions.ledger import LedgerReader, LedgerWriter

_LOOK_SECONDS: Final = 1.0
_UNARY_LANES: Final = 3


async def run(calling: Calling, left: Iterable[tuple[str, Sequence[str]]]) -> None:
    """Call until told to end.

    Args:
        left: what a predecessor left unanswered: the tenant and the events.
    """
    async with asyncio.TaskGroup() as lanes:

        def begin(tenant: str, work: Callable[[Lane], Awaitable[None]]) -> None:
            lanes.create_task(_connected(calling, tenant, work))

        for tenant in calling.configuration.tokens:
            for number in range(_UNARY_LANES):
                begin(tenant, partial(Lane.unary, name=f"{calling.name}-unary-{number}"))
            begin(tenant, partial(Lane.batches, name=f"{calling.name}-batch"))
            begin(tenant, partial(Lane.stream, name=f"{calling.name}-{STREAM}"))
            begin(tenant, Lane.shared_events)
            begin(tenant, Lane.shared_batches)
        for tenant, source_event_ids in left:
            begin(tenant, partial(Lane.repeat, source_event_ids=source_event_ids))


async def _connected(calling: Calling, tenant: str, work: Callable[[Lane], Awaitable[None]]) -> None:
    lane = Lane(calling, tenant, calling.connect(tenant))
    try:
        await work(lane)
    finally:
        await lane.client.close()


async def _call(configuration: Configuration, name: str, path: Path, old_path: Path | None) -> None:
    calling = Calling(configuration, name, LedgerWriter(path), reverses=name.startswith("second"))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, calling.stopping.set)
    alone = asyncio.create_task(_end_when_alone())
    left: list[tuple[str, Sequence[str]]] = []
    if old_path is not None:
        old = LedgerReader(old_path)
        old.read()
        left = [(call.tenant, call.source_event_ids) for call in list(old.open_calls.values())[::2]]
    await run(calling, left)
    alone.cancel()


async def _end_when_alone() -> None:
    """A caller whose drill was killed has nobody to stop it."""
    drill = os.getppid()
    while os.getppid() == drill:  # noqa: ASYNC110 - another process changes it
        await asyncio.sleep(_LOOK_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    given, name, *paths = sys.argv[1:]
    configuration = Configuration(**orjson.loads(Path(given).read_bytes()))
    asyncio.run(_call(configuration, name, Path(paths[0]), Path(paths[1]) if paths[1:] else None))
