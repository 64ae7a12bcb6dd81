"""A queue's rule and its figures together: who may join, what it learns of each batch, what a scrape shows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from server.decisions.queue.admission import Admission, Backlog
from server.decisions.queue.telemetry import QueueTelemetry, Shape
from server.errors import Overloaded


class WaitingLine:
    """What stands in front of a queue, single events or batches of callers.

    Args:
        shape: which of the two, in figures.
        lanes: batches that may be under way at once.
        maximum_wait_seconds: while more work than this waits, more is refused.
        backlog: what the queue holds now.
    """

    def __init__(
        self, shape: Shape, *, lanes: int, maximum_wait_seconds: float, backlog: Callable[[], Backlog]
    ) -> None:
        self._admission = Admission(maximum_wait_seconds=maximum_wait_seconds, lanes=lanes)
        self._telemetry = QueueTelemetry(shape)
        self._backlog = backlog

    def admit(self, patience_seconds: float | None) -> None:
        """Ask before anything is done for a call whether it may wait.

        Args:
            patience_seconds: what is left of its deadline; None for no deadline.

        Raises:
            Overloaded: it would wait too long.
        """
        try:
            self._admission.check(self._backlog(), patience_seconds=patience_seconds)
        except Overloaded:
            self._telemetry.refused()
            raise

    @contextmanager
    def measured(self, events: int, waited_seconds: float) -> Iterator[None]:
        """Around the work on a batch. One that fails teaches nothing of how long work takes."""
        self._telemetry.begun(events, waited_seconds)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            yield
            self._admission.learn(events, loop.time() - begun)
        finally:
            self._telemetry.ended(loop.time() - begun)

    def sample(self) -> None:
        """Show what waits now."""
        self._telemetry.sample(self._backlog())
