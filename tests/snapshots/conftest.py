"""SnapshotService on the real server, and a pool as its processes have one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from leo.activation.v1 import snapshot_service_pb2 as wire
from leo.activation.v1.snapshot_service_pb2_grpc import SnapshotServiceStub

from server.embedded.database_setup import DatabaseUrls
from server.platform.clock import utc_now
from server.platform.postgres import Database
from server.snapshots.service import SnapshotService
from server.snapshots.store import SnapshotStore
from tests.fixtures.server import bearer
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor

if TYPE_CHECKING:
    from leo.activation.v1.snapshot_service_pb2_grpc import SnapshotServiceAsyncStub

SCOPES = ("snapshots.read", "snapshots.write")


class Snapshots:
    """The stub with a tenant's token."""

    def __init__(self, stub: SnapshotServiceAsyncStub, metadata: tuple[tuple[str, str], ...]) -> None:
        self._stub = stub
        self._metadata = metadata

    async def freeze(self, **fields: Any) -> wire.SnapshotResponse:
        """Snapshot, with a reason where none is given."""
        request = wire.SnapshotRequest(**{"reason": "spring offer", **fields})
        return await self._stub.Snapshot(request, metadata=self._metadata)

    async def get(self, snapshot_id: str) -> wire.Snapshot:
        """GetSnapshot."""
        request = wire.GetSnapshotRequest(snapshot_id=snapshot_id)
        return (await self._stub.GetSnapshot(request, metadata=self._metadata)).snapshot

    async def pages(
        self, snapshot_id: str, *, size: int = 0, token: str = ""
    ) -> AsyncIterator[wire.ListSnapshotMembersResponse]:
        """ListSnapshotMembers."""
        request = wire.ListSnapshotMembersRequest(snapshot_id=snapshot_id)
        request.page.page_size, request.page.page_token = size, token
        async for page in self._stub.ListSnapshotMembers(request, metadata=self._metadata):
            yield page

    async def members(self, snapshot_id: str, **page: Any) -> list[str]:
        """All members that the stream brings."""
        return [member async for part in self.pages(snapshot_id, **page) for member in part.profile_ids]

    async def named(self, segment_name: str, *, size: int = 0, token: str = "") -> wire.ListSnapshotsResponse:
        """ListSnapshots."""
        request = wire.ListSnapshotsRequest(segment_name=segment_name)
        request.page.page_size, request.page.page_token = size, token
        return await self._stub.ListSnapshots(request, metadata=self._metadata)

    async def differences(
        self,
        earlier: str,
        later: str,
        *changes: wire.SnapshotChange.ValueType,
        size: int = 0,
        token: str = "",
    ) -> list[wire.DiffSnapshotsResponse]:
        """DiffSnapshots."""
        request = wire.DiffSnapshotsRequest(from_snapshot_id=earlier, to_snapshot_id=later, changes=changes)
        request.page.page_size, request.page.page_token = size, token
        return [page async for page in self._stub.DiffSnapshots(request, metadata=self._metadata)]

    async def verify(self, snapshot_id: str) -> wire.VerifySnapshotResponse:
        """VerifySnapshot."""
        request = wire.VerifySnapshotRequest(snapshot_id=snapshot_id)
        return await self._stub.VerifySnapshot(request, metadata=self._metadata)


@pytest.fixture
def snapshots_of(channel: grpc.aio.Channel, token_for: TokenFor) -> Callable[[Tenant], Snapshots]:
    """`snapshots_of(tenant_a)` calls for the tenant."""
    stub: Any = SnapshotServiceStub(channel)
    return lambda tenant: Snapshots(stub, bearer(token_for(tenant, SCOPES)))


@pytest.fixture
def snapshots(snapshots_of: Callable[[Tenant], Snapshots], tenant_a: Tenant) -> Snapshots:
    """Calls for tenant A."""
    return snapshots_of(tenant_a)


@pytest.fixture
async def pool(database: DatabaseUrls) -> AsyncIterator[Database]:
    """A server's pool."""
    pool = await Database.connect(
        database.app_url, minimum_connections=2, maximum_connections=8, application_name="test-snapshots"
    )
    yield pool
    await pool.close()


@pytest.fixture
def service(pool: Database) -> SnapshotService:
    """The use cases, without a server around them."""
    return SnapshotService(database=pool, store=SnapshotStore(), clock=utc_now)
