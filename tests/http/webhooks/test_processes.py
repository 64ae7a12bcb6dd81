"""Webhooks of `leo serve` as users start it, and `leo worker` beside it."""

from __future__ import annotations

import asyncio

import aiohttp

from server.config import ServerSettings
from server.embedded.ports import free_port
from tests.fixtures.tenants import Tenant
from tests.http.webhooks.conftest import Shop, Site
from tests.http.webhooks.wires import Sendgrid
from tests.rpc.test_server import server_process
from tests.workers.conftest import Workers, until, workers

__all__ = ["workers"]
MESSAGES = 20


async def test_two_processes_take_receipts_and_a_worker_finds_the_rest(
    settings: ServerSettings, shop: Shop, workers: Workers, tenant_a: Tenant
) -> None:
    """Each receipt comes over connections of its own, twice; those that came before their rows are matched later."""
    wire = Sendgrid()
    await shop.account(tenant_a, wire)
    known = [await shop.sent(tenant_a, "email", f"known-{number}") for number in range(MESSAGES)]
    listen = f"127.0.0.1:{free_port()}"
    serving = settings.model_copy(update={"webhook_listen": listen})
    command = ("server.cli.main", "serve", "--workers", "2")
    connector = aiohttp.TCPConnector(force_close=True)
    async with (
        server_process(serving, command=command),
        aiohttp.ClientSession(connector=connector) as session,
    ):
        site = Site(listen, session)
        requests = [wire.sent(wire.delivered(f"known-{number}")) for number in range(MESSAGES)]
        requests.append(wire.sent(wire.delivered("early")))
        answers = await asyncio.gather(*(site.post(tenant_a, wire.name, request) for request in requests * 2))
        assert set(answers) == {(200, "")}
    for decided in known:
        assert await shop.receipts(decided) == [("delivered", None)]
    assert len(await shop.aside(tenant_a)) == 1

    early = await shop.sent(tenant_a, "email", "early")
    workers.start()

    async def ended() -> bool:
        [kept] = await shop.aside(tenant_a)
        return bool(kept["status"] == "completed")

    await until(ended)
    assert await shop.receipts(early) == [("delivered", None)]
