"""From an account that a tenant puts to a message that a worker process sends, renewing its token on the way."""

from __future__ import annotations

import json
from collections.abc import Iterator

import grpc
import pytest
from leo.activation.v1 import dispatch_service_pb2 as wire
from leo.activation.v1.dispatch_service_pb2_grpc import DispatchServiceStub

from tests.dispatch.conftest import Log
from tests.dispatch.credentials.zalo_world import TEMPLATE, ZaloWorld
from tests.dispatch.decided import Decisions
from tests.fixtures.logs import personal_data_in
from tests.fixtures.server import CREDENTIAL_KEYS, bearer
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor
from tests.workers.conftest import Workers, until


@pytest.fixture
def zalo() -> Iterator[ZaloWorld]:
    """Zalo, over HTTP."""
    world = ZaloWorld()
    world.start()
    yield world
    world.end()


async def test_two_workers_send_over_a_new_account_and_renew_its_token_once(
    workers: Workers,
    zalo: ZaloWorld,
    decisions: Decisions,
    channel: grpc.aio.Channel,
    token_for: TokenFor,
    log: Log,
    tenant_a: Tenant,
) -> None:
    account = zalo.account()
    stub = DispatchServiceStub(channel)
    await stub.PutChannelCredential(
        wire.PutChannelCredentialRequest(channel="zalo", provider="zalo_zns", values=account.values()),
        metadata=bearer(token_for(tenant_a, ["channels.write"])),
    )
    definitions = await decisions.define(tenant_a, channels=["zalo"], metadata=TEMPLATE)
    sent = []
    for number in range(30):
        profile_id = await decisions.profile(
            tenant_a, f"p{number}", addresses={"zalo": f"849012345{number:02}"}, consented=["zalo"]
        )
        sent.append(await decisions.send(definitions, profile_id, channels=["zalo"]))
    urls = json.dumps(zalo.urls())
    pair = [
        workers.start(provider_urls=urls, credential_keys=CREDENTIAL_KEYS, circuit_failures="100")
        for _ in range(2)
    ]

    async def all_sent() -> bool:
        return {await log.status(each) for each in sent} == {"sent"}

    await until(all_sent)

    assert sorted(zalo.sent) == sorted(f"849012345{number:02}" for number in range(30))
    assert (account.renewals, account.reused) == (1, 0)
    for worker in pair:
        assert worker.stop() == 0
        assert personal_data_in(worker.log_path.read_text()) == []
