"""Worker processes embed, and one that is killed in the middle loses nothing."""

from __future__ import annotations

import asyncpg

from tests.dispatch.channels.fakes.provider import FakeProvider, never
from tests.embeddings.conftest import KEY, MODEL, usual
from tests.embeddings.rows import Rows
from tests.fixtures.tenants import Tenant
from tests.workers.conftest import Workers, until
from tests.workers.conftest import workers as workers


async def test_a_killed_worker_loses_no_job(
    workers: Workers, rows: Rows, proof: asyncpg.Connection, endpoint: FakeProvider, tenant_a: Tenant
) -> None:
    """The first one is killed while the endpoint has its texts; the second takes them up when the lease is over."""
    settings = {
        "embeddings_url": endpoint.url,
        "embeddings_key": KEY,
        "embeddings_model": MODEL,
        "embeddings_batch": "2",
        "lease_seconds": "2",
        "send_seconds": "1",
    }
    endpoint.usual = lambda _received: never
    ids = [await rows.news(owner, f"news {place}") for place, owner in enumerate([tenant_a, None, tenant_a])]
    await rows.profile(tenant_a, "ann", "gold")
    first = workers.start(**settings)

    async def asked() -> bool:
        return endpoint.arrived.is_set()

    await until(asked)
    first.kill()
    assert await proof.fetchval("select count(*) from embedding_job where status = 'completed'") == 0

    endpoint.usual = usual
    second = workers.start(**settings)

    async def all_done() -> bool:
        return bool(await proof.fetchval("select bool_and(status = 'completed') from embedding_job"))

    await until(all_done)
    assert {(await rows.job(entity_id)).model for entity_id in [*ids, "ann"]} == {MODEL}
    assert second.stop() == 0
    assert KEY not in first.log_path.read_text() + second.log_path.read_text()
