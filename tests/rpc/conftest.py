"""A bare server with the service of four kinds: no database behind it, tokens as in production."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import grpc
import pytest
from prometheus_client import CollectorRegistry

from server.embedded.token_issuer import AUDIENCE, ISSUER, TokenIssuer
from server.platform.telemetry import RpcTelemetry
from server.rpc.authentication import Authenticator
from server.rpc.keys import FileKeys
from server.rpc.registry import Deadlines, ServiceRegistry
from server.rpc.server import RpcServer
from tests.fixtures.server import bearer
from tests.rpc.four_kinds import SCOPE, FourKinds, add_to_server

MAX_MESSAGE_BYTES = 4 * 1024 * 1024


@dataclass
class KnownTenants:
    """Tenants without a database, by client."""

    ids: dict[str, UUID] = field(default_factory=dict)

    async def resolve(self, realm: str, client: str) -> UUID | None:
        """As a TenantDirectory."""
        return self.ids.get(client)


@dataclass
class BareServer:
    """A running server with the service of four kinds."""

    address: str
    channel: grpc.aio.Channel
    servicer: FourKinds
    metrics: CollectorRegistry
    tenants: KnownTenants
    metadata: tuple[tuple[str, str], ...]
    server: RpcServer


@pytest.fixture
def deadlines() -> Deadlines:
    """Overridden where a test is about them."""
    return Deadlines(default=20, longest=60, longest_stream=60)


@pytest.fixture
def metrics() -> CollectorRegistry:
    """The figures of the bare server."""
    return CollectorRegistry()


@pytest.fixture
def tenants() -> KnownTenants:
    """The tenants that the bare server knows."""
    return KnownTenants({"a-client": uuid4()})


@pytest.fixture
def bare_registry(
    token_issuer: TokenIssuer, deadlines: Deadlines, metrics: CollectorRegistry, tenants: KnownTenants
) -> ServiceRegistry:
    """A registry without services."""
    return ServiceRegistry(
        authenticator=Authenticator(
            issuer=ISSUER, audience=AUDIENCE, keys=FileKeys(token_issuer.jwks_path), tenants=tenants
        ),
        telemetry=RpcTelemetry(metrics),
        deadlines=deadlines,
    )


@pytest.fixture
async def bare(
    bare_registry: ServiceRegistry,
    token_issuer: TokenIssuer,
    metrics: CollectorRegistry,
    tenants: KnownTenants,
) -> AsyncIterator[BareServer]:
    """The server, and metadata with a good token."""
    servicer = FourKinds(str)
    add_to_server(servicer, bare_registry)
    server = RpcServer(registry=bare_registry, max_message_bytes=MAX_MESSAGE_BYTES, share_port=False)
    address = await server.start("127.0.0.1:0")
    token = token_issuer.issue(client_id="a-client", scopes=[SCOPE])
    async with grpc.aio.insecure_channel(address) as channel:
        yield BareServer(address, channel, servicer, metrics, tenants, bearer(token), server)
    servicer.release.set()
    await server.drain(5)
