"""Work that goes on beside the calls of a process: started once, stopped once, and never dead in silence."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from server.platform.logging import get_logger


class BackgroundTask:
    """One coroutine that runs until `stop`.

    Args:
        name: tells it from others in the log.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._task: asyncio.Task[None] | None = None

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin; an error that ends the work is logged when it happens."""
        self._task = asyncio.create_task(work, name=self._name)
        self._task.add_done_callback(self._report)

    async def stop(self) -> None:
        """Cancel the work and wait for its end; nothing where it was never started."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _report(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            get_logger().error("background_task_died", task=self._name, exc_info=error)
