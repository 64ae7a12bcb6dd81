"""Group commit: single events join whatever batch is forming.

While one batch commits, the next one collects. So the batch size follows the load, and an idle server
decides at once. Callers ask `line` first: what would wait too long is told to come back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import ceil
from uuid import UUID

from server.decisions.admission import Backlog
from server.decisions.model import DecisionRecord, Event
from server.decisions.pipeline import Answers, Batch
from server.decisions.waiting_line import WaitingLine
from server.errors import LeoError


@dataclass(frozen=True, slots=True)
class _Waiting:
    tenant_id: UUID
    event: Event
    answer: asyncio.Future[DecisionRecord]
    since: float


class BatchCollector:
    """Collects events of all callers into batches; `start` and `stop` run its lanes.

    Args:
        run: decides a batch.
        maximum_wait_seconds: an event that would wait longer is refused by `line`.
        lanes: batches that may be under way at once.
        maximum_batch: events of one batch at most.
    """

    def __init__(
        self,
        *,
        run: Callable[[Batch], Awaitable[Answers]],
        maximum_wait_seconds: float,
        lanes: int = 1,
        maximum_batch: int = 500,
    ) -> None:
        self._run = run
        self._lane_count = lanes
        self._maximum_batch = maximum_batch
        self.line = WaitingLine(
            "event", lanes=lanes, maximum_wait_seconds=maximum_wait_seconds, backlog=self.backlog
        )
        self._deciding: list[int] = []
        self._queue: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._lanes: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Open the lanes."""
        self._lanes = [asyncio.create_task(self._work()) for _ in range(self._lane_count)]

    async def stop(self) -> None:
        """Close the lanes. Callers that still wait are told that the server is away."""
        for lane in self._lanes:
            lane.cancel()
        await asyncio.gather(*self._lanes, return_exceptions=True)
        for waiting in self._queue:
            waiting.answer.cancel()
        self._queue.clear()

    def backlog(self) -> Backlog:
        """What waits and what is being decided, now."""
        while self._queue and self._queue[0].answer.done():
            self._queue.popleft()  # its caller has gone
        waiting = len(self._queue)
        return Backlog(
            waiting=waiting,
            events=waiting + sum(self._deciding),
            batches=ceil(waiting / self._maximum_batch) + len(self._deciding),
            oldest_seconds=_now() - self._queue[0].since if self._queue else 0.0,
        )

    async def decide(self, tenant_id: UUID, event: Event) -> DecisionRecord:
        """The recorded decision on one event.

        Raises:
            LeoError: why this event was refused, or the whole batch failed.
        """
        waiting = _Waiting(tenant_id, event, asyncio.get_running_loop().create_future(), _now())
        self._queue.append(waiting)
        self._arrived.set()
        return await waiting.answer

    async def _work(self) -> None:
        while True:
            await self._arrived.wait()
            batch = self._take()
            if batch:
                await self._decide(batch)

    def _take(self) -> list[_Waiting]:
        """The longest waiting events, one for each task: a repeated one stays for the next batch."""
        taken: dict[str, _Waiting] = {}
        left: list[_Waiting] = []
        while self._queue and len(taken) < self._maximum_batch:
            waiting = self._queue.popleft()
            if waiting.answer.done():
                continue  # its caller has gone: a deadline that passed is not worked on
            if waiting.event.task_id in taken:
                left.append(waiting)
            else:
                taken[waiting.event.task_id] = waiting
        self._queue.extendleft(reversed(left))
        if not self._queue:
            self._arrived.clear()
        return list(taken.values())

    async def _decide(self, taken: list[_Waiting]) -> None:
        batch: dict[UUID, list[Event]] = {}
        for waiting in taken:
            batch.setdefault(waiting.tenant_id, []).append(waiting.event)
        self._deciding.append(len(taken))
        try:
            with self.line.measured(len(taken), _now() - taken[0].since):
                answers = await self._run(batch)
        except asyncio.CancelledError:
            for waiting in taken:
                waiting.answer.cancel()
            if _is_stopping():
                raise
            return
        except Exception as error:
            for waiting in taken:
                _fail(waiting, error)
            return
        finally:
            self._deciding.remove(len(taken))
        for waiting in taken:
            _resolve(waiting, answers[waiting.event.task_id])


def _now() -> float:
    return asyncio.get_running_loop().time()


def _is_stopping() -> bool:
    """Whether this lane itself was cancelled. One call's cancellation must not close it for all others."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _resolve(waiting: _Waiting, answer: DecisionRecord | LeoError) -> None:
    if waiting.answer.done():
        return
    if isinstance(answer, LeoError):
        waiting.answer.set_exception(answer)
    else:
        waiting.answer.set_result(answer)


def _fail(waiting: _Waiting, error: Exception) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(error)
