"""One worker process: Celery's threads take wake-ups, one event loop does the work."""

from __future__ import annotations

import logging
import os
import socket
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

from celery import Celery, signals

from server.config import WorkerSettings
from server.errors import LeoError
from server.platform.garbage import spare_what_lives_long
from server.platform.logging import configure_logging, get_logger
from server.workers.broker import celery_app
from server.workers.composition import Worker, running_worker
from server.workers.event_loop import EventLoopThread
from server.workers.routes import CeleryQueue, TaskName
from server.workers.schedule import ScheduleThread

Work = Callable[..., Coroutine[Any, Any, None]]


def work(settings: WorkerSettings) -> None:
    """Serve wake-ups and run the schedule until SIGTERM or SIGINT. Blocks; finishes what it sends.

    Raises:
        UnsafeRole: the database role could bypass row-level security.
        Unavailable: PostgreSQL or Redis can not be reached.
    """
    configure_logging(level=settings.log_level)
    app = celery_app(settings.broker_url.get_secret_value())
    loop = EventLoopThread()
    loop.start()
    running = running_worker(settings, app)
    worker = loop.call(running.__aenter__())
    try:
        register_tasks(app, loop, worker)
        _serve(app, loop, worker, settings.worker_threads)
    finally:
        loop.call(_leave(running))
        loop.stop()
        get_logger().info("worker_stopped", pid=os.getpid())


def register_tasks(app: Celery, loop: EventLoopThread, worker: Worker) -> None:
    """Give the app its tasks."""
    bodies: dict[TaskName, Work] = {
        TaskName.DELIVER: worker.dispatch.deliver,
        TaskName.DECIDE_FIRINGS: worker.alerts.decide_firings,
        TaskName.END_SILENCES: worker.alerts.end_silences,
        TaskName.EXPIRE_RULES: worker.alerts.expire_rules,
        TaskName.GO_ON_ERASING: worker.erasures.go_on,
        TaskName.CARRY_OUT_PLANS: worker.dispatch.carry_out_plans,
        TaskName.SWEEP: worker.sweep.run,
        TaskName.ENSURE_MONTHS: worker.months.run,
        TaskName.DROP_MONTHS: worker.retention.run,
        TaskName.APPEND_SNAPSHOTS: worker.snapshots.run,
        TaskName.COUNT_EXPERIMENTS: worker.experiments.count,
        TaskName.RENEW_TOKENS: worker.credentials.renew_due,
        TaskName.MATCH_RECEIPTS: worker.receipts.match_again,
        TaskName.COUNT_DELIVERIES: worker.reports.count,
        TaskName.RECONCILE_COUNTS: worker.reports.reconcile,
        TaskName.EMBED: worker.embeddings.run,
        TaskName.QUEUE_ACTIVE_PROFILES: worker.behaviour.run,
        TaskName.EVALUATE_SEGMENTS: worker.segment_rounds.run,
        TaskName.DECIDE_SEGMENT_CHANGES: worker.segment_changes.decide_changes,
        TaskName.SYNC_SOURCES: worker.sync.sync_due,
    }
    for name, body in bodies.items():
        app.task(name=name.value)(_on_loop(name, loop, body))


def _on_loop(name: TaskName, loop: EventLoopThread, body: Work) -> Callable[..., None]:
    """The task's body: it holds one of Celery's threads until the loop has done the work.

    No fault ends the worker. What was left undone is still in PostgreSQL, and the next sweep finds it.
    """

    def run(*arguments: str) -> None:
        try:
            loop.call(body(*arguments))
        except LeoError as error:
            get_logger().warning("work_waits", job=name.value, reason=error.reason)
        except Exception as error:
            get_logger().error("work_failed", job=name.value, exc_info=error)

    return run


def _serve(app: Celery, loop: EventLoopThread, worker: Worker, threads: int) -> None:
    def stop(**_: Any) -> None:
        schedule.stop()
        loop.tell(worker.dispatch.stop)
        loop.tell(worker.sync.stop)

    def announce(**_: Any) -> None:
        spare_what_lives_long()
        get_logger().info("working", pid=os.getpid())

    # It is about pickled messages; wake-ups are JSON, and carry a queue's name.
    warnings.filterwarnings("ignore", message=r"\s*You're running the worker with superuser privileges")
    schedule = ScheduleThread(app)
    signals.setup_logging.connect(_keep_our_logging)
    signals.worker_ready.connect(announce, weak=False)
    signals.worker_shutting_down.connect(stop, weak=False)
    consumer = app.Worker(
        hostname=f"leo-{os.getpid()}@{socket.gethostname()}",
        pool="threads",
        concurrency=threads,
        queues=[queue.value for queue in CeleryQueue],
        beat=False,
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    schedule.start()
    consumer.start()


def _keep_our_logging(**_: Any) -> None:
    """With a receiver on `setup_logging`, Celery leaves logging as it is. Wake-ups are too many to be told."""
    logging.getLogger("celery").setLevel(logging.WARNING)


async def _leave(running: Any) -> None:
    await running.__aexit__(None, None, None)
