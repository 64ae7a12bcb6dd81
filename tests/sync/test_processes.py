"""Workers follow a source: one is killed in the middle of a page, and another goes on; what all of them show."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from uuid import UUID

import asyncpg

from server.embedded.database_setup import DatabaseUrls
from server.embedded.ports import free_port
from server.sync.model import SourceType
from tests.fixtures.server import CREDENTIAL_KEYS
from tests.fixtures.tenants import Tenant
from tests.sync.conftest import Crm, Following, profiles_of
from tests.workers.conftest import Workers, until
from tests.workers.conftest import workers as workers

CUSTOMERS = 2_100
_BLOCKED = (
    "select exists (select from pg_stat_activity"
    " where datname = current_database() and wait_event_type = 'Lock')"
)


async def test_a_killed_worker_neither_loses_nor_doubles_and_two_never_run_one_source(
    workers: Workers,
    following: Following,
    crm: Crm,
    database: DatabaseUrls,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
    tenant_b: Tenant,
) -> None:
    await crm.add(CUSTOMERS)
    for tenant in (tenant_a, tenant_b):
        await following.put(tenant, SourceType.POSTGRESQL, crm.described, password=crm.password)
    blocker = await asyncpg.connect(database.superuser_url)
    transaction = blocker.transaction()
    await transaction.start()
    # A customer of the third page, whom nobody else can make until this ends.
    await blocker.execute(
        "insert into cdp_profiles (tenant_id, profile_id, ext_id) values ($1, 'blocks', 'crm-1300')", tenant_a
    )

    async def blocked() -> bool:
        return bool(await crm.connection.fetchval(_BLOCKED))

    settings = {
        "sync_hosts": "127.0.0.1:*",
        "credential_keys": CREDENTIAL_KEYS,
        "lease_seconds": "2",
        "send_seconds": "1",
    }
    first = workers.start(**settings)
    await first.ready()
    await until(blocked)
    first.kill()
    state = await proof.fetchrow("select * from data_sources where tenant_id = $1", tenant_a)
    assert state is not None
    assert (state["read_count"], json.loads(state["sync_cursor"])["key"]) == (1_000, "1000")
    assert len(await profiles_of(proof, tenant_a)) == 1_000
    await transaction.rollback()
    await blocker.close()

    metrics = f"127.0.0.1:{free_port()}"
    pair = [workers.start(**settings, metrics_listen=metrics), workers.start(**settings)]
    for worker in pair:
        await worker.ready()

    async def done() -> bool:
        query = "select count(*) from data_sources where last_success_at is not null"
        return bool(await proof.fetchval(query) == 2)

    await until(done)
    wanted = {f"crm-{number}" for number in range(1, CUSTOMERS + 1)}
    for tenant in (tenant_a, tenant_b):
        assert set(await profiles_of(proof, tenant)) == wanted
        condition = (await following.get(tenant)).condition
        assert (condition.total.read, condition.total.written) == (CUSTOMERS, CUSTOMERS), "each page once"

    # Asked for again and again, while both workers look for work: each document is read by one of them.
    await crm.execute("""update crm."Customers" set tier = 'new', changed_at = now() - interval '1 hour'""")
    await asyncio.gather(*(following.service.sync_now(UUID(int=tenant_a.int), "crm") for _ in range(5)))

    async def taken_in() -> bool:
        condition = (await following.get(tenant_a)).condition
        return condition.total.read == 2 * CUSTOMERS and not condition.is_running

    await until(taken_in)
    following.open("*:*")
    await following.put(tenant_b, SourceType.POSTGRESQL, {**crm.described, "port": 1}, password=crm.password)

    async def shown() -> bool:
        text = await asyncio.to_thread(_scraped, metrics)
        return 'leo_data_sources{state="degraded"} 1.0' in text and "leo_sync_runs_total" in text

    await until(shown)
    assert [worker.stop() for worker in pair] == [0, 0]


def _scraped(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        return str(answer.read().decode())
