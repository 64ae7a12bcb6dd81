"""Every service of the server, built from its resources and registered."""

from __future__ import annotations

from typing import cast

import grpc
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
from server.alerts.rpc import AlertServicer
from server.catalog.rpc import CatalogServicer
from server.catalog.service import CatalogService
from server.decisions.backtest.service import BacktestService
from server.decisions.backtest.store import BacktestStore
from server.decisions.replay.service import ReplayService
from server.decisions.replay.store import ReplayStore
from server.decisions.replay.stored_bundles import StoredBundles
from server.decisions.rpc import DecisionServicer
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
from server.embeddings.rpc import EmbeddingServicer
from server.embeddings.service import EmbeddingService
from server.embeddings.store import EmbeddingStore
from server.news.rpc import NewsServicer
from server.news.search import NewsSearch
from server.news.service import NewsService
from server.news.store import NewsStore
from server.platform.clock import utc_now
from server.platform.months import EventMonths
from server.platform.postgres import Database
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
from server.resources import Resources
from server.rpc.registry import ServiceRegistry
from server.snapshots.comparing import SnapshotComparison
from server.snapshots.estimating import SegmentEstimation
from server.snapshots.rpc import SnapshotServicer
from server.snapshots.service import SnapshotService
from server.snapshots.store import SnapshotStore
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


def register_services(registry: ServiceRegistry, resources: Resources) -> None:
    """Every service of the server, one line each."""
    # The generated functions name the class of the real server; the registry stands in for it.
    server = cast(grpc.aio.Server, registry)
    add_AlertServiceServicer_to_server(_alert_servicer(resources), server)
    add_CatalogServiceServicer_to_server(_catalog_servicer(resources), server)
    add_DecisionServiceServicer_to_server(_decision_servicer(resources), server)
    add_DispatchServiceServicer_to_server(_dispatch_servicer(resources), server)
    add_EmbeddingServiceServicer_to_server(_embedding_servicer(resources), server)
    add_NewsServiceServicer_to_server(_news_servicer(resources), server)
    add_ProfileServiceServicer_to_server(_profile_servicer(resources), server)
    add_ReportServiceServicer_to_server(_report_servicer(resources), server)
    add_SnapshotServiceServicer_to_server(_snapshot_servicer(resources), server)
    add_TraceServiceServicer_to_server(_trace_servicer(resources), server)
    if resources.admin_database is not None:
        add_TenantServiceServicer_to_server(_tenant_servicer(resources.admin_database), server)


class _WholeCatalog(CatalogServicer, DataSourceServicer):
    """CatalogService: what may happen, and where customers' data comes from. Each slice serves its part."""

    def __init__(self, *, service: CatalogService, sources: DataSourceService) -> None:
        CatalogServicer.__init__(self, service=service)
        DataSourceServicer.__init__(self, sources=sources)


def _alert_servicer(resources: Resources) -> AlertServicer:
    alerts = resources.alerts
    return AlertServicer(service=alerts.service, firings=alerts.firings, backtests=alerts.backtests)


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


def _dispatch_servicer(resources: Resources) -> DispatchServicer:
    database = resources.database
    dispatch = DispatchService(database=database, store=DispatchStore(), wake_up=resources.wake_up)
    return DispatchServicer(
        service=dispatch,
        control=DispatchControl(
            database=database,
            store=ControlStore(),
            dispatches=dispatch,
            wake_up=resources.wake_up,
            resend_safe=RESEND_SAFE,
        ),
        credentials=CredentialService(
            database=database,
            store=CredentialStore(),
            accounts=Accounts.of(CHANNEL_TYPES),
            keys=resources.credential_keys,
        ),
    )


def _embedding_servicer(resources: Resources) -> EmbeddingServicer:
    return EmbeddingServicer(
        service=EmbeddingService(
            database=resources.database, store=EmbeddingStore(), model=resources.query_vectors.model
        )
    )


def _news_servicer(resources: Resources) -> NewsServicer:
    database, store = resources.database, NewsStore()
    return NewsServicer(
        service=NewsService(database=database, store=store, wake_up=resources.wake_up, clock=utc_now),
        search=NewsSearch(database=database, store=store, vectors=resources.query_vectors),
    )


def _profile_servicer(resources: Resources) -> ProfileServicer:
    database, profiles, erasures = resources.database, ProfileStore(), ErasureStore()
    suppression = SuppressionList(keys=resources.credential_keys, store=erasures)
    return ProfileServicer(
        service=ProfileService(
            database=database,
            store=profiles,
            suppression=suppression,
            clock=utc_now,
            changes=resources.refreshing,
        ),
        erasure=ProfileErasure(database=database, store=erasures, profiles=profiles, suppression=suppression),
        ingestion=EventIngestion(
            database=database,
            store=profiles,
            erasures=erasures,
            months=EventMonths(database),
            clock=utc_now,
            happenings=resources.refreshing,
        ),
        similar=SimilarProfiles(database=database, store=SimilarStore(), model=resources.query_vectors.model),
        export=ProfileExport(database=database, store=ExportStore(), clock=utc_now),
    )


def _report_servicer(resources: Resources) -> ReportServicer:
    counters = MetricsCounters(resources.redis)
    return ReportServicer(
        service=ReportService(database=resources.database, store=ReportStore(), counters=counters)
    )


def _snapshot_servicer(resources: Resources) -> SnapshotServicer:
    database, store = resources.database, SnapshotStore()
    return SnapshotServicer(
        service=SnapshotService(database=database, store=store, clock=utc_now),
        comparison=SnapshotComparison(database=database, store=store),
        estimation=SegmentEstimation(database=database, store=store, clock=utc_now),
    )


def _tenant_servicer(admin_database: Database) -> TenantServicer:
    return TenantServicer(service=TenantService(database=admin_database, store=TenantStore()))


def _trace_servicer(resources: Resources) -> TraceServicer:
    return TraceServicer(service=TraceService(database=resources.database, store=TraceStore()))
