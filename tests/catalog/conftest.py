"""The catalogue as two tenants call it."""

from __future__ import annotations

from typing import Any

import grpc
import orjson
import pytest
from leo.activation.v1 import catalog_service_pb2 as wire
from leo.activation.v1.catalog_service_pb2_grpc import CatalogServiceStub

from tests.fixtures.server import bearer
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor

SPENDERS = {"attribute": "profile.total_spent", "operator": ">=", "value": 100}


class Catalog:
    """The service with one tenant's token."""

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        self._stub = CatalogServiceStub(channel)
        self._metadata = bearer(token)

    async def call(self, method: str, **fields: Any) -> Any:
        """Any method, by its name and the fields of its request."""
        request = getattr(wire, f"{method}Request")(**fields)
        return await getattr(self._stub, method)(request, metadata=self._metadata)

    async def refusal(self, method: str, **fields: Any) -> grpc.StatusCode:
        """The code that a call fails with."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.call(method, **fields)
        return caught.value.code()

    async def put_campaign(self, campaign_id: str = "spring", **fields: Any) -> Any:
        return await self.call("PutCampaign", campaign=campaign(campaign_id, **fields))

    async def put_template(self, **fields: Any) -> Any:
        return await self.call("PutMessageTemplate", message_template=template(**fields))

    async def put_event(self, **fields: Any) -> Any:
        return await self.call("PutMarketingEvent", marketing_event=event(**fields))


def campaign(campaign_id: str = "spring", **fields: Any) -> dict[str, Any]:
    """A good campaign."""
    return {
        "campaign_id": campaign_id,
        "campaign_code": f"{campaign_id}-code",
        "campaign_name": "Spring",
        "objective": "CONVERSION",
        "status": wire.CAMPAIGN_STATUS_ACTIVE,
        **fields,
    }


def audience(name: str = "spenders", condition: Any = SPENDERS) -> dict[str, Any]:
    """A segment."""
    return {"name": name, "condition": orjson.dumps(condition)}


def template(**fields: Any) -> dict[str, Any]:
    """A good template."""
    return {
        "template_name": "thanks",
        "channel": "email",
        "subject_template": "Thanks, {{ profile.name }}",
        "body_template": "You spent {{ event.amount }}.",
        **fields,
    }


def event(**fields: Any) -> dict[str, Any]:
    """A good marketing event."""
    return {
        "campaign_id": "spring",
        "event_name": "thanks",
        "event_type": wire.MARKETING_EVENT_TYPE_TRIGGER,
        "channels": ["email"],
        "trigger_event_type": "purchase",
        "template_name": "thanks",
        "cooldown_seconds": 3600,
        **fields,
    }


@pytest.fixture
def catalog(channel: grpc.aio.Channel, token_for: TokenFor, tenant_a: Tenant) -> Catalog:
    return Catalog(channel, token_for(tenant_a, ["catalog.read", "catalog.write"]))


@pytest.fixture
def other_catalog(channel: grpc.aio.Channel, token_for: TokenFor, tenant_b: Tenant) -> Catalog:
    return Catalog(channel, token_for(tenant_b, ["catalog.read", "catalog.write"]))


@pytest.fixture
async def ready(catalog: Catalog) -> Catalog:
    """A catalogue with a campaign and a template."""
    await catalog.put_campaign()
    await catalog.put_template()
    return catalog
