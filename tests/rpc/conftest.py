"""A bare server with the service of four kinds: no database behind it, tokens as in production."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import grpc
import pytest

from server.embedded.token_issuer import AUDIENCE, ISSUER, TokenIssuer
from server.rpc.authentication import Authenticator
from server.rpc.in_flight import InFlight
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
    in_flight: InFlight
    tenants: KnownTenants
    metadata: tuple[tuple[str, str], ...]
    server: RpcServer


@pytest.fixture
def deadlines() -> Deadlines:
    """Overridden where a test is about them."""
    return Deadlines(default=20, longest=60, longest_stream=60)


@pytest.fixture
def in_flight() -> InFlight:
    """Overridden where a test is about it."""
    return InFlight(maximum_bytes=64 * 1024 * 1024)


@pytest.fixture
def tenants() -> KnownTenants:
    """The tenants that the bare server knows."""
    return KnownTenants({"a-client": uuid4()})


@pytest.fixture
def bare_registry(
    token_issuer: TokenIssuer, deadlines: Deadlines, in_flight: InFlight, tenants: KnownTenants
) -> ServiceRegistry:
    """A registry without services."""
    return ServiceRegistry(
        authenticator=Authenticator(
            issuer=ISSUER, audience=AUDIENCE, keys=FileKeys(token_issuer.jwks_path), tenants=tenants
        ),
        deadlines=deadlines,
        in_flight=in_flight,
    )


@pytest.fixture
async def bare(
    bare_registry: ServiceRegistry,
    token_issuer: TokenIssuer,
    in_flight: InFlight,
    tenants: KnownTenants,
) -> AsyncIterator[BareServer]:
    """The server, and metadata with a good token."""
    servicer = FourKinds(str)
    add_to_server(servicer, bare_registry)
    server = RpcServer(registry=bare_registry, max_message_bytes=MAX_MESSAGE_BYTES, share_port=False)
    address = await server.start("127.0.0.1:0")
    token = token_issuer.issue(client_id="a-client", scopes=[SCOPE])
    async with grpc.aio.insecure_channel(address) as channel:
        yield BareServer(address, channel, servicer, in_flight, tenants, bearer(token), server)
    servicer.release.set()
    await server.drain(5)
