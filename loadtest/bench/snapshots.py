"""Benchmarks of Snapshot, held against a bare INSERT … SELECT into the same table."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from uuid import UUID

import asyncpg
from leo.activation.v1 import snapshot_service_pb2 as wire
from leo_client import LeoClient

from loadtest.bench.benchmark import Benchmark, Pair, Sample, Sizes
from loadtest.bench.driving import NotReconciled
from loadtest.bench.stage import Stage
from loadtest.bench.world import World, fill, tenant_client, tenant_id
from server.embedded.database_setup import DatabaseUrls

_LABEL = "vip"
_LONGEST_SECONDS = 280.0
_FEWEST = 100
_SNAPSHOT = """
insert into segment_snapshot (
    tenant_id, snapshot_id, segment_name, segment_version, snapshot_reason, audience_sha256, member_count
)
values ($1, $2, $2, '1', 'bench', $2, $3)
"""
_MEMBERS = """
insert into segment_snapshot_member (tenant_id, snapshot_id, profile_id)
select $1, $2, profile_id
from cdp_profiles
where tenant_id = $1 and erased_at is null and segments @> '["vip"]'
"""
_STORED = "select count(*) from segment_snapshot_member where tenant_id = $1 and snapshot_id = $2"


def of_members(nominal: int) -> Callable[[Stage, Sizes, int], Awaitable[list[Pair]]]:
    """Rounds on one database, which begins fresh; every round freezes the audience under a new name."""

    async def rounds(stage: Stage, sizes: Sizes, count: int) -> list[Pair]:
        members = max(_FEWEST, int(nominal * sizes.share))
        async with stage.database() as database:
            await fill(database, World(1, members), definitions=False)
            async with stage.server(database) as server:
                token = stage.token(tenant_client(0), ("snapshots.write",))
                async with LeoClient(server.address, token=token) as client:
                    return [await _round(stage, database, client, members, n) for n in range(count)]

    return rounds


async def _round(stage: Stage, database: DatabaseUrls, client: LeoClient, members: int, number: int) -> Pair:
    proof = await asyncpg.connect(database.proof_url)
    tenant = await tenant_id(proof)
    await stage.settle()
    if number % 2:
        product = await _product(proof, tenant, client, members, number)
        await stage.settle()
        baseline = await _bare(proof, tenant, database.app_url, members)
    else:
        baseline = await _bare(proof, tenant, database.app_url, members)
        await stage.settle()
        product = await _product(proof, tenant, client, members, number)
    await proof.close()
    return product, baseline


async def _product(
    proof: asyncpg.Connection, tenant: UUID, client: LeoClient, members: int, number: int
) -> Sample:
    audience = wire.ConditionAudience(
        name=f"bench-{number}",
        condition=b'{"attribute": "segment", "operator": "contains", "value": "%s"}' % _LABEL.encode(),
    )
    begin = time.perf_counter()
    response = await client.snapshots.Snapshot(
        wire.SnapshotRequest(condition=audience, reason="benchmark"), timeout=_LONGEST_SECONDS
    )
    seconds = time.perf_counter() - begin
    if not response.created or response.snapshot.member_count != members:
        raise NotReconciled(f"{members} profiles, but the answer is {response.snapshot}")
    return await _sample(proof, tenant, response.snapshot.snapshot_id, members, seconds)


async def _bare(proof: asyncpg.Connection, tenant: UUID, url: str, members: int) -> Sample:
    snapshot_id = secrets.token_hex(32)
    connection = await asyncpg.connect(url)
    begin = time.perf_counter()
    async with connection.transaction():
        await connection.execute("select set_config('app.current_tenant_id', $1, true)", str(tenant))
        await connection.execute(_SNAPSHOT, tenant, snapshot_id, members)
        await connection.execute(_MEMBERS, tenant, snapshot_id)
    seconds = time.perf_counter() - begin
    await connection.close()
    return await _sample(proof, tenant, snapshot_id, members, seconds)


async def _sample(
    proof: asyncpg.Connection, tenant: UUID, snapshot_id: str, members: int, seconds: float
) -> Sample:
    stored = await proof.fetchval(_STORED, tenant, snapshot_id)
    if stored != members:
        raise NotReconciled(f"the snapshot of {members} profiles has {stored} members")
    return Sample(seconds * 1000, {"rows": stored})


BENCHMARKS = tuple(
    Benchmark(f"snapshot_{members}", "ms", of_members(members), "bare INSERT … SELECT, no hash")
    for members in (10_000, 1_000_000)
)
