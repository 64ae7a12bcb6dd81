"""/metrics and /healthz of a running server: of one process, and of several that share a port."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import asyncpg
import grpc
import psutil
import pytest
from leo.activation.v1 import decision_service_pb2 as wire
from leo_client import LeoClient
from prometheus_client.parser import text_string_to_metric_families

from server.config import ServerSettings
from server.embedded.database_setup import DatabaseUrls
from server.embedded.ports import free_port
from server.embedded.redis_server import RedisServer
from server.main import running_server as serve
from server.rpc.server import PortNotFree
from tests.decisions.shop import DAY_SECONDS, NOON, add_campaign, add_marketing_event, add_profile
from tests.decisions.waiting import until
from tests.fixtures.logs import LogReader
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor
from tests.platform.proxy import CuttingProxy
from tests.rpc.test_server import children_of, health, server_process
from tests.rpc.test_server import logged as next_logged

HEALTH_CHECK = {"method": "/grpc.health.v1.Health/Check", "code": "OK"}
CONNECTIONS = 40


class Pages:
    """Asks the two pages of a server."""

    def __init__(self, address: str, session: aiohttp.ClientSession) -> None:
        self._address = address
        self._session = session

    async def text(self) -> str:
        """The figures as Prometheus gets them."""
        async with self._session.get(f"http://{self._address}/metrics") as answer:
            assert answer.status == 200
            return await answer.text()

    async def figure(self, name: str, **labels: str) -> float | None:
        """One figure; None where there is none."""
        for family in text_string_to_metric_families(await self.text()):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return float(sample.value)
        return None

    async def health(self) -> int:
        """The status of /healthz."""
        async with self._session.get(f"http://{self._address}/healthz") as answer:
            return answer.status


@pytest.fixture
def settings(settings: ServerSettings) -> ServerSettings:
    """A server with both pages."""
    return settings.model_copy(update={"metrics_listen": f"127.0.0.1:{free_port()}"})


@pytest.fixture
async def pages(settings: ServerSettings) -> AsyncIterator[Pages]:
    """Where they are."""
    assert settings.metrics_listen is not None
    # A connection for each request: of several processes the kernel chooses for each connection.
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Pages(settings.metrics_listen, session)


@pytest.fixture
async def shop(app: asyncpg.Connection, tenant_a: Tenant) -> None:
    """Ann is thanked once a day at most."""
    await add_campaign(app, tenant_a, "loyalty")
    await add_profile(app, tenant_a, "ann")
    await add_marketing_event(app, tenant_a, "loyalty", "thanks", cooldown_seconds=DAY_SECONDS)


def purchase(number: int) -> wire.DecideRequest:
    """A purchase of ann's."""
    event = wire.Event(source_event_id=f"order-{number}", profile_id="ann", event_type="purchase")
    event.occurred_at.FromDatetime(NOON)
    return wire.DecideRequest(event=event)


@asynccontextmanager
async def asking(address: str, token: str) -> AsyncIterator[LeoClient]:
    async with LeoClient(address, token=token) as client:
        yield client


async def test_one_scrape_shows_what_all_processes_counted(settings: ServerSettings, pages: Pages) -> None:
    """`leo serve --workers 2`: by their pids both serve the port; by the sum each call was counted once."""
    pages_at = settings.metrics_listen
    assert pages_at is not None
    command = ("server.cli.main", "serve", "--workers", "2", "--metrics-listen", pages_at)
    silent = settings.model_copy(update={"metrics_listen": None})
    async with (
        server_process(silent, command=command) as (process, address),
        AsyncExitStack() as stack,
    ):
        for _ in range(CONNECTIONS):
            # Each channel has a connection of its own only with a pool of its own.
            options = [("grpc.use_local_subchannel_pool", 1)]
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(address, options=options))
            await health(channel)
        first, second = children_of(process.pid)
        assert connections_to(first, address) + connections_to(second, address) == CONNECTIONS
        assert connections_to(first, address) > 0 < connections_to(second, address)
        for _ in range(10):
            assert await pages.figure("leo_rpc_calls_total", **HEALTH_CHECK) == CONNECTIONS
        assert (
            await pages.figure("leo_database_connections", state="open")
            >= 2 * settings.database_minimum_connections
        )
        os.kill(first, signal.SIGKILL)
        await next_logged(process, "process_replaced")
        assert await pages.figure("leo_rpc_calls_total", **HEALTH_CHECK) == CONNECTIONS, (
            "what it counted stays"
        )
        assert str(first) not in await pages.text()
        assert await pages.figure("leo_reservation_redis") == 1


