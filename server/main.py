"""Composition root of the server: builds everything, starts it, and stops it in the reverse order."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import cast

import grpc
import uvloop
from leo.activation.v1.alert_service_pb2_grpc import add_AlertServiceServicer_to_server
from leo.activation.v1.catalog_service_pb2_grpc import add_CatalogServiceServicer_to_server
from leo.activation.v1.decision_service_pb2_grpc import add_DecisionServiceServicer_to_server
from leo.activation.v1.dispatch_service_pb2_grpc import add_DispatchServiceServicer_to_server
from leo.activation.v1.embedding_service_pb2_grpc import add_EmbeddingServiceServicer_to_server
from leo.activation.v1.news_service_pb2_grpc import add_NewsServiceServicer_to_server
from leo.activation.v1.profile_service_pb2_grpc import add_ProfileServiceServicer_to_server
from leo.activation.v1.report_service_pb2_grpc import add_ReportServiceServicer_to_server
from leo.activation.v1.snapshot_service_pb2_grpc import add_SnapshotServiceServicer_to_server
from leo.activation.v1.tenant_service_pb2_grpc import add_TenantServiceServicer_to_server
from leo.activation.v1.trace_service_pb2_grpc import add_TraceServiceServicer_to_server

from server import conditions
from server.alerts.assembly import Alerts, running_alerts
from server.alerts.rpc import AlertServicer
from server.catalog.rpc import CatalogServicer
from server.catalog.service import CatalogService
from server.config import ServerSettings
from server.decisions.assembly import running_decisions
from server.decisions.backtest.service import BacktestService
from server.decisions.backtest.store import BacktestStore
from server.decisions.replay.service import ReplayService
from server.decisions.replay.store import ReplayStore
from server.decisions.replay.stored_bundles import StoredBundles
from server.decisions.rpc import DecisionServicer, gates
from server.decisions.service import DecisionService
from server.decisions.store import DecisionStore
from server.dispatch.channels.registry import CHANNEL_TYPES, RESEND_SAFE
from server.dispatch.control import DispatchControl
from server.dispatch.control_store import ControlStore
from server.dispatch.credentials.model import Accounts
from server.dispatch.credentials.service import CredentialService
from server.dispatch.credentials.store import CredentialStore
from server.dispatch.rpc import DispatchServicer
from server.dispatch.service import DispatchService
from server.dispatch.store import DispatchStore
from server.dispatch.template_rules import TemplateRules
from server.dispatch.wake_up import WakeUp
from server.embeddings.assembly import embedder_of, query_vectors
from server.embeddings.query_vectors import QueryVectors
from server.embeddings.rpc import EmbeddingServicer
from server.embeddings.service import EmbeddingService
from server.embeddings.store import EmbeddingStore
from server.http.figures import SharedFigures, shared_figures
from server.http.listener import monitoring
from server.http.samples import Samples
from server.http.webhooks.listener import webhooks
from server.news.rpc import NewsServicer
from server.news.search import NewsSearch
from server.news.service import NewsService
from server.news.store import NewsStore
from server.platform.clock import utc_now
from server.platform.credential_keys import CredentialKeys
from server.platform.garbage import spare_what_lives_long
from server.platform.logging import configure_logging, get_logger
from server.platform.months import EventMonths
from server.platform.postgres import Database
from server.platform.redis import RedisPool
from server.profiles.erasure import ProfileErasure
from server.profiles.erasure_store import ErasureStore
from server.profiles.export import ProfileExport
from server.profiles.export_store import ExportStore
from server.profiles.ingestion import EventIngestion
from server.profiles.rpc import ProfileServicer
from server.profiles.service import ProfileService
from server.profiles.similar import SimilarProfiles
from server.profiles.similar_store import SimilarStore
from server.profiles.store import ProfileStore
from server.profiles.suppression import SuppressionList
from server.reports.counters import MetricsCounters
from server.reports.rpc import ReportServicer
from server.reports.service import ReportService
from server.reports.store import ReportStore
from server.rpc.authentication import Authenticator
from server.rpc.in_flight import InFlight
from server.rpc.keys import key_source
from server.rpc.processes import STOP_SIGNALS, Supervisor, parent_gone, reserved
from server.rpc.registry import Deadlines, ServiceRegistry
from server.rpc.server import RpcServer
from server.rpc.tenant_directory import PostgresTenantDirectory
from server.segments.evaluation import SegmentEvaluation
from server.segments.refreshing import RefreshQueue
from server.segments.store import SegmentStore
from server.snapshots.comparing import SnapshotComparison
from server.snapshots.estimating import SegmentEstimation
from server.snapshots.rpc import SnapshotServicer
from server.snapshots.service import SnapshotService
from server.snapshots.store import SnapshotStore
from server.sync.reach import Reach
from server.sync.rpc import DataSourceServicer
from server.sync.secrets import SourceSecrets
from server.sync.service import DataSourceService
from server.sync.store import SourceStore
from server.tenancy.rpc import TenantServicer
from server.tenancy.service import TenantService
from server.tenancy.store import TenantStore
from server.trace.rpc import TraceServicer
from server.trace.service import TraceService
from server.trace.store import TraceStore
from server.workers.broker import celery_app
from server.workers.wake_ups import SweepOnly, WakeUps


@dataclass(frozen=True, slots=True)
class Resources:
    """What services are built from.

    Args:
        database: the pool of the serving role.
        admin_database: the pool of leo_admin, where the configuration names one.
        wake_up: tells workers that there is work.
        decisions: Decide, with its caches and its lanes running.
        alerts: the alert engine; it owns no shard yet.
        refreshing: judges profiles anew whose segments may have changed.
        credential_keys: encrypt the accounts of tenants.
        redis: holds counters; it may be away.
        query_vectors: of what people search for.
        reach: where tenants' sources of data may lead.
    """

    database: Database
    admin_database: Database | None
    wake_up: WakeUp
    decisions: DecisionService
    alerts: Alerts
    refreshing: RefreshQueue
    credential_keys: CredentialKeys
    redis: RedisPool
    query_vectors: QueryVectors
    reach: Reach


def register_services(registry: ServiceRegistry, resources: Resources) -> None:
    """Every service of the server, one line each."""
    # The generated functions name the class of the real server; the registry stands in for it.
    server = cast(grpc.aio.Server, registry)
    database = resources.database
    add_AlertServiceServicer_to_server(
        AlertServicer(
            service=resources.alerts.service,
            firings=resources.alerts.firings,
            backtests=resources.alerts.backtests,
        ),
        server,
    )
    add_CatalogServiceServicer_to_server(_catalog_servicer(resources), server)
    add_DecisionServiceServicer_to_server(_decision_servicer(resources), server)
    dispatch = DispatchService(database=database, store=DispatchStore(), wake_up=resources.wake_up)
    credentials = CredentialService(
        database=database,
        store=CredentialStore(),
        accounts=Accounts.of(CHANNEL_TYPES),
        keys=resources.credential_keys,
    )
    control = DispatchControl(
        database=database,
        store=ControlStore(),
        dispatches=dispatch,
        wake_up=resources.wake_up,
        resend_safe=RESEND_SAFE,
    )
    add_DispatchServiceServicer_to_server(
        DispatchServicer(service=dispatch, control=control, credentials=credentials), server
    )
    embeddings = EmbeddingService(
        database=database, store=EmbeddingStore(), model=resources.query_vectors.model
    )
    add_EmbeddingServiceServicer_to_server(EmbeddingServicer(service=embeddings), server)
    add_NewsServiceServicer_to_server(_news_servicer(resources), server)
    profiles, erasures = ProfileStore(), ErasureStore()
    suppression = SuppressionList(keys=resources.credential_keys, store=erasures)
    add_ProfileServiceServicer_to_server(
        ProfileServicer(
            service=ProfileService(
                database=database,
                store=profiles,
                suppression=suppression,
                clock=utc_now,
                changes=resources.refreshing,
            ),
            erasure=ProfileErasure(
                database=database, store=erasures, profiles=profiles, suppression=suppression
            ),
            ingestion=EventIngestion(
                database=database,
                store=profiles,
                erasures=erasures,
                months=EventMonths(database),
                clock=utc_now,
                happenings=resources.refreshing,
            ),
            similar=SimilarProfiles(
                database=database, store=SimilarStore(), model=resources.query_vectors.model
            ),
            export=ProfileExport(database=database, store=ExportStore(), clock=utc_now),
        ),
        server,
    )
    reports = ReportService(database=database, store=ReportStore(), counters=MetricsCounters(resources.redis))
    add_ReportServiceServicer_to_server(ReportServicer(service=reports), server)
    add_SnapshotServiceServicer_to_server(
        SnapshotServicer(
            service=SnapshotService(database=database, store=SnapshotStore(), clock=utc_now),
            comparison=SnapshotComparison(database=database, store=SnapshotStore()),
            estimation=SegmentEstimation(database=database, store=SnapshotStore(), clock=utc_now),
        ),
        server,
    )
    add_TraceServiceServicer_to_server(
        TraceServicer(service=TraceService(database=database, store=TraceStore())), server
    )
    if resources.admin_database is not None:
        add_TenantServiceServicer_to_server(
            TenantServicer(service=TenantService(database=resources.admin_database, store=TenantStore())),
            server,
        )


class _WholeCatalog(CatalogServicer, DataSourceServicer):
    """CatalogService: what may happen, and where customers' data comes from. Each slice serves its part."""

    def __init__(self, *, service: CatalogService, sources: DataSourceService) -> None:
        CatalogServicer.__init__(self, service=service)
        DataSourceServicer.__init__(self, sources=sources)


