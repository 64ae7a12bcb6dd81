"""Profiles as two tenants call them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import grpc
import pytest
from leo.activation.v1 import profile_service_pb2 as wire
from leo.activation.v1.profile_service_pb2_grpc import ProfileServiceStub

from server.embedded.database_setup import DatabaseUrls
from server.platform.postgres import Database
from tests.decisions.test_lost_answers import CuttingProxy
from tests.fixtures.server import bearer
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor

CREATED = wire.PROFILE_WRITE_OUTCOME_CREATED
UPDATED = wire.PROFILE_WRITE_OUTCOME_UPDATED
UNCHANGED = wire.PROFILE_WRITE_OUTCOME_UNCHANGED
STALE = wire.PROFILE_WRITE_OUTCOME_STALE
REFUSED = wire.PROFILE_WRITE_OUTCOME_REFUSED
SUPPRESSED = wire.PROFILE_WRITE_OUTCOME_SUPPRESSED


class Profiles:
    """The service with one tenant's token."""

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        self.stub = ProfileServiceStub(channel)
        self.metadata = bearer(token)

    async def upsert(self, *patches: dict[str, Any], region: str = "") -> list[int]:
        """The outcome of each patch."""
        return [result.outcome for result in await self.results(*patches, region=region)]

    async def results(self, *patches: dict[str, Any], region: str = "") -> list[wire.ProfileWriteResult]:
        """The result of each patch."""
        request = wire.UpsertProfilesRequest(
            profiles=[wire.ProfilePatch(**patch) for patch in patches], default_region=region
        )
        return list((await self.stub.UpsertProfiles(request, metadata=self.metadata)).results)

    async def importing(
        self, parts: Sequence[Sequence[dict[str, Any]]], *, sequences: Sequence[int] | None = None
    ) -> list[wire.ImportProfilesResponse]:
        """The answers to parts of an import over one stream; their sequences count from 1."""
        requests = [
            wire.ImportProfilesRequest(
                sequence=sequence, profiles=[wire.ProfilePatch(**patch) for patch in patches]
            )
            for sequence, patches in zip(sequences or range(1, len(parts) + 1), parts, strict=True)
        ]
        return [answer async for answer in self.stub.ImportProfiles(iter(requests), metadata=self.metadata)]

    async def ingest(self, *events: dict[str, Any]) -> wire.IngestEventsResponse:
        """The answer to events in one call."""
        request = wire.IngestEventsRequest(events=[wire.BehavioralEvent(**event) for event in events])
        return await self.stub.IngestEvents(request, metadata=self.metadata)

    async def consent(self, *consents: dict[str, Any]) -> list[wire.ProfileWriteResult]:
        """The result of each consent."""
        request = wire.SetConsentsRequest(consents=[wire.Consent(**consent) for consent in consents])
        return list((await self.stub.SetConsents(request, metadata=self.metadata)).results)

    async def get(self, profile_id: str = "c1") -> wire.GetProfileResponse:
        request = wire.GetProfileRequest(profile_id=profile_id)
        return await self.stub.GetProfile(request, metadata=self.metadata)


@pytest.fixture
def profiles(channel: grpc.aio.Channel, token_for: TokenFor, tenant_a: Tenant) -> Profiles:
    return Profiles(channel, token_for(tenant_a, ["profiles.read", "profiles.write"]))


@pytest.fixture
def other_profiles(channel: grpc.aio.Channel, token_for: TokenFor, tenant_b: Tenant) -> Profiles:
    return Profiles(channel, token_for(tenant_b, ["profiles.read", "profiles.write"]))


@pytest.fixture
async def superuser(database: DatabaseUrls) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A connection that may do anything."""
    connection = await asyncpg.connect(database.superuser_url)
    yield connection
    await connection.close()


@asynccontextmanager
async def database_through_proxy(url: str) -> AsyncIterator[tuple[Database, CuttingProxy]]:
    """A pool whose next COMMIT, once the proxy is armed, arrives, and has no answer."""
    proxy = CuttingProxy(url, cut_at=b"COMMIT\x00")
    pool = await Database.connect(
        await proxy.start(), minimum_connections=1, maximum_connections=2, application_name="test-cut"
    )
    yield pool, proxy
    await pool.close()
    await proxy.stop()


class NobodyListens:
    """Takes what was written, and does nothing about it."""

    def offer(self, *_: object, **__: object) -> None:
        """Forget it."""