def connections_to(pid: int, address: str) -> int:
    """How many connections to the address a process has accepted."""
    port = int(address.rpartition(":")[2])
    accepted = psutil.Process(pid).net_connections(kind="tcp")
    return sum(c.status == psutil.CONN_ESTABLISHED and c.laddr.port == port for c in accepted)


async def test_the_gauge_follows_redis_away_and_back(
    settings: ServerSettings,
    pages: Pages,
    own_redis: RedisServer,
    shop: None,
    tenant_a: Tenant,
    token_for: TokenFor,
    logged: LogReader,
) -> None:
    reserving = ServerSettings.model_validate({**settings.model_dump(), "redis_url": own_redis.url})
    async with (
        serve(reserving) as address,
        asking(address, token_for(tenant_a, ["decisions.write"])) as client,
    ):
        await client.decisions.Decide(purchase(1))
        assert await pages.figure("leo_reservation_redis") == 1
        await asyncio.to_thread(own_redis.stop)
        decision = (await client.decisions.Decide(purchase(2))).decision
        assert decision.reason == wire.DECISION_REASON_COOLDOWN, "PostgreSQL decides, and is right"
        assert await pages.figure("leo_reservation_redis") == 0
        assert '"redis_reserves":false' in logged.text()
        await asyncio.to_thread(own_redis.start)

        async def healed() -> bool:
            return await pages.figure("leo_reservation_redis") == 1

        await until(healed)
        decision = (await client.decisions.Decide(purchase(3))).decision
        assert decision.reason == wire.DECISION_REASON_COOLDOWN


async def test_figures_name_methods_and_shapes_and_nobody(
    settings: ServerSettings, pages: Pages, shop: None, tenant_a: Tenant, token_for: TokenFor
) -> None:
    async with (
        serve(settings) as address,
        asking(address, token_for(tenant_a, ["decisions.write"])) as client,
    ):
        before = await pages.figure("leo_decide_batch_events_count", shape="event") or 0
        await client.decisions.Decide(purchase(1))
        assert await pages.figure("leo_decide_batch_events_count", shape="event") == before + 1
        for name in ("leo_decide_waiting", "leo_decide_oldest_wait_seconds", "leo_rpc_request_bytes"):
            assert await pages.figure(name) == 0
        assert await pages.figure("leo_decide_refused_total", shape="batch") == 0
        text = await pages.text()
    families = list(text_string_to_metric_families(text))
    ours = [sample for family in families if family.name.startswith("leo_") for sample in family.samples]
    assert {name for sample in ours for name in sample.labels} <= {
        "method",
        "code",
        "shape",
        "state",
        "provider",
        "reason",
        "kind",
        "end",
        "month",
        "le",
    }
    assert not any(word in text for word in ('"ann"', "order-1", "@", str(tenant_a)))


async def test_health_follows_postgresql(
    settings: ServerSettings, pages: Pages, database: DatabaseUrls
) -> None:
    async with CuttingProxy(database.app_url) as proxy:
        values = settings.model_dump() | {"database_url": proxy.url, "database_maximum_connections": 2}
        async with serve(ServerSettings.model_validate(values)):
            assert await pages.health() == 200
            proxy.lose_answers()
            assert await pages.health() == 503


async def test_a_port_that_is_taken_is_an_error(settings: ServerSettings) -> None:
    async with serve(settings):
        with pytest.raises(PortNotFree):
            async with serve(settings):
                pass
