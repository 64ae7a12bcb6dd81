"""Composition root of a worker: builds everything on its event loop, and takes it down in the reverse order."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from email.headerregistry import Address
from email.utils import parseaddr

from celery import Celery

from server.alerts.firing_store import FiringStore
from server.alerts.jobs import AlertJobs
from server.alerts.store import AlertStore
from server.config import WorkerSettings
from server.decisions.assembly import running_decisions
from server.dispatch.assembly import Deliveries, DeliverySettings, running_directory
from server.dispatch.channels.channel import Channel, ErrorClass
from server.dispatch.channels.email_smtp import EmailSmtp
from server.dispatch.channels.registry import ProviderSetup, http_channels
from server.dispatch.channels.smtp_pool import Relay, SmtpPool
from server.dispatch.credentials.jobs import CredentialJobs
from server.dispatch.delivery_runner import DeliveryLimits
from server.dispatch.delivery_store import DeliveryStore
from server.dispatch.jobs import DispatchJobs
from server.dispatch.limits.gate import ProviderGate
from server.dispatch.limits.rules import MICROSECONDS, CircuitPolicy
from server.dispatch.outcomes import RetryPolicy
from server.dispatch.plan_runner import Decider, PlanRunner
from server.dispatch.plan_store import PlanStore
from server.dispatch.receipt_jobs import ReceiptJobs
from server.dispatch.receipts import ReceiptStore
from server.embeddings.assembly import embedder_of, embedding_jobs
from server.embeddings.behaviour import BehaviourQueue
from server.embeddings.jobs import EmbeddingJobs
from server.experiments.jobs import ExperimentJobs
from server.experiments.store import CounterStore
from server.http.listener import monitoring
from server.http.samples import Samples
from server.platform.background import BackgroundTask
from server.platform.clock import utc_now
from server.platform.credential_keys import CredentialKeys
from server.platform.postgres import Database
from server.platform.redis import RedisPool
from server.profiles.erasure import ProfileErasure
from server.profiles.erasure_jobs import ErasureJobs
from server.profiles.erasure_store import ErasureStore
from server.profiles.service import ProfileService
from server.profiles.store import ProfileStore
from server.profiles.suppression import SuppressionList
from server.reports.counters import MetricsCounters
from server.reports.jobs import ReportJobs
from server.reports.store import ReportStore
from server.segments.evaluation import SegmentEvaluation
from server.segments.jobs import RoundsOfTenants, SegmentJobs
from server.segments.refreshing import RefreshQueue
from server.segments.store import SegmentStore
from server.sync.jobs import SyncJobs
from server.sync.reach import Reach
from server.sync.run import SourceRunner
from server.sync.secrets import SourceSecrets
from server.sync.store import SourceStore
from server.workers.profile_intake import ProfileIntake
from server.workers.retention import EventRetention
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
                adapters=http_channels(_providers(settings)),
                shared=_own_channels(settings),
                keys=CredentialKeys.of(settings.credential_keys_text),
            )
        )
        gate = _gate(settings, redis)
        stack.push_async_callback(gate.close)
        deliveries = Deliveries(
            settings=_delivery_settings(settings), database=database, directory=directory, gate=gate
        )
        sync = await stack.enter_async_context(_running_sync(settings, database))
        embedder = embedder_of(settings, timeout_seconds=settings.embeddings_seconds)
        stack.push_async_callback(embedder.close)
        yield Worker(
            dispatch=_dispatch_jobs(settings, database, deliveries, decisions),
            alerts=AlertJobs(
                database=database,
                store=AlertStore(),
                firings=FiringStore(),
                decider=decisions,
                lease_seconds=settings.lease_seconds,
                worker=_worker_name(),
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
                database=database, store=ReceiptStore(), clock=utc_now, worker=_worker_name()
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
                worker=_worker_name(),
            ),
            behaviour=BehaviourQueue(
                database=database,
                redis=redis,
                every=timedelta(seconds=settings.embeddings_behaviour_seconds),
                clock=utc_now,
            ),
            embeddings=embedding_jobs(settings, database=database, embedder=embedder, worker=_worker_name()),
            erasures=_erasure_jobs(settings, database),
            sync=sync,
        )


@asynccontextmanager
async def _running_sync(settings: WorkerSettings, database: Database) -> AsyncIterator[SyncJobs]:
    """The synchronisation, while the block runs; it tells the segments which profiles it changed."""
    refreshing = RefreshQueue(
        evaluation=SegmentEvaluation(database=database, store=SegmentStore(), clock=utc_now)
    )
    await refreshing.start()
    profiles = ProfileService(
        database=database,
        store=ProfileStore(),
        suppression=_suppression(settings),
        clock=utc_now,
        changes=refreshing,
    )
    lease = timedelta(seconds=settings.lease_seconds)
    runner = SourceRunner(
        database=database,
        store=SourceStore(),
        secrets=SourceSecrets(keys=CredentialKeys.of(settings.credential_keys_text)),
        reach=Reach.of(settings.sync_host_patterns, settings.sync_directory),
        profiles=ProfileIntake(service=profiles),
        lease=lease,
        clock=utc_now,
    )
    jobs = SyncJobs(
        database=database,
        store=SourceStore(),
        runner=runner,
        # Most threads stay with deliveries, however many sources are due.
        most_at_once=min(settings.sync_sources, max(settings.worker_threads // 4, 1)),
        lease=lease,
        worker=_worker_name(),
    )
    looking = BackgroundTask("observe_sources")
    looking.start(jobs.observe_for_ever())
    try:
        yield jobs
    finally:
        await looking.stop()
        await refreshing.stop()


async def _open_database(settings: WorkerSettings, stack: AsyncExitStack) -> Database:
    database = await Database.connect(
        settings.database_url.get_secret_value(),
        minimum_connections=settings.database_minimum_connections,
        maximum_connections=settings.database_maximum_connections,
        application_name="leo-worker",
    )
    stack.push_async_callback(database.close)
    return database


def _own_channels(settings: WorkerSettings) -> list[Channel]:
    """The channels that this worker is configured for itself, for tenants without an account of their own."""
    if settings.smtp_url is None:
        return []
    relay = Relay.from_url(settings.smtp_url.get_secret_value(), timeout_seconds=settings.send_seconds)
    email = EmailSmtp(
        pool=SmtpPool(relay, size=settings.smtp_connections),
        connections=settings.smtp_connections,
        sender=_sender(settings.smtp_sender),
        timeout_seconds=settings.send_seconds,
    )
    return [email]


def _providers(settings: WorkerSettings) -> ProviderSetup:
    codes = {
        provider: {code: ErrorClass(meaning) for code, meaning in meanings.items()}
        for provider, meanings in settings.provider_codes.items()
    }
    return ProviderSetup(
        connections=settings.provider_connections,
        timeout_seconds=settings.send_seconds,
        urls=settings.provider_urls,
        codes=codes,
        private_networks=settings.private_networks,
    )


def _gate(settings: WorkerSettings, redis: RedisPool) -> ProviderGate:
    policy = CircuitPolicy(
        failures=settings.circuit_failures,
        open_for=int(settings.circuit_seconds * MICROSECONDS),
        probe_for=int(settings.send_seconds * MICROSECONDS),
    )
    return ProviderGate(redis=redis, policy=policy, worker=_worker_name())


def _delivery_settings(settings: WorkerSettings) -> DeliverySettings:
    return DeliverySettings(
        limits=DeliveryLimits(settings.lease_seconds, settings.send_seconds),
        policy=RetryPolicy(attempts=settings.send_attempts, first_seconds=settings.retry_seconds),
        worker=_worker_name(),
    )


def _dispatch_jobs(
    settings: WorkerSettings, database: Database, deliveries: Deliveries, decider: Decider
) -> DispatchJobs:
    plans = PlanRunner(
        database=database,
        claims=DeliveryStore(),
        store=PlanStore(),
        decider=decider,
        part_members=settings.dispatch_part_members,
        lease_seconds=settings.lease_seconds,
        worker=_worker_name(),
    )
    return DispatchJobs(make_runner=deliveries.runner, plans=plans)


def _erasure_jobs(settings: WorkerSettings, database: Database) -> ErasureJobs:
    store = ErasureStore()
    erasure = ProfileErasure(
        database=database, store=store, profiles=ProfileStore(), suppression=_suppression(settings)
    )
    return ErasureJobs(database=database, store=store, erasure=erasure, worker=_worker_name())


def _suppression(settings: WorkerSettings) -> SuppressionList:
    return SuppressionList(keys=CredentialKeys.of(settings.credential_keys_text), store=ErasureStore())


def _worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _sender(value: str) -> Address:
    name, address = parseaddr(value)
    return Address(display_name=name, addr_spec=address)
