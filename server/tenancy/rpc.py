"""TenantService on the wire: messages to models and back."""

from __future__ import annotations

from typing import Final

import orjson
from google.protobuf.message import Message
from grpc.aio import ServicerContext
from leo.activation.v1 import tenant_service_pb2 as wire
from leo.activation.v1 import tenant_service_pb2_grpc

from server.tenancy.model import Holdout, NewTenant, Tenant, TenantChange, TenantDefaults
from server.tenancy.service import TenantService
from server.wire import (
    from_frequency_caps,
    from_quiet_hours,
    to_contact_policy,
    to_page_request,
    to_page_response,
    to_timestamp,
)

_STATUSES: Final = {
    "active": wire.TENANT_STATUS_ACTIVE,
    "suspended": wire.TENANT_STATUS_SUSPENDED,
    "archived": wire.TENANT_STATUS_ARCHIVED,
}
_STATUS_NAMES: Final = {number: name for name, number in _STATUSES.items()}


class TenantServicer(tenant_service_pb2_grpc.TenantServiceServicer):
    """Converts and delegates."""

    def __init__(self, *, service: TenantService) -> None:
        self._service = service

    async def CreateTenant(
        self, request: wire.CreateTenantRequest, context: ServicerContext[Message, Message]
    ) -> wire.CreateTenantResponse:
        """Create a tenant, or find it."""
        tenant, created = await self._service.create_tenant(
            NewTenant(
                tenant_name=request.tenant_name,
                keycloak_realm=request.keycloak_realm,
                keycloak_client_id=request.keycloak_client_id,
                defaults=_to_defaults(request.defaults),
                settings=request.settings,
            )
        )
        return wire.CreateTenantResponse(tenant=_from_tenant(tenant), created=created)

    async def GetTenant(
        self, request: wire.GetTenantRequest, context: ServicerContext[Message, Message]
    ) -> wire.GetTenantResponse:
        """One tenant."""
        return wire.GetTenantResponse(tenant=_from_tenant(await self._service.get_tenant(request.tenant_id)))

    async def ListTenants(
        self, request: wire.ListTenantsRequest, context: ServicerContext[Message, Message]
    ) -> wire.ListTenantsResponse:
        """Tenants, page by page."""
        page = await self._service.list_tenants(to_page_request(request.page))
        return wire.ListTenantsResponse(
            tenants=[_from_tenant(tenant) for tenant in page.items], page=to_page_response(page.next_token)
        )

    async def UpdateTenant(
        self, request: wire.UpdateTenantRequest, context: ServicerContext[Message, Message]
    ) -> wire.UpdateTenantResponse:
        """Change what is present."""
        tenant = await self._service.update_tenant(
            TenantChange(
                tenant_id=request.tenant_id,
                tenant_name=request.tenant_name if request.HasField("tenant_name") else None,
                status=_STATUS_NAMES.get(request.status),
                defaults=_to_defaults(request.defaults) if request.HasField("defaults") else None,
                settings=request.settings if request.HasField("settings") else None,
            )
        )
        return wire.UpdateTenantResponse(tenant=_from_tenant(tenant))


def _to_defaults(message: wire.TenantDefaults) -> TenantDefaults:
    quiet_hours = message.quiet_hours if message.HasField("quiet_hours") else None
    holdout = message.holdout if message.HasField("holdout") else None
    return TenantDefaults(
        to_contact_policy(message.frequency_caps, quiet_hours),
        Holdout(holdout.fraction, holdout.seed) if holdout else None,
    )


def _from_defaults(defaults: TenantDefaults) -> wire.TenantDefaults:
    holdout = defaults.holdout
    return wire.TenantDefaults(
        frequency_caps=from_frequency_caps(defaults.policy),
        quiet_hours=from_quiet_hours(defaults.policy),
        holdout=wire.Holdout(fraction=holdout.fraction, seed=holdout.seed) if holdout else None,
    )


def _from_tenant(tenant: Tenant) -> wire.Tenant:
    return wire.Tenant(
        tenant_id=str(tenant.tenant_id),
        tenant_name=tenant.tenant_name,
        keycloak_realm=tenant.keycloak_realm,
        keycloak_client_id=tenant.keycloak_client_id,
        status=_STATUSES[tenant.status],
        defaults=_from_defaults(tenant.defaults),
        settings=orjson.dumps(tenant.settings),
        definitions_version=tenant.definitions_version,
        created_at=to_timestamp(tenant.created_at),
        updated_at=to_timestamp(tenant.updated_at),
    )
