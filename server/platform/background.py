"""Work that goes on beside the calls of a process: started once, stopped once, and never dead in silence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
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
        _report(self._name, task)


class TaskSet:
    """Any number of short works that nobody awaits one by one: kept until they end, and waited for at the end.

    Args:
        name: tells them from others in the log.
        on_end: called when one of them has ended.
    """

    def __init__(self, name: str, *, on_end: Callable[[], object] = lambda: None) -> None:
        self._name = name
        self._on_end = on_end
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin one; an error that ends it is logged."""
        task = asyncio.create_task(work, name=self._name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def finish(self) -> None:
        """Wait until none is left; their errors are in the log."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        _report(self._name, task)
        self._on_end()


def _report(name: str, task: asyncio.Task[None]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None:
        get_logger().error("background_task_died", task=name, exc_info=error)
