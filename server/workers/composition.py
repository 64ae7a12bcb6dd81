"""Composition root of a worker: builds everything on its event loop, and takes it down in the reverse order."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from email.headerregistry import Address
from email.utils import parseaddr

from celery import Celery

from server.alerts.jobs import AlertJobs
from server.alerts.store import AlertStore
from server.config import WorkerSettings
from server.decisions.assembly import running_decisions
from server.dispatch.channels.channel import Channel
from server.dispatch.channels.email_smtp import EmailSmtp
from server.dispatch.channels.smtp_pool import Relay, SmtpPool
from server.dispatch.delivery_runner import DeliveryLimits, DeliveryRunner
from server.dispatch.delivery_store import DeliveryStore
from server.dispatch.jobs import DispatchJobs
from server.dispatch.outcomes import RetryPolicy
from server.dispatch.plan_runner import Decider, PlanRunner
from server.dispatch.plan_store import PlanStore
from server.dispatch.preparation import Preparation
from server.dispatch.recorder import StepRecorder
from server.platform.postgres import Database
from server.platform.redis import RedisPool
from server.workers.sweep import Sweep
from server.workers.upkeep import MonthUpkeep, SnapshotUpkeep
from server.workers.wake_ups import WakeUps


@dataclass(frozen=True, slots=True)
class Worker:
    """What Celery's tasks call."""

    dispatch: DispatchJobs
    alerts: AlertJobs
    sweep: Sweep
    months: MonthUpkeep
    snapshots: SnapshotUpkeep


@asynccontextmanager
async def running_worker(settings: WorkerSettings, app: Celery) -> AsyncIterator[Worker]:
    """Everything that a worker needs, while the block runs.

    Args:
        app: sends the wake-ups of the sweep.

    Raises:
        UnsafeRole: the database role could bypass row-level security.
        Unavailable: PostgreSQL or Redis can not be reached.
    """
    async with AsyncExitStack() as stack:
        database = await _open_database(settings, stack)
        redis = await RedisPool.connect(settings.redis_url.get_secret_value(), client_name="leo-worker")
        stack.push_async_callback(redis.close)
        wake_ups = WakeUps(app)
        stack.push_async_callback(wake_ups.close)
        decisions = await stack.enter_async_context(
            running_decisions(database=database, redis=redis, wake_up=wake_ups)
        )
        months = MonthUpkeep(database=database)
        await months.run()
        yield Worker(
            dispatch=_dispatch_jobs(settings, database, await _channels(settings, stack), decisions),
            alerts=AlertJobs(
                database=database,
                store=AlertStore(),
                decider=decisions,
                lease_seconds=settings.lease_seconds,
                worker=_worker_name(),
            ),
            sweep=Sweep(database=database, wake_ups=wake_ups),
            months=months,
            snapshots=SnapshotUpkeep(database=database, redis=redis),
        )


async def _open_database(settings: WorkerSettings, stack: AsyncExitStack) -> Database:
    database = await Database.connect(
        settings.database_url.get_secret_value(),
        minimum_connections=settings.database_minimum_connections,
        maximum_connections=settings.database_maximum_connections,
        application_name="leo-worker",
    )
    stack.push_async_callback(database.close)
    return database


async def _channels(settings: WorkerSettings, stack: AsyncExitStack) -> Mapping[str, Channel]:
    """The channels that this worker is configured for, by name."""
    channels: list[Channel] = []
    if settings.smtp_url is not None:
        relay = Relay.from_url(settings.smtp_url.get_secret_value(), timeout_seconds=settings.send_seconds)
        channels.append(
            EmailSmtp(
                pool=SmtpPool(relay, size=settings.smtp_connections),
                connections=settings.smtp_connections,
                sender=_sender(settings.smtp_sender),
                timeout_seconds=settings.send_seconds,
            )
        )
    for channel in channels:
        stack.push_async_callback(channel.close)
    return {channel.name: channel for channel in channels}


def _dispatch_jobs(
    settings: WorkerSettings, database: Database, channels: Mapping[str, Channel], decider: Decider
) -> DispatchJobs:
    store = DeliveryStore()
    worker = _worker_name()
    preparation = Preparation(database=database, store=store, channels=channels)
    recorder = StepRecorder(database=database, store=store)
    limits = DeliveryLimits(settings.lease_seconds, settings.send_seconds)
    policy = RetryPolicy(attempts=settings.send_attempts, first_seconds=settings.retry_seconds)

    def make_runner(queue: str) -> DeliveryRunner:
        return DeliveryRunner(
            queue=queue,
            channels=channels,
            database=database,
            store=store,
            preparation=preparation,
            recorder=recorder,
            limits=limits,
            policy=policy,
            worker=worker,
        )

    plans = PlanRunner(
        database=database,
        claims=store,
        store=PlanStore(),
        decider=decider,
        lease_seconds=settings.lease_seconds,
        worker=worker,
    )
    return DispatchJobs(make_runner=make_runner, plans=plans)


def _worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _sender(value: str) -> Address:
    name, address = parseaddr(value)
    return Address(display_name=name, addr_spec=address)