def _catalog_servicer(resources: Resources) -> _WholeCatalog:
    return _WholeCatalog(
        service=CatalogService(
            database=resources.database, conditions=conditions, templates=TemplateRules(CHANNEL_TYPES)
        ),
        sources=DataSourceService(
            database=resources.database,
            store=SourceStore(),
            secrets=SourceSecrets(keys=resources.credential_keys),
            reach=resources.reach,
            clock=utc_now,
        ),
    )


def _news_servicer(resources: Resources) -> NewsServicer:
    database, store = resources.database, NewsStore()
    return NewsServicer(
        service=NewsService(database=database, store=store, wake_up=resources.wake_up, clock=utc_now),
        search=NewsSearch(database=database, store=store, vectors=resources.query_vectors),
    )


def _decision_servicer(resources: Resources) -> DecisionServicer:
    recorded = ReplayStore()
    bundles = StoredBundles(store=recorded)
    return DecisionServicer(
        service=resources.decisions,
        replays=ReplayService(
            database=resources.database, store=recorded, bundles=bundles, sends=BacktestStore()
        ),
        backtests=BacktestService(
            database=resources.database, store=BacktestStore(), decisions=DecisionStore(), bundles=bundles
        ),
    )


@asynccontextmanager
async def running_server(
    settings: ServerSettings, *, share_port: bool = False, figures: SharedFigures | None = None
) -> AsyncIterator[str]:
    """Serves while the block runs, and yields the address.

    Args:
        settings: the configuration.
        share_port: whether other processes listen on the same port.
        figures: what all these processes count together; None where this one is alone.

    Raises:
        UnsafeRole: the database role could bypass row-level security.
        Unavailable: the database can not be reached.
        PortNotFree: the address is used by somebody else.
    """
    async with AsyncExitStack() as stack:
        resources = await _open_resources(settings, stack)
        keys = key_source(settings.auth_jwks)
        stack.push_async_callback(keys.close)
        in_flight = InFlight(settings.maximum_in_flight_bytes)
        registry = ServiceRegistry(
            authenticator=Authenticator(
                issuer=settings.auth_issuer,
                audience=settings.auth_audience,
                keys=keys,
                tenants=PostgresTenantDirectory(database=resources.database),
            ),
            deadlines=_deadlines(settings),
            in_flight=in_flight,
            gates=gates(resources.decisions),
        )
        register_services(registry, resources)
        server = RpcServer(
            registry=registry,
            max_message_bytes=settings.max_message_bytes,
            share_port=share_port,
            maximum_calls=settings.maximum_calls,
        )
        if settings.metrics_listen is not None:
            samples = Samples(queues=resources.decisions, pool=resources.database, requests=in_flight)
            pages = monitoring(
                settings.metrics_listen, samples=samples, shared=figures, ping=resources.database.ping
            )
            await stack.enter_async_context(pages)
        if settings.webhook_listen is not None:
            listening = webhooks(
                settings.webhook_listen,
                database=resources.database,
                keys=resources.credential_keys,
                share_port=share_port,
                drain_seconds=settings.drain_seconds,
            )
            await stack.enter_async_context(listening)
        address = await server.start(settings.listen)
        stack.push_async_callback(server.drain, settings.drain_seconds)
        await resources.alerts.keeper.start(server.own_address(settings.advertise_host))
        yield address


