"""The queue: what waits is embedded, whoever fails, and nobody's failure is another's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import orjson
import pytest

from server.embedded.database_setup import DatabaseUrls
from server.embeddings.embedder import Embedder, Vector
from server.embeddings.endpoint import EndpointEmbedder
from server.embeddings.hashing import hashed
from server.embeddings.jobs import EmbeddingJobs
from server.embeddings.model import Patience
from server.embeddings.store import EmbeddingStore
from server.platform.postgres import Database
from tests.dispatch.channels.fakes.provider import FakeProvider, Reply
from tests.embeddings.conftest import MODEL, usual
from tests.embeddings.rows import Job, Rows
from tests.fixtures.erasing import erase
from tests.fixtures.tenants import Tenant

DONE = Job("completed", 1, None, MODEL)


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


class Runs:
    """Makes jobs of workers of different names."""

    def __init__(self, database: Database, embedder: Embedder) -> None:
        self.clock = Clock()
        self._database = database
        self.embedder = embedder

    def worker(self, name: str = "worker", *, embedder: Embedder | None = None) -> EmbeddingJobs:
        return EmbeddingJobs(
            database=self._database,
            store=EmbeddingStore(),
            embedder=embedder or self.embedder,
            patience=Patience(attempts=3, first_seconds=0),
            lease=timedelta(minutes=1),
            clock=self.clock,
            worker=name,
        )


@pytest.fixture
async def runs(database: DatabaseUrls, asking: EndpointEmbedder) -> AsyncIterator[Runs]:
    opened = await Database.connect(
        database.worker_url, minimum_connections=1, maximum_connections=4, application_name="test"
    )
    yield Runs(opened, asking)
    await opened.close()


async def test_news_of_tenants_and_global_ones_get_their_vectors(
    runs: Runs, rows: Rows, endpoint: FakeProvider, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    ids = {await rows.news(owner, f"news {owner}"): owner for owner in (tenant_a, tenant_b, None)}
    await runs.worker().run()
    for news_id, owner in ids.items():
        assert await rows.job(news_id) == DONE
        assert await rows.likeness(news_id, list(hashed(f"news {owner}"))) == pytest.approx(1, abs=1e-5)
    assert len(endpoint.received) == 1


async def test_a_text_that_is_refused_dies_and_the_others_go_on(
    runs: Runs, rows: Rows, endpoint: FakeProvider, tenant_a: Tenant
) -> None:
    endpoint.usual = lambda received: Reply(400) if b"poison" in received.body else usual(received)
    good = [await rows.news(tenant_a, f"good {place}") for place in range(5)]
    bad = await rows.news(tenant_a, "poison")
    await runs.worker().run()
    assert [await rows.job(news_id) for news_id in good] == [DONE] * 5
    assert await rows.job(bad) == Job("failed", 1, "HTTP_400", None)


async def test_a_text_that_the_endpoint_always_fails_at_dies_after_its_attempts(
    runs: Runs, rows: Rows, endpoint: FakeProvider, tenant_a: Tenant
) -> None:
    """The endpoint works for everything else, so the text is to blame."""
    endpoint.usual = lambda received: Reply(500) if b"crash" in received.body else usual(received)
    good = [await rows.news(tenant_a, f"good {place}") for place in range(3)]
    bad = await rows.news(tenant_a, "crash")
    await runs.worker().run()
    assert [await rows.job(news_id) for news_id in good] == [DONE] * 3
    assert await rows.job(bad) == Job("failed", 3, "HTTP_500", None)


@pytest.mark.parametrize("fault", [Reply(500), Reply(429, headers={"Retry-After": "30"}), Reply(401)])
async def test_an_endpoint_that_is_away_kills_nothing_and_is_left_alone(
    runs: Runs, rows: Rows, proof: asyncpg.Connection, endpoint: FakeProvider, tenant_a: Tenant, fault: Reply
) -> None:
    endpoint.usual = lambda _received: fault
    first = await rows.news(tenant_a, "first")
    worker = runs.worker()
    for _ in range(5):
        await worker.run()
        runs.clock.now += timedelta(minutes=15)
        await proof.execute("update embedding_job set due_at = now()")
    asked = len(endpoint.received)
    job = await rows.job(first)
    assert (job.status, job.attempts) == ("pending", 0)
    assert job.error == f"HTTP_{fault.status}"

    endpoint.usual = usual
    runs.clock.now -= timedelta(minutes=15)
    second = await rows.news(tenant_a, "second")
    await worker.run()
    if fault.status == 429:
        assert len(endpoint.received) == asked, "it was asked before it wished to be"
    runs.clock.now += timedelta(minutes=15)
    await worker.run()
    assert [await rows.job(first), await rows.job(second)] == [DONE, DONE]


async def test_a_lease_that_ran_out_is_taken_over_and_the_first_one_ends_nothing(
    runs: Runs, rows: Rows, proof: asyncpg.Connection, endpoint: FakeProvider, tenant_a: Tenant
) -> None:
    news_id = await rows.news(tenant_a, "slow")
    taken_over = []

    class Late:
        """Brings another vector, after somebody else took the job over and did it."""

        model, batch_size = MODEL, 4

        async def embed(self, texts: Sequence[str]) -> list[Vector]:
            vectors = await runs.embedder.embed(texts)
            await proof.execute("update embedding_job set lease_until = now()")
            await runs.worker("second").run()
            taken_over.append(await rows.job(news_id))
            return [vector[::-1] for vector in vectors]

        async def close(self) -> None:
            """Nothing."""

    await runs.worker("first", embedder=Late()).run()
    assert taken_over == [Job("completed", 2, None, MODEL)]
    assert await rows.job(news_id) == taken_over[0]
    assert await rows.likeness(news_id, list(hashed("slow"))) == pytest.approx(1, abs=1e-5)


async def test_a_profile_is_embedded_by_what_it_is_and_does(
    runs: Runs, rows: Rows, app: asyncpg.Connection, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await rows.profile(tenant_a, "ann", "gold", "crypto", titles=("analyst",))
    await rows.profile(tenant_a, "blank")
    await app.execute("select ensure_month(now()::date)")
    await proof.execute(
        "insert into behavioral_events (tenant_id, event_key, profile_id, source_event_id, event_type,"
        " entity_type, entity_id, occurred_at) values ($1, 'k', 'ann', 'e', 'view', 'NEWS', 'n7', now())",
        UUID(int=tenant_a.int),
    )
    await runs.worker().run()
    assert await rows.job("ann") == DONE
    expected = hashed("analyst\ngold, crypto\nview NEWS n7")
    assert await rows.likeness("ann", list(expected)) == pytest.approx(1, abs=1e-5)
    assert await proof.fetchval("select count(*) from embedding_job where entity_id = 'blank'") == 0


async def test_only_a_change_of_what_a_vector_is_made_of_makes_a_new_one(
    runs: Runs, rows: Rows, proof: asyncpg.Connection, endpoint: FakeProvider, tenant_a: Tenant
) -> None:
    await rows.profile(tenant_a, "ann", "gold")
    await runs.worker().run()
    await proof.execute("update cdp_profiles set living_location = 'Hue', interests = '[\"gold\"]'")
    assert (await rows.job("ann")).status == "completed"
    await proof.execute("update embedding_job set status = 'pending'")
    await runs.worker().run()
    assert len(endpoint.received) == 1, "the same text was embedded twice"

    await proof.execute("update cdp_profiles set interests = '[\"oil\"]'")
    assert (await rows.job("ann")).status == "pending"
    await runs.worker().run()
    assert await rows.likeness("ann", list(hashed("oil"))) == pytest.approx(1, abs=1e-5)

    await proof.execute("update cdp_profiles set interests = '[]'")
    await runs.worker().run()
    assert await rows.likeness("ann", list(hashed("oil"))) is None


async def test_a_profile_that_changes_while_it_is_embedded_is_embedded_again(
    runs: Runs, rows: Rows, proof: asyncpg.Connection, endpoint: FakeProvider, tenant_a: Tenant
) -> None:
    await rows.profile(tenant_a, "ann", "gold")
    changed = []

    class Changing:
        """Changes the profile while it is embedded, once."""

        model, batch_size = MODEL, 4

        async def embed(self, texts: Sequence[str]) -> list[Vector]:
            vectors = await runs.embedder.embed(texts)
            if not changed:
                changed.append(await proof.execute("update cdp_profiles set interests = '[\"oil\"]'"))
            return vectors

        async def close(self) -> None:
            """Nothing."""

    await runs.worker(embedder=Changing()).run()
    assert [orjson.loads(received.body)["input"] for received in endpoint.received] == [["gold"], ["oil"]]
    assert await rows.likeness("ann", list(hashed("oil"))) == pytest.approx(1, abs=1e-5)
    assert (await rows.job("ann")).status == "completed"


async def test_an_erased_profile_gets_no_vector(
    runs: Runs, rows: Rows, app: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await rows.profile(tenant_a, "ann", "gold")
    async with app.transaction():
        await app.execute("select set_config('app.current_tenant_id', $1, true)", str(UUID(int=tenant_a.int)))
        await erase(app, "ann")
    await runs.worker().run()
    assert (await rows.job("ann")).status == "cancelled"
    assert await rows.likeness("ann", list(hashed("gold"))) is None


async def test_many_profiles_are_queued_by_one_statement(proof: asyncpg.Connection, tenant_a: Tenant) -> None:
    await proof.execute(
        "insert into cdp_profiles (tenant_id, profile_id, interests)"
        " select $1, 'p' || n, '[\"gold\"]' from generate_series(1, 3000) as n",
        UUID(int=tenant_a.int),
    )
    assert await proof.fetchval("select count(*) from embedding_job where status = 'pending'") == 3000
