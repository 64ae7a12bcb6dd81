"""TenantService through the real server."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import grpc
import orjson
import pytest
from leo.activation.v1 import contact_policy_pb2, types_pb2
from leo.activation.v1 import tenant_service_pb2 as wire
from leo.activation.v1.tenant_service_pb2_grpc import TenantServiceStub

from tests.fixtures.server import bearer
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor


class Tenants:
    """The service as an administrator calls it."""

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        self._stub = TenantServiceStub(channel)
        self._metadata = bearer(token)

    async def create(
        self, name: str = "Shop", client: str = "shop", **fields: Any
    ) -> wire.CreateTenantResponse:
        request = wire.CreateTenantRequest(
            tenant_name=name, keycloak_realm="retail", keycloak_client_id=client, **fields
        )
        return await self._stub.CreateTenant(request, metadata=self._metadata)

    async def get(self, tenant_id: str) -> wire.Tenant:
        request = wire.GetTenantRequest(tenant_id=tenant_id)
        return (await self._stub.GetTenant(request, metadata=self._metadata)).tenant

    async def update(self, tenant_id: str, **fields: Any) -> wire.Tenant:
        request = wire.UpdateTenantRequest(tenant_id=tenant_id, **fields)
        return (await self._stub.UpdateTenant(request, metadata=self._metadata)).tenant

    async def list(self, size: int = 0, token: str = "") -> wire.ListTenantsResponse:
        request = wire.ListTenantsRequest(page=types_pb2.PageRequest(page_size=size, page_token=token))
        return await self._stub.ListTenants(request, metadata=self._metadata)


@pytest.fixture
def tenants(channel: grpc.aio.Channel, token_for: TokenFor, tenant_a: Tenant) -> Tenants:
    return Tenants(channel, token_for(tenant_a, ["admin"]))


DEFAULTS = wire.TenantDefaults(
    frequency_caps=[
        contact_policy_pb2.FrequencyCap(channel="email", topic="offers", window_seconds=86_400, maximum=2)
    ],
    quiet_hours=contact_policy_pb2.QuietHours(
        start="22:00", end="07:00", days=[contact_policy_pb2.WEEKDAY_FRIDAY]
    ),
    holdout=wire.Holdout(fraction=0.05, seed=7),
)


async def test_a_tenant_keeps_what_it_was_created_with(tenants: Tenants) -> None:
    created = await tenants.create(defaults=DEFAULTS, settings=b'{"brand": "red"}')
    assert created.created
    stored = await tenants.get(created.tenant.tenant_id)
    assert stored == created.tenant
    assert stored.defaults == DEFAULTS
    assert orjson.loads(stored.settings) == {"brand": "red"}
    assert stored.status == wire.TENANT_STATUS_ACTIVE


async def test_the_same_realm_and_client_is_the_same_tenant(tenants: Tenants) -> None:
    first = await tenants.create()
    again = await tenants.create(defaults=DEFAULTS)
    assert (again.created, again.tenant) == (False, first.tenant)


@pytest.mark.parametrize(("name", "client"), [("Other", "shop"), ("Shop", "other")])
async def test_a_taken_name_or_client_is_refused(tenants: Tenants, name: str, client: str) -> None:
    await tenants.create()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await tenants.create(name, client)
    assert caught.value.code() == grpc.StatusCode.ALREADY_EXISTS


async def test_an_update_changes_only_what_it_names(tenants: Tenants) -> None:
    created = (await tenants.create(defaults=DEFAULTS, settings=b'{"a": 1}')).tenant
    suspended = await tenants.update(created.tenant_id, status=wire.TENANT_STATUS_SUSPENDED)
    assert suspended.status == wire.TENANT_STATUS_SUSPENDED
    assert (suspended.defaults, suspended.settings) == (DEFAULTS, created.settings)
    emptied = await tenants.update(created.tenant_id, defaults=wire.TenantDefaults(), settings=b"")
    assert (emptied.defaults, emptied.settings) == (wire.TenantDefaults(), b"{}")
    assert emptied.definitions_version > created.definitions_version
    assert await tenants.update(created.tenant_id, settings=b"{}") == emptied


async def test_a_name_of_another_tenant_is_refused(tenants: Tenants) -> None:
    await tenants.create()
    other = (await tenants.create("Other", "other")).tenant
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await tenants.update(other.tenant_id, tenant_name="Shop")
    assert caught.value.code() == grpc.StatusCode.ALREADY_EXISTS
    assert await tenants.get(other.tenant_id) == other


async def test_pages_hold_every_tenant_once(tenants: Tenants) -> None:
    for number in range(5):
        await tenants.create(f"Shop {number}", f"shop-{number}")
    whole = [tenant.tenant_id for tenant in (await tenants.list()).tenants]
    assert len(whole) == 6
    paged: list[str] = []
    token = ""
    while not paged or token:
        page = await tenants.list(4, token)
        paged += [tenant.tenant_id for tenant in page.tenants]
        token = page.page.next_page_token
    assert paged == whole


async def test_what_is_not_there_is_not_found(tenants: Tenants) -> None:
    for call in (tenants.get, tenants.update):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(str(uuid4()))
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND


BAD_FIELDS: list[dict[str, Any]] = [
    {"name": ""},
    {"name": "x" * 201},
    {"client": " "},
    {"settings": b"[]"},
    {"settings": b'{"a": 1e300}'},
    {"settings": b'{"a":' * 40 + b"1" + b"}" * 40},
    {"defaults": {"frequency_caps": [{"channel": "fax", "window_seconds": 60, "maximum": 1}]}},
    {"defaults": {"frequency_caps": [{"window_seconds": 59, "maximum": 1}]}},
    {"defaults": {"frequency_caps": [{"window_seconds": 60, "maximum": 0}]}},
    {"defaults": {"frequency_caps": [{"window_seconds": 60, "maximum": 1}] * 21}},
    {"defaults": {"quiet_hours": {"start": "24:00", "end": "07:00"}}},
    {"defaults": {"quiet_hours": {"start": "07:00", "end": "07:00"}}},
    {"defaults": {"holdout": {"fraction": 1.0}}},
    {"defaults": {"holdout": {"fraction": -0.1}}},
    {"defaults": {"holdout": {"fraction": 0.1, "seed": -1}}},
]


async def test_bad_input_is_refused_and_changes_nothing(tenants: Tenants) -> None:
    for fields in BAD_FIELDS:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await tenants.create(**fields)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT, fields
    assert len((await tenants.list()).tenants) == 1


async def test_a_made_up_page_token_is_refused(tenants: Tenants) -> None:
    for token in ("x", "e30", "WyJ4Il0", "é", "A" * 5000):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await tenants.list(1, token)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT, token


async def test_only_administrators_may(
    channel: grpc.aio.Channel, token_for: TokenFor, tenant_a: Tenant
) -> None:
    other = Tenants(channel, token_for(tenant_a, ["catalog.write"]))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await other.list()
    assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED
