"""Look-alikes: who resembles a customer or a segment, within one tenant, by the index and exactly."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from uuid import UUID

import asyncpg
import grpc
import pytest
from leo.activation.v1 import profile_service_pb2 as wire

from loadtest.bench.news_recall import TOP, Corpus, recall_of
from server.embedded.database_setup import DatabaseUrls
from server.embeddings.hashing import HashingEmbedder, hashed
from server.embeddings.jobs import EmbeddingJobs
from server.embeddings.model import Patience
from server.embeddings.store import EmbeddingStore
from server.platform.clock import utc_now
from server.platform.postgres import Database
from server.platform.postgres_codecs import register_codecs
from server.profiles.similar import SimilarLimits, SimilarProfiles
from server.profiles.similar_store import SimilarStore
from tests.fixtures.tenants import Tenant, register_tenant
from tests.profiles.conftest import Profiles

MODEL = HashingEmbedder.model
_EXACT = """
select profile_id from cdp_profiles
where tenant_id = $1 and profile_id <> $2
order by interest_embedding <=> (select interest_embedding from cdp_profiles where tenant_id = $1 and profile_id = $2)
limit $3
"""


_SIGNS = """
select p.profile_id, vector_signs::text as signs,
    vector_signs is not distinct from binary_quantize(interest_embedding)::bit(1536) as kept
from cdp_profiles as p
left join embedding_job as j
    on j.tenant_id = p.tenant_id and entity_type = 'profile_vector' and entity_id = profile_id
