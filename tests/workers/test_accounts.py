"""From an account that a tenant puts to a message that a worker process sends, renewing its token on the way."""

from __future__ import annotations

import json
from collections.abc import Iterator

import grpc
import pytest
from leo.activation.v1 import dispatch_service_pb2 as wire
from leo.activation.v1.dispatch_service_pb2_grpc import DispatchServiceStub

from tests.dispatch.channels.fakes.provider import never
from tests.dispatch.conftest import Log
from tests.dispatch.credentials.zalo_world import TEMPLATE, Account, ZaloWorld
from tests.dispatch.decided import Decided, Decisions
from tests.dispatch.scripted_smtp import ScriptedSmtp
from tests.fixtures.logs import personal_data_in
from tests.fixtures.server import CREDENTIAL_KEYS, bearer
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor
from tests.workers.conftest import Workers, until

MESSAGES = 30


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
    await _put(channel, account, token_for(tenant_a, ["channels.write"]))
    sent = await _queued(decisions, tenant_a)
    urls = json.dumps(zalo.urls())
    pair = [
        workers.start(provider_urls=urls, credential_keys=CREDENTIAL_KEYS, circuit_failures="100")
        for _ in range(2)
    ]

    async def all_sent() -> bool:
        return {await log.status(each) for each in sent} == {"sent"}

    await until(all_sent)

    assert sorted(zalo.sent) == sorted(f"849012345{number:02}" for number in range(MESSAGES))
    assert (account.renewals, account.reused) == (1, 0)
    for worker in pair:
        assert worker.stop() == 0
        assert personal_data_in(worker.log_path.read_text()) == []


async def test_a_provider_that_never_answers_holds_up_no_other_channel(
    workers: Workers,
    zalo: ZaloWorld,
    decisions: Decisions,
    channel: grpc.aio.Channel,
    smtp: ScriptedSmtp,
    token_for: TokenFor,
    log: Log,
    tenant_a: Tenant,
) -> None:
    """One worker with two places at Zalo: mail goes out while they wait for an answer that never comes."""
    account = zalo.account()
    await _put(channel, account, token_for(tenant_a, ["channels.write"]))
    zalo.fake.usual = lambda _: never
    held = await _queued(decisions, tenant_a)
    workers.start(
        provider_urls=json.dumps(zalo.urls()),
        provider_connections="2",
        credential_keys=CREDENTIAL_KEYS,
        smtp_url=smtp.url,
    )

    async def zalo_waits() -> bool:
        return zalo.fake.arrived.is_set()

    await until(zalo_waits)
    definitions = await decisions.define(tenant_a)
    mails = [
        await decisions.send(definitions, await decisions.profile(tenant_a, f"m{number}"))
        for number in range(MESSAGES)
    ]

    async def mails_sent() -> bool:
        return {await log.status(each) for each in mails} == {"sent"}

    await until(mails_sent)
    assert "sent" not in {await log.status(each) for each in held}


async def _put(channel: grpc.aio.Channel, account: Account, token: str) -> None:
    request = wire.PutChannelCredentialRequest(channel="zalo", provider="zalo_zns", values=account.values())
    await DispatchServiceStub(channel).PutChannelCredential(request, metadata=bearer(token))


async def _queued(decisions: Decisions, tenant: Tenant) -> list[Decided]:
    """Messages over Zalo to as many customers."""
    definitions = await decisions.define(tenant, channels=["zalo"], metadata=TEMPLATE)
    queued = []
    for number in range(MESSAGES):
        profile_id = await decisions.profile(
            tenant, f"p{number}", addresses={"zalo": f"849012345{number:02}"}, consented=["zalo"]
        )
        queued.append(await decisions.send(definitions, profile_id, channels=["zalo"]))
    return queued
