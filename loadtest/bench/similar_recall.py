"""How many of the nearest look-alikes are found: small tenants among large ones, held against exact search."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from statistics import median
from typing import Any, Final
from uuid import UUID

import asyncpg
from leo.activation.v1 import profile_service_pb2 as wire
from leo_client import LeoClient

from loadtest.bench.benchmark import Benchmark, Pair, Sample, Sizes
from loadtest.bench.news_recall import TOP, Corpus, recall_of
from loadtest.bench.stage import Stage
from loadtest.bench.world import World, fill, tenant_client, tenant_id
from server.embedded.database_setup import DatabaseUrls
from server.embeddings.hashing import HashingEmbedder, hashed
from server.platform.postgres_codecs import register_codecs

_PROFILES: Final = 100_000
_FEWEST: Final = 3_000
_ASKED: Final = 25
_INTERESTS: Final = 6
# The last one is small enough to be compared with one by one, at the full size.
_SHARES: Final = {"largest": 0.55, "large": 0.3, "middle": 0.12, "small": 0.025, "tiny": 0.005}
_INDEX: Final = "embedding_job_vector_signs"
_EXACT: Final = """
select profile_id
from cdp_profiles
where tenant_id = $1 and profile_id <> $2
order by
    interest_embedding <=> (select interest_embedding from cdp_profiles where tenant_id = $1 and profile_id = $2),
    profile_id
limit $3
"""


async def rounds(stage: Stage, sizes: Sizes, count: int) -> list[Pair]:
    """Rounds on one database; each asks for others, of each tenant in turn."""
    profiles = max(_FEWEST, int(_PROFILES * sizes.share))
    async with stage.database() as database:
        await fill(database, World(len(_SHARES), 0), definitions=False)
        await _fill(database, profiles)
        async with stage.server(database) as server:
            return [(await _round(stage, database, server.address, n), None) for n in range(count)]


async def _fill(database: DatabaseUrls, profiles: int) -> None:
    """Profiles with their vectors; the index is built once they are there, which takes a fraction of the time."""
    owner = await asyncpg.connect(database.owner_url)
    index = await owner.fetchval("select pg_get_indexdef($1::text::regclass)", _INDEX)
    await owner.execute(f"drop index {_INDEX}")
    proof = await asyncpg.connect(database.proof_url)
    await register_codecs(proof)
    corpus = Corpus(13)
    columns = ("tenant_id", "profile_id", "interest_embedding", "interest_embedding_model")
    for number, share in enumerate(_SHARES.values()):
        rows = _rows(await tenant_id(proof, number), corpus, round(profiles * share))
        await proof.copy_records_to_table("cdp_profiles", columns=columns, records=rows)
    await owner.execute("set maintenance_work_mem = '512MB'")
    await owner.execute(index)
    await proof.close()
    await owner.close()


def _rows(tenant: UUID, corpus: Corpus, count: int) -> Iterator[tuple[Any, ...]]:
    for place in range(count):
        yield tenant, f"p{place}", hashed(corpus.headline(_INTERESTS)), HashingEmbedder.model


async def _round(stage: Stage, database: DatabaseUrls, address: str, number: int) -> Sample:
    """Valued by the tenant whose searches find least."""
    proof = await asyncpg.connect(database.proof_url)
    figures: dict[str, float] = {}
    for tenant, name in enumerate(_SHARES):
        owner = await tenant_id(proof, tenant)
        stored = await proof.fetchval("select count(*) from cdp_profiles where tenant_id = $1", owner)
        asked = [f"p{(number * _ASKED + place) * 37 % stored}" for place in range(_ASKED)]
        seconds: list[float] = []
        async with LeoClient(address, token=stage.token(tenant_client(tenant), ("profiles.read",))) as client:
            figures[name] = await recall_of(
                asked, await _exact(proof, owner, asked), partial(_search, client, seconds)
            )
        figures[f"{name}_p50_ms"] = median(seconds) * 1000
    rows: int = await proof.fetchval("select count(*) from cdp_profiles")
    await proof.close()
    return Sample(min(figures[name] for name in _SHARES), {"rows": rows, **figures})


async def _exact(proof: asyncpg.Connection, owner: UUID, asked: Sequence[str]) -> list[list[str]]:
    async with proof.transaction():
        await proof.execute("set local enable_indexscan = off")
        answers = [await proof.fetch(_EXACT, owner, profile_id, TOP) for profile_id in asked]
    return [[row["profile_id"] for row in rows] for rows in answers]


async def _search(client: LeoClient, seconds: list[float], profile_id: str) -> list[str]:
    begin = time.perf_counter()
    answer = await client.profiles.SimilarProfiles(
        wire.SimilarProfilesRequest(profile_id=profile_id, limit=TOP)
    )
    seconds.append(time.perf_counter() - begin)
    return [each.profile_id for each in answer.profiles]


BENCHMARKS = (Benchmark("similar_recall", "share of the exact top 10", rounds, detailed=True),)
