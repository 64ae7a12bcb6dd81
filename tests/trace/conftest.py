"""TraceService on the real server, and histories to ask it about."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import grpc
import pytest
from leo.activation.v1 import trace_service_pb2 as wire
from leo.activation.v1.trace_service_pb2_grpc import TraceServiceStub

from tests.fixtures.server import bearer
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor
from tests.trace.history import History

GetJourney = Callable[..., Awaitable[wire.GetJourneyResponse]]


@pytest.fixture
def journey_for(channel: grpc.aio.Channel, token_for: TokenFor) -> GetJourney:
    """`await journey_for(tenant_a, "ann", size=2, token=…)` calls GetJourney."""
    stub: Any = TraceServiceStub(channel)

    async def call(
        tenant: Tenant, profile_id: str, *, size: int = 0, token: str = ""
    ) -> wire.GetJourneyResponse:
        request = wire.GetJourneyRequest(profile_id=profile_id)
        request.page.page_size, request.page.page_token = size, token
        answer: wire.GetJourneyResponse = await stub.GetJourney(
            request, metadata=bearer(token_for(tenant, ["trace.read"]))
        )
        return answer

    return call


@pytest.fixture
async def history(app: asyncpg.Connection, tenant_a: Tenant) -> History:
    """Tenant A's past, with definitions and no customers yet."""
    history = History(app, tenant_a)
    await history.begin()
    return history
