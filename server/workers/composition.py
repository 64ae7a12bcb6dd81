"""Composition root of a worker: builds everything on its event loop, and takes it down in the reverse order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from celery import Celery

from server.alerts.firing_store import FiringStore
from server.alerts.jobs import AlertJobs
from server.alerts.store import AlertStore
from server.config import WorkerSettings
from server.decisions.assembly import running_decisions
from server.dispatch.assembly import Deliveries, running_directory
from server.dispatch.channels.registry import http_channels
from server.dispatch.credentials.jobs import CredentialJobs
from server.dispatch.jobs import DispatchJobs
from server.dispatch.receipt_jobs import ReceiptJobs
from server.dispatch.receipts import ReceiptStore
from server.embeddings.assembly import embedder_of, embedding_jobs
from server.embeddings.behaviour import BehaviourQueue
from server.embeddings.jobs import EmbeddingJobs
from server.experiments.jobs import ExperimentJobs
from server.experiments.store import CounterStore
from server.http.listener import monitoring
from server.http.samples import Samples
from server.platform.clock import utc_now
from server.platform.credential_keys import CredentialKeys
from server.platform.postgres import Database
from server.platform.redis import RedisPool
from server.profiles.erasure_jobs import ErasureJobs
from server.reports.counters import MetricsCounters
from server.reports.jobs import ReportJobs
from server.reports.store import ReportStore
from server.segments.evaluation import SegmentEvaluation
from server.segments.jobs import RoundsOfTenants, SegmentJobs
from server.segments.store import SegmentStore
from server.sync.jobs import SyncJobs
from server.workers.customers import erasure_jobs, running_sync
from server.workers.identity import worker_name
from server.workers.retention import EventRetention
from server.workers.sending import delivery_settings, dispatch_jobs, own_channels, provider_gate, providers
from server.workers.sweep import Sweep
from server.workers.upkeep import ActiveTenants, MonthUpkeep, SnapshotUpkeep
from server.workers.wake_ups import WakeUps


@dataclass(frozen=True, slots=True)
class Worker:
    """What Celery's tasks call."""

    dispatch: DispatchJobs
    alerts: AlertJobs
    sweep: Sweep
    months: MonthUpkeep
    retention: EventRetention
    snapshots: SnapshotUpkeep
    credentials: CredentialJobs
    experiments: ExperimentJobs
    receipts: ReceiptJobs
    reports: ReportJobs
    embeddings: EmbeddingJobs
    behaviour: BehaviourQueue
    erasures: ErasureJobs
    segment_rounds: RoundsOfTenants
    segment_changes: SegmentJobs
    sync: SyncJobs


@asynccontextmanager
async def running_worker(settings: WorkerSettings, app: Celery) -> AsyncIterator[Worker]:
    """Everything that a worker needs, while the block runs.

    Args:
        app: sends the wake-ups of the sweep.

    Raises:
        UnsafeRole: the database role could bypass row-level security.
        Unavailable: PostgreSQL or Redis can not be reached.
        PortNotFree: the address for figures is used by somebody else.
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
        if settings.metrics_listen is not None:
            samples = Samples(queues=decisions, pool=database)
            pages = monitoring(settings.metrics_listen, samples=samples, shared=None, ping=database.ping)
            await stack.enter_async_context(pages)
        months = MonthUpkeep(database=database)
        await months.run()
        directory, credentials = await stack.enter_async_context(
            running_directory(
                database=database,
                adapters=http_channels(providers(settings)),
                shared=own_channels(settings),
                keys=CredentialKeys.of(settings.credential_keys_text),
            )
        )
        gate = provider_gate(settings, redis)
        stack.push_async_callback(gate.close)
        deliveries = Deliveries(
            settings=delivery_settings(settings), database=database, directory=directory, gate=gate
        )
        sync = await stack.enter_async_context(running_sync(settings, database))
        embedder = embedder_of(settings, timeout_seconds=settings.embeddings_seconds)
        stack.push_async_callback(embedder.close)
        yield Worker(
            dispatch=dispatch_jobs(settings, database, deliveries, decisions),
            alerts=AlertJobs(
                database=database,
                store=AlertStore(),
                firings=FiringStore(),
                decider=decisions,
                lease_seconds=settings.lease_seconds,
                worker=worker_name(),
            ),
            sweep=Sweep(database=database, wake_ups=wake_ups),
            months=months,
            retention=EventRetention(
                database=database, kept_months=settings.event_retention_months, clock=utc_now
            ),
            snapshots=SnapshotUpkeep(database=database, redis=redis),
            credentials=credentials,
            experiments=ExperimentJobs(database=database, store=CounterStore(), clock=utc_now),
            receipts=ReceiptJobs(
                database=database, store=ReceiptStore(), clock=utc_now, worker=worker_name()
            ),
            reports=ReportJobs(
                database=database, store=ReportStore(), counters=MetricsCounters(redis), clock=utc_now
            ),
            segment_rounds=RoundsOfTenants(
                evaluation=SegmentEvaluation(database=database, store=SegmentStore(), clock=utc_now),
                redis=redis,
                tenants=ActiveTenants(database=database),
            ),
            segment_changes=SegmentJobs(
                database=database,
                store=SegmentStore(),
                decider=decisions,
                lease_seconds=settings.lease_seconds,
                worker=worker_name(),
            ),
            behaviour=BehaviourQueue(
                database=database,
                redis=redis,
                every=timedelta(seconds=settings.embeddings_behaviour_seconds),
                clock=utc_now,
            ),
            embeddings=embedding_jobs(settings, database=database, embedder=embedder, worker=worker_name()),
            erasures=erasure_jobs(settings, database),
            sync=sync,
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