async def run(
    settings: ServerSettings,
    *,
    share_port: bool = False,
    figures: SharedFigures | None = None,
    on_ready: Callable[[str], None],
) -> None:
    """Serves until SIGTERM, SIGINT, or the end of the process that spawned this one.

    Args:
        share_port, figures: as for `running_server`.
        on_ready: called with the address once calls are accepted.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stopped.set)
    async with running_server(settings, share_port=share_port, figures=figures) as address:
        spare_what_lives_long()
        on_ready(address)
        waiting = [asyncio.create_task(stopped.wait()), asyncio.create_task(parent_gone())]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        get_logger().info("draining", pid=os.getpid())
    get_logger().info("stopped", pid=os.getpid())


def serve(settings: ServerSettings) -> None:
    """Serves, in as many processes as configured, until SIGTERM or SIGINT. Blocks."""
    configure_logging(level=settings.log_level)
    announce = partial(_announce, settings.processes)
    if settings.processes == 1:
        uvloop.run(run(settings, on_ready=announce))
        return
    with shared_figures() as figures, _shared_addresses(settings) as shared:
        supervisor = Supervisor(
            body=partial(_serve_child, figures),
            settings=shared,
            listen=settings.listen,
            count=settings.processes,
            on_death=figures.forget,
        )
        supervisor.run(announce)


@contextmanager
def _shared_addresses(settings: ServerSettings) -> Iterator[ServerSettings]:
    """The settings with addresses for pages that all processes can listen on, where there are to be any."""
    wanted = {"metrics_listen": settings.metrics_listen, "webhook_listen": settings.webhook_listen}
    with ExitStack() as stack:
        addresses = {
            name: stack.enter_context(reserved(listen))
            for name, listen in wanted.items()
            if listen is not None
        }
        yield settings.model_copy(update=addresses)


def _serve_child(
    figures: SharedFigures, settings: ServerSettings, listen: str, report: Callable[[], None]
) -> None:
    configure_logging(level=settings.log_level)
    here = settings.model_copy(update={"listen": listen})
    uvloop.run(run(here, share_port=True, figures=figures, on_ready=lambda _address: report()))


def _announce(processes: int, address: str) -> None:
    get_logger().info("serving", address=address, pid=os.getpid(), processes=processes)


async def _open_resources(settings: ServerSettings, stack: AsyncExitStack) -> Resources:
    connect = partial(
        Database.connect,
        minimum_connections=settings.database_minimum_connections,
        maximum_connections=settings.database_maximum_connections,
        application_name="leo-server",
    )
    database = await connect(settings.database_url.get_secret_value())
    stack.push_async_callback(database.close)
    admin_database = None
    if settings.admin_database_url is not None:
        admin_database = await connect(settings.admin_database_url.get_secret_value())
        stack.push_async_callback(admin_database.close)
    wake_up = _open_wake_ups(settings, stack)
    # Without Redis a server starts as well: PostgreSQL decides until Redis is there.
    redis = await RedisPool.connect(
        settings.redis_url.get_secret_value(), client_name="leo-server", required=False
    )
    stack.push_async_callback(redis.close)
    refreshing = RefreshQueue(
        evaluation=SegmentEvaluation(database=database, store=SegmentStore(), clock=utc_now)
    )
    await refreshing.start()
    stack.push_async_callback(refreshing.stop)
    decisions = await stack.enter_async_context(
        running_decisions(
            database=database,
            redis=redis,
            wake_up=wake_up,
            maximum_wait_seconds=settings.maximum_queue_ms / 1000,
            happenings=refreshing,
        )
    )
    alerts = await stack.enter_async_context(
        running_alerts(database=database, url=settings.database_url.get_secret_value(), decider=decisions)
    )
    embedder = embedder_of(settings, timeout_seconds=settings.embeddings_query_seconds)
    stack.push_async_callback(embedder.close)
    return Resources(
        database=database,
        admin_database=admin_database,
        wake_up=wake_up,
        decisions=decisions,
        alerts=alerts,
        refreshing=refreshing,
        credential_keys=CredentialKeys.of(settings.credential_keys_text),
        redis=redis,
        query_vectors=query_vectors(embedder),
        reach=Reach.of(settings.sync_host_patterns, settings.sync_directory),
    )


def _open_wake_ups(settings: ServerSettings, stack: AsyncExitStack) -> WakeUp:
    """Through the broker, where the configuration names one."""
    if settings.broker_url is None:
        return SweepOnly()
    wake_ups = WakeUps(celery_app(settings.broker_url.get_secret_value()))
    stack.push_async_callback(wake_ups.close)
    return wake_ups


def _deadlines(settings: ServerSettings) -> Deadlines:
    return Deadlines(
        default=settings.default_deadline_ms / 1000,
        longest=settings.maximum_deadline_ms / 1000,
        longest_stream=settings.longest_stream_ms / 1000,
    )
