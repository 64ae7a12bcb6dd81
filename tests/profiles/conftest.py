"""Profiles as two tenants call them."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from leo.activation.v1 import profile_service_pb2 as wire
from leo.activation.v1.profile_service_pb2_grpc import ProfileServiceStub

from tests.fixtures.server import bearer
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor

CREATED = wire.PROFILE_WRITE_OUTCOME_CREATED
UPDATED = wire.PROFILE_WRITE_OUTCOME_UPDATED
UNCHANGED = wire.PROFILE_WRITE_OUTCOME_UNCHANGED
STALE = wire.PROFILE_WRITE_OUTCOME_STALE
REFUSED = wire.PROFILE_WRITE_OUTCOME_REFUSED


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
