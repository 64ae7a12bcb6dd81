"""One event loop for the whole process, in a thread of its own; Celery's threads hand coroutines to it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import uvloop

_Result = TypeVar("_Result")


class EventLoopThread:
    """A uvloop that runs from `start` to `stop`."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="leo-event-loop", daemon=True)

    def start(self) -> None:
        """Let the loop run."""
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Run the coroutine on the loop and wait for it; call from any other thread.

        Raises:
            Exception: what the coroutine raises.
        """
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def tell(self, function: Callable[[], object]) -> None:
        """Call a plain function on the loop, without waiting; safe in signal handlers."""
        self._loop.call_soon_threadsafe(function)

    def stop(self) -> None:
        """End the loop; coroutines that still run are cancelled."""
        self.call(_cancel_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