order by profile_id
"""


@pytest.fixture
async def opened(database: DatabaseUrls) -> AsyncIterator[Database]:
    opened = await Database.connect(
        database.app_url, minimum_connections=1, maximum_connections=2, application_name="test"
    )
    yield opened
    await opened.close()


async def embed_all(database: DatabaseUrls) -> None:
    """What a worker does."""
    opened = await Database.connect(
        database.worker_url, minimum_connections=1, maximum_connections=2, application_name="test"
    )
    await EmbeddingJobs(
        database=opened,
        store=EmbeddingStore(),
        embedder=HashingEmbedder(),
        patience=Patience(attempts=3),
        lease=timedelta(minutes=1),
        clock=utc_now,
        worker="test",
    ).run()
    await opened.close()


def named(*values: str) -> wire.TextList:
    return wire.TextList(values=values)


async def similar(profiles: Profiles, **fields: object) -> wire.SimilarProfilesResponse:
    request = wire.SimilarProfilesRequest(**fields)  # type: ignore[arg-type]
    answer: wire.SimilarProfilesResponse = await profiles.stub.SimilarProfiles(
        request, metadata=profiles.metadata
    )
    return answer


async def ids(profiles: Profiles, **fields: object) -> list[str]:
    return [each.profile_id for each in (await similar(profiles, **fields)).profiles]


async def test_profiles_that_are_written_are_found_by_what_they_like(
    profiles: Profiles, other_profiles: Profiles, database: DatabaseUrls
) -> None:
    """From the RPC that writes them, through the queue, to the RPC that finds them."""
    await profiles.upsert(
        {"profile_id": "ann", "interests": named("gold", "silver"), "segments": named("metals")},
        {"profile_id": "bo", "interests": named("gold", "silver", "opera"), "segments": named("metals")},
        {"profile_id": "cy", "interests": named("gold mining"), "job_titles": named("geologist")},
        {"profile_id": "di", "interests": named("football")},
        {"profile_id": "ed"},
    )
    await other_profiles.upsert({"profile_id": "ann", "interests": named("gold", "silver")})
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await similar(profiles, profile_id="ann")
    assert raised.value.code() is grpc.StatusCode.FAILED_PRECONDITION

    await embed_all(database)
    found = await similar(profiles, profile_id="ann")
    assert [each.profile_id for each in found.profiles] == ["bo", "cy", "di"]
    assert (found.model, found.members, found.exact) == (MODEL, 1, True)
    assert 1 > found.profiles[0].similarity > found.profiles[1].similarity > 0.05
    assert await ids(profiles, profile_id="ann", limit=1) == ["bo"]
    assert await ids(other_profiles, profile_id="ann") == []

    of_segment = await similar(profiles, segment="metals")
    assert ([each.profile_id for each in of_segment.profiles], of_segment.members) == (["cy", "di"], 2)
    everybody = await ids(profiles, segment="metals", include_members=True)
    assert sorted(everybody[:2]) == ["ann", "bo"]
    assert everybody[2:] == ["cy", "di"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"profile_id": "nobody"}, grpc.StatusCode.NOT_FOUND),
        ({"segment": "empty"}, grpc.StatusCode.FAILED_PRECONDITION),
        ({}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"segment": "x", "limit": 1001}, grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_what_can_not_be_compared_is_said(
    profiles: Profiles, fields: dict[str, object], code: grpc.StatusCode
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await similar(profiles, **fields)
    assert raised.value.code() is code


async def fill(proof: asyncpg.Connection, tenant: Tenant, corpus: Corpus, count: int) -> None:
    """Profiles with vectors of a few interests each."""
    await register_codecs(proof)
    rows = [(UUID(int=tenant.int), f"p{place}", hashed(corpus.headline(6)), MODEL) for place in range(count)]
    columns = ("tenant_id", "profile_id", "interest_embedding", "interest_embedding_model")
    await proof.copy_records_to_table("cdp_profiles", columns=columns, records=rows)


async def exact(proof: asyncpg.Connection, tenant: Tenant, profile_ids: Sequence[str]) -> list[list[str]]:
    """What is nearest to each, by comparing everything."""
    async with proof.transaction():
        await proof.execute("set local enable_indexscan = off")
        answers = [await proof.fetch(_EXACT, UUID(int=tenant.int), each, TOP) for each in profile_ids]
    return [[row["profile_id"] for row in rows] for rows in answers]


async def test_the_index_finds_what_is_nearest_also_for_a_small_tenant(
    opened: Database, database: DatabaseUrls, proof: asyncpg.Connection, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    corpus = Corpus(11)
    small = await register_tenant(database, Tenant("tenant-c"))
    for tenant, count in ((tenant_a, 1_000), (tenant_b, 470), (small, 30)):
        await fill(proof, tenant, corpus, count)
    asked = [f"p{place}" for place in range(8)]
    for tenant in (tenant_a, tenant_b, small):
        nearest = await exact(proof, tenant, asked)
        for limits in (SimilarLimits(exact=0, candidates=200), SimilarLimits()):
            service = SimilarProfiles(database=opened, store=SimilarStore(), model=MODEL, limits=limits)

            async def search(
                profile_id: str, service: SimilarProfiles = service, tenant: Tenant = tenant
            ) -> Sequence[str]:
                found = await service.of_profile(UUID(int=tenant.int), profile_id, TOP)
                return [each.profile_id for each in found.profiles]

            assert await recall_of(asked, nearest, search) >= 0.95


async def test_a_search_among_many_uses_the_index(
    app: asyncpg.Connection,
    proof: asyncpg.Connection,
    database: DatabaseUrls,
    tenant_a: Tenant,
    tenant_b: Tenant,
) -> None:
    for tenant in (tenant_a, tenant_b):
        await fill(proof, tenant, Corpus(3), 200)
        await proof.execute(
            "insert into cdp_profiles (tenant_id, profile_id, interests)"
            " select $1, 'q' || n, '[\"gold\"]' from generate_series(1, 6000) as n",
            UUID(int=tenant.int),
        )
    superuser = await asyncpg.connect(database.superuser_url)
    await superuser.execute("analyze cdp_profiles, embedding_job")
    await superuser.close()
    await register_codecs(app)
    store = SimilarStore()
    async with app.transaction():
        await app.execute("select set_config('app.current_tenant_id', $1, true)", str(tenant_a))
        await store.prepare_search(app, candidates=200, visits=10_000)
        query = "explain " + store._queries["nearest_of_many"]
        arguments = (UUID(int=tenant_a.int), MODEL, hashed("gold"), None, None, 10, 50)
        plan = "\n".join(row[0] for row in await app.fetch(query, *arguments))
    assert "embedding_job_vector_signs" in plan


async def test_what_a_search_finds_a_vector_by_is_kept_as_the_vector(
    app: asyncpg.Connection, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    """By whoever writes it, and in no row that waits for a worker."""
    await fill(proof, tenant_a, Corpus(5), 4)
    await proof.execute("update cdp_profiles set interests = '[\"gold\"]' where profile_id = 'p3'")
    async with app.transaction():
        await app.execute("select set_config('app.current_tenant_id', $1, true)", str(tenant_a))
        await app.execute("update cdp_profiles set interest_embedding = null where profile_id = 'p0'")
        await app.execute(
            "update cdp_profiles"
            " set interest_embedding = interest_embedding * array_fill(-1, array[1536])::vector"
            " where profile_id = 'p1'"
        )
        await app.execute(
            "insert into cdp_profiles (tenant_id, profile_id) values ($1, 'q')", UUID(int=tenant_a.int)
        )
    rows = await proof.fetch(_SIGNS)
    assert [(row["profile_id"], row["kept"], row["signs"] is None) for row in rows] == [
        ("p0", True, True),
        ("p1", True, False),
        ("p2", True, False),
        ("p3", True, False),
        ("q", True, True),
    ]
    assert await proof.fetchval("select count(*) from embedding_job where status = 'pending'") == 1
