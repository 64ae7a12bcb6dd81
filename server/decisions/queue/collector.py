"""Group commit: what callers ask for joins whatever batch is forming.

While one batch commits, the next one collects. So the batch size follows the load, and an idle server
decides at once. Callers ask `line` first: what would wait too long is told to come back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from math import ceil
from uuid import UUID

from server.decisions.model import Event
from server.decisions.pipeline import Answers, Batch
from server.decisions.queue.admission import Backlog, Work
from server.decisions.queue.telemetry import Shape
from server.decisions.queue.waiting_line import WaitingLine


@dataclass(frozen=True, slots=True)
class _Call:
    """What one caller asks for: events of distinct tasks, and the answers to all of them at once."""

    tenant_id: UUID
    events: Sequence[Event]
    answers: asyncio.Future[Answers]
    since: float


class BatchCollector:
    """Collects the events of all callers into batches; `start` and `stop` run its lanes.

    Args:
        shape: what callers bring, in figures.
        run: decides a batch.
        maximum_wait_seconds: while more work than this waits, `line` refuses more.
        lanes: batches that may be under way at once.
        maximum_batch: events of one batch at most, unless a single caller brings more.
    """

    def __init__(
        self,
        shape: Shape,
        *,
        run: Callable[[Batch], Awaitable[Answers]],
        maximum_wait_seconds: float,
        lanes: int,
        maximum_batch: int,
    ) -> None:
        self._run = run
        self._lane_count = lanes
        self._maximum_batch = maximum_batch
        self.line = WaitingLine(
            shape, lanes=lanes, maximum_wait_seconds=maximum_wait_seconds, backlog=self.backlog
        )
        self._deciding: list[int] = []
        self._queue: deque[_Call] = deque()
        self._waiting = 0
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
        for call in self._queue:
            call.answers.cancel()
        self._queue.clear()
        self._waiting = 0

    def backlog(self) -> Backlog:
        """What waits and what is being decided, now."""
        while self._queue and self._queue[0].answers.done():
            self._next()  # its caller has gone
        return Backlog(
            waiting=Work(batches=ceil(self._waiting / self._maximum_batch), events=self._waiting),
            deciding=Work(batches=len(self._deciding), events=sum(self._deciding)),
            oldest_seconds=_now() - self._queue[0].since if self._queue else 0.0,
        )

    async def decide(self, tenant_id: UUID, events: Sequence[Event]) -> Answers:
        """For each task id the recorded decision, or why this one event was refused.

        Args:
            events: of distinct tasks; they stay together and in their order.

        Raises:
            LeoError: the whole batch failed.
        """
        call = _Call(tenant_id, events, asyncio.get_running_loop().create_future(), _now())
        self._queue.append(call)
        self._waiting += len(events)
        self._arrived.set()
        return await call.answers

    async def _work(self) -> None:
        while True:
            await self._arrived.wait()
            calls = self._take()
            if calls:
                await self._decide(calls)

    def _take(self) -> list[_Call]:
        """The longest waiting calls, each task once: a call that repeats one stays for the next batch."""
        taken: list[_Call] = []
        tasks: set[str] = set()
        left: list[_Call] = []
        while self._queue and (not taken or len(tasks) + len(self._queue[0].events) <= self._maximum_batch):
            call = self._next()
            if call.answers.done():
                continue  # its caller has gone: a deadline that passed is not worked on
            if tasks.isdisjoint(event.task_id for event in call.events):
                taken.append(call)
                tasks.update(event.task_id for event in call.events)
            else:
                left.append(call)
        self._queue.extendleft(reversed(left))
        self._waiting += sum(len(call.events) for call in left)
        if not self._queue:
            self._arrived.clear()
        return taken

    def _next(self) -> _Call:
        call = self._queue.popleft()
        self._waiting -= len(call.events)
        return call

    async def _decide(self, calls: Sequence[_Call]) -> None:
        batch: dict[UUID, list[Event]] = {}
        for call in calls:
            batch.setdefault(call.tenant_id, []).extend(call.events)
        count = sum(map(len, batch.values()))
        self._deciding.append(count)
        try:
            with self.line.measured(count, _now() - calls[0].since):
                answers = await self._run(batch)
        except asyncio.CancelledError:
            for call in calls:
                call.answers.cancel()
            if _is_stopping():
                raise
            return
        except Exception as error:
            for call in calls:
                _fail(call, error)
            return
        finally:
            self._deciding.remove(count)
        for call in calls:
            _answer(call, answers)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _is_stopping() -> bool:
    """Whether this lane itself was cancelled. One call's cancellation must not close it for all others."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _answer(call: _Call, answers: Answers) -> None:
    if not call.answers.done():
        call.answers.set_result({event.task_id: answers[event.task_id] for event in call.events})


def _fail(call: _Call, error: Exception) -> None:
    if not call.answers.done():
        call.answers.set_exception(error)
