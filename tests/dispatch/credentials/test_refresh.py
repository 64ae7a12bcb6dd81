"""Tokens that rotate: renewed once, at once where the provider complains, and never lost with their answer."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import asyncpg
from aiohttp import web

from server.dispatch.credentials.jobs import CredentialJobs
from server.dispatch.credentials.service import place_of
from server.embedded.database_setup import DatabaseUrls
from server.platform.clock import utc_now
from server.platform.sealing import unseal
from tests.dispatch.channels.fakes.provider import FakeProvider, hang_up
from tests.dispatch.conftest import Fleet, Log
from tests.dispatch.credentials.conftest import KEYS, AccountsOf, Adapters, Customers
from tests.dispatch.credentials.zalo_world import ZaloWorld
from tests.fixtures.logs import LogReader, personal_data_in
from tests.fixtures.tenants import Tenant


async def test_a_refused_token_is_renewed_at_once_and_the_messages_go_out(
    zalo: ZaloWorld,
    accounts: AccountsOf,
    adapters: Adapters,
    keyed: Fleet,
    customers: Customers,
    log: Log,
    tenant_a: Tenant,
    logged: LogReader,
) -> None:
    account = zalo.account()
    await accounts.put(tenant_a, "zalo", "zalo_zns", account.values())
    sent = [await customers.send(tenant_a) for _ in range(3)]
    directory = keyed.directory(*adapters(zalo.urls()))

    await keyed.deliveries(directory).runner("zalo").drain()

    assert (account.renewals, account.reused, len(zalo.sent)) == (1, 0, 3)
    for each in sent:
        reasons = [reason for _, _, reason in await log.facts(each)]
        assert await log.status(each) == "sent"
        assert "ATTEMPTS_EXHAUSTED" not in reasons
    # The provider ends the token early: as above, without anybody waiting.
    account.access_token = "ended"
    again = await customers.send(tenant_a)
    stored = await accounts.stored(tenant_a)
    assert stored.refreshed_at is not None
    await accounts.write(tenant_a, replace(stored, refreshed_at=utc_now() - timedelta(hours=1)))
    await keyed.deliveries(directory).runner("zalo").drain()
    assert [(status, attempt) for status, attempt, _ in await log.facts(again)] == [
        ("queued", 0),
        ("sending", 1),
        ("deferred", 1),
        ("sending", 2),
        ("sent", 2),
    ]
    assert (account.renewals, account.reused) == (2, 0)
    assert (await accounts.stored(tenant_a)).version == 3
    assert logged.text().count('"credential_renewed"') == 2


async def test_two_processes_renew_once(
    zalo: ZaloWorld, accounts: AccountsOf, database: DatabaseUrls, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    """Each is told at the same moment that the token of version 1 was refused; both end with version 2."""
    tenants = {tenant_a: zalo.account("1"), tenant_b: zalo.account("2")}
    for tenant, account in tenants.items():
        await accounts.put(tenant, "zalo", "zalo_zns", account.values())
    processes = [await _renewing(database, zalo, list(tenants)) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
    answers = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))

    assert [answer[0].split() for answer in answers] == [[b"renewed"] * 10] * 2
    logs = b"".join(answer[1] for answer in answers).decode()
    assert logs.count('"credential_renewed"') == 2
    assert personal_data_in(logs) == []
    for tenant, account in tenants.items():
        assert (account.renewals, account.reused) == (1, 0)
        stored = await accounts.stored(tenant)
        assert stored.version == 2
        values = unseal(stored.sealed, place_of(UUID(int=tenant.int), stored), KEYS)
        assert (values["refresh_token"], values["access_token"]) == (
            account.refresh_token,
            account.access_token,
        )


async def test_a_token_is_renewed_when_its_time_has_come_and_not_before(
    zalo: ZaloWorld, accounts: AccountsOf, adapters: Adapters, keyed: Fleet, tenant_a: Tenant
) -> None:
    account = zalo.account()
    await accounts.put(tenant_a, "zalo", "zalo_zns", account.values())
    directory = keyed.directory(*adapters(zalo.urls()))
    jobs = CredentialJobs(database=keyed.database, store=accounts.store, directory=directory)

    for renewals in (1, 1):  # an account that was just put, whose access token is not known yet
        await jobs.renew_due()
        assert account.renewals == renewals
    stored = await accounts.stored(tenant_a)
    hours = (stored.expires_at - utc_now()) / timedelta(hours=1) if stored.expires_at else 0
    assert 24 < hours <= 25
    half_a_day_ago = utc_now() - timedelta(hours=12)
    await accounts.write(tenant_a, replace(stored, refreshed_at=half_a_day_ago + timedelta(minutes=1)))
    await jobs.renew_due()
    assert account.renewals == 1
    await accounts.write(tenant_a, replace(stored, refreshed_at=half_a_day_ago))
    await jobs.renew_due()
    # Tokens of an hour are renewed some minutes before they end.
    stored = await accounts.stored(tenant_a)
    soon = utc_now() + timedelta(minutes=4)
    await accounts.write(tenant_a, replace(stored, refreshed_at=soon - timedelta(hours=1), expires_at=soon))
    await jobs.renew_due()
    assert (account.renewals, account.reused) == (3, 0)


async def test_a_renewal_that_fails_is_tried_again_later_and_is_seen(
    zalo: ZaloWorld,
    accounts: AccountsOf,
    adapters: Adapters,
    keyed: Fleet,
    customers: Customers,
    log: Log,
    tenant_a: Tenant,
) -> None:
    """The answer is lost after Zalo rotated: the pair is gone, and a person has to authorise the account again."""
    account = zalo.account()
    values = account.values()
    await accounts.put(tenant_a, "zalo", "zalo_zns", values)
    directory = keyed.directory(*adapters(zalo.urls()))
    jobs = CredentialJobs(database=keyed.database, store=accounts.store, directory=directory)
    account.renew(values["refresh_token"])
    zalo.fake.scripts.append(hang_up)

    await jobs.renew_due()

    stored = await accounts.stored(tenant_a)
    assert stored.version == 1
    assert stored.last_error is not None
    assert (stored.last_error.failures, stored.last_error.lost) == (1, False)
    await jobs.renew_due()
    assert zalo.renewals_asked() == 1  # not before a minute has passed
    error = replace(stored.last_error, at=utc_now() - timedelta(minutes=1))
    await accounts.write(tenant_a, replace(stored, last_error=error))
    await jobs.renew_due()
    stored = await accounts.stored(tenant_a)
    assert stored.last_error is not None
    assert (stored.last_error.reason, stored.last_error.lost) == ("ZALO_REFRESH_REFUSED", True)
    assert account.reused == 1
    waiting = await customers.send(tenant_a)
    keyed.attempts, keyed.retry_seconds = 10, 3600.0
    await keyed.deliveries(directory).runner("zalo").drain()
    assert await log.status(waiting) == "deferred"
    assert zalo.renewals_asked() == 2
    # Its owner puts a new pair: the error is gone, and so is the wait.
    await accounts.put(tenant_a, "zalo", "zalo_zns", account.values())
    assert (await accounts.stored(tenant_a)).last_error is None
    await jobs.renew_due()
    assert (await accounts.stored(tenant_a)).version == 3


async def test_an_answer_is_kept_while_the_database_is_away(
    zalo: ZaloWorld,
    accounts: AccountsOf,
    adapters: Adapters,
    keyed: Fleet,
    database: DatabaseUrls,
    tenant_a: Tenant,
    logged: LogReader,
) -> None:
    """Every connection ends between the provider's answer and the commit: the new pair is stored all the same."""
    account = zalo.account()
    await accounts.put(tenant_a, "zalo", "zalo_zns", account.values())
    superuser = await asyncpg.connect(database.superuser_url)
    loop = asyncio.get_running_loop()

    async def cut_connections() -> None:
        await superuser.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name = 'test-worker' and datname = current_database()"
        )

    async def rotate_and_cut(_fake: FakeProvider, _request: web.Request) -> web.StreamResponse:
        form = zalo.fake.received[-1].form()
        reply = account.renew(form["refresh_token"])
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(cut_connections(), loop))
        return web.json_response(reply.body)

    zalo.fake.scripts.append(rotate_and_cut)
    directory = keyed.directory(*adapters(zalo.urls()))
    await directory.renew_due(UUID(int=tenant_a.int))
    await superuser.close()

    stored = await accounts.stored(tenant_a)
    values = unseal(stored.sealed, place_of(UUID(int=tenant_a.int), stored), KEYS)
    assert (stored.version, values["refresh_token"]) == (2, account.refresh_token)
    assert (account.renewals, account.reused) == (1, 0)
    assert '"credential_not_renewed"' in logged.text()


async def _renewing(
    database: DatabaseUrls, zalo: ZaloWorld, tenants: list[Tenant]
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.dispatch.credentials.renewing_process",
        database.worker_url,
        zalo.fake.url,
        *(str(UUID(int=tenant.int)) for tenant in tenants),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
