"""When what is looked after. The schedule runs in every worker process: each of its tasks may run twice."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any, Final

from celery import Celery
from celery.beat import Scheduler, Service

from server.platform.logging import get_logger
from server.reports.jobs import COUNT_EVERY, RECONCILE_EVERY
from server.workers.routes import CeleryQueue, TaskName

_EVERY: Final[dict[TaskName, timedelta]] = {
    TaskName.SWEEP: timedelta(seconds=1),
    # Profiles queue their jobs without a word, and wake-ups for news may be lost.
    TaskName.EMBED: timedelta(seconds=2),
    TaskName.QUEUE_ACTIVE_PROFILES: timedelta(minutes=1),
    TaskName.APPEND_SNAPSHOTS: timedelta(seconds=10),
    # Which tenants' rounds are due is decided for each: some minutes after the last one, or after a definition.
    TaskName.EVALUATE_SEGMENTS: timedelta(seconds=10),
    TaskName.COUNT_EXPERIMENTS: timedelta(minutes=1),
    TaskName.EXPIRE_RULES: timedelta(seconds=10),
    TaskName.COUNT_DELIVERIES: COUNT_EVERY,
    TaskName.RECONCILE_COUNTS: RECONCILE_EVERY,
    TaskName.ENSURE_MONTHS: timedelta(hours=1),
    # Each source has a frequency of its own; whoever asks for a run now waits for this at most.
    TaskName.SYNC_SOURCES: timedelta(seconds=1),
    # A month that somebody holds at this moment stays until the next run.
    TaskName.DROP_MONTHS: timedelta(minutes=10),
    # What is due is decided for each token: twelve hours after the last time, or before it ends.
    TaskName.RENEW_TOKENS: timedelta(minutes=1),
}
_ELSEWHERE: Final = {
    TaskName.RENEW_TOKENS: CeleryQueue.SYNC,
    TaskName.SYNC_SOURCES: CeleryQueue.SYNC,
    TaskName.EMBED: CeleryQueue.AI,
}
_LONGEST_SLEEP_SECONDS: Final = 1
_PAUSE_SECONDS: Final = 1.0


def entries() -> dict[str, dict[str, Any]]:
    """The schedule in Celery's terms. What waited longer than its interval is dropped: the next one is due."""
    return {
        task.value: {
            "task": task.value,
            "schedule": interval,
            "options": {
                "queue": _ELSEWHERE.get(task, CeleryQueue.MAINTENANCE).value,
                "expires": max(interval.total_seconds(), 2.0),
                "retry_policy": {"max_retries": 2, "interval_start": 0, "interval_max": 1},
            },
        }
        for task, interval in _EVERY.items()
    }


class ScheduleThread:
    """Celery's beat in a thread of the worker process; it keeps its state in memory."""

    def __init__(self, app: Celery) -> None:
        app.conf.beat_schedule = entries()
        self._app = app
        self._stopped = threading.Event()
        self._service = self._new_service()
        self._thread = threading.Thread(target=self._run, name="leo-schedule", daemon=True)

    def start(self) -> None:
        """Publish what is due from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Publish nothing more."""
        self._stopped.set()
        self._service.stop(wait=False)

    def _run(self) -> None:
        """A fault of the schedule ends one beat, not the schedule."""
        while not self._stopped.is_set():
            try:
                self._service.start()
            except Exception as error:
                get_logger().error("schedule_failed", exc_info=error)
                self._service = self._new_service()
                self._stopped.wait(_PAUSE_SECONDS)

    def _new_service(self) -> Service:
        return Service(self._app, max_interval=_LONGEST_SLEEP_SECONDS, scheduler_cls=Scheduler)
