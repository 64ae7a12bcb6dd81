"""Which services a client offers, one line each: its attribute, its stub, its descriptor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from google.protobuf.descriptor import ServiceDescriptor
from leo.activation.v1 import (
    alert_service_pb2,
    alert_service_pb2_grpc,
    catalog_service_pb2,
    catalog_service_pb2_grpc,
    decision_service_pb2,
    decision_service_pb2_grpc,
    dispatch_service_pb2,
    dispatch_service_pb2_grpc,
    embedding_service_pb2,
    embedding_service_pb2_grpc,
    news_service_pb2,
    news_service_pb2_grpc,
    profile_service_pb2,
    profile_service_pb2_grpc,
    report_service_pb2,
    report_service_pb2_grpc,
    snapshot_service_pb2,
    snapshot_service_pb2_grpc,
    tenant_service_pb2,
    tenant_service_pb2_grpc,
    trace_service_pb2,
    trace_service_pb2_grpc,
)

STUBS: Final[Mapping[str, Callable[[Any], object]]] = {
    "alerts": alert_service_pb2_grpc.AlertServiceStub,
    "catalog": catalog_service_pb2_grpc.CatalogServiceStub,
    "decisions": decision_service_pb2_grpc.DecisionServiceStub,
    "dispatch": dispatch_service_pb2_grpc.DispatchServiceStub,
    "embeddings": embedding_service_pb2_grpc.EmbeddingServiceStub,
    "news": news_service_pb2_grpc.NewsServiceStub,
    "profiles": profile_service_pb2_grpc.ProfileServiceStub,
    "reports": report_service_pb2_grpc.ReportServiceStub,
    "snapshots": snapshot_service_pb2_grpc.SnapshotServiceStub,
    "tenants": tenant_service_pb2_grpc.TenantServiceStub,
    "trace": trace_service_pb2_grpc.TraceServiceStub,
}

DESCRIPTORS: Final[tuple[ServiceDescriptor, ...]] = tuple(
    service
    for module in (
        alert_service_pb2,
        catalog_service_pb2,
        decision_service_pb2,
        dispatch_service_pb2,
        embedding_service_pb2,
        news_service_pb2,
        profile_service_pb2,
        report_service_pb2,
        snapshot_service_pb2,
        tenant_service_pb2,
        trace_service_pb2,
    )
    for service in module.DESCRIPTOR.services_by_name.values()
)


def wrapped(stub: object, wrap: Callable[[Any], Any]) -> Any:
    """An object with the stub's methods, each wrapped."""
    return type(type(stub).__name__, (), {name: staticmethod(wrap(m)) for name, m in vars(stub).items()})()
