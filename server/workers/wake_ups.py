"""Sends wake-ups to the fleet, off the event loop and few of them however many are asked for."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from celery import Celery
from kombu.exceptions import OperationalError

from server.platform.logging import get_logger
from server.workers.routes import celery_queue_of, wake_up_of

_PAUSE_SECONDS: Final = 0.05
_EXPIRES_SECONDS: Final = 30


class SweepOnly:
    """Sends nothing: without a broker of its own, a server leaves its work to the sweep of the workers."""

    async def notify(self, queue: str) -> None:
        """Returns at once."""


class WakeUps:
    """Tells workers that a work queue has work.

    At most one message for each queue is published in 50 ms; what is asked for meanwhile joins the next one. The
    first one goes out at once. A broker that is away costs the event loop nothing, and the wake-up is dropped.

    Args:
        app: from `celery_app`.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._wanted: set[str] = set()
        self._publisher: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="leo-wake-ups")

    async def notify(self, queue: str) -> None:
        """Ask for a wake-up; returns at once.

        Args:
            queue: a work queue: a channel's name, or `dispatch`.
        """
        self._wanted.add(queue)
        if self._publisher is None:
            self._publisher = asyncio.create_task(self._publish_wanted())

    async def close(self) -> None:
        """Publish what was asked for, and end the thread."""
        while self._publisher is not None:
            await asyncio.wait([self._publisher])
        await asyncio.to_thread(self._thread.shutdown)

    async def _publish_wanted(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._wanted:
                queues, self._wanted = self._wanted, set()
                await loop.run_in_executor(self._thread, self._publish, queues)
                await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            self._publisher = None

    def _publish(self, queues: set[str]) -> None:
        try:
            for queue in sorted(queues):
                task, arguments = wake_up_of(queue)
                self._app.send_task(
                    task,
                    args=arguments,
                    queue=celery_queue_of(queue),
                    expires=_EXPIRES_SECONDS,
                    retry_policy={"max_retries": 1, "interval_start": 0},
                )
        except (OperationalError, OSError) as error:
            get_logger().warning("wake_up_lost", count=len(queues), exc_info=error)
