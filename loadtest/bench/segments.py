"""Benchmark of segments: a million profiles judged anew in twenty of them, of whom one in a hundred changed."""

from __future__ import annotations

import time
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from loadtest.bench.benchmark import Benchmark, Pair, Sample, Sizes
from loadtest.bench.driving import NotReconciled
from loadtest.bench.processes import cpu_of
from loadtest.bench.stage import Stage
from loadtest.bench.world import World, fill, tenant_id
from server.embedded.database_setup import DatabaseUrls
from server.platform.clock import utc_now
from server.platform.postgres import Database
from server.segments.evaluation import SegmentEvaluation
from server.segments.model import FIRST_PARAMETER, judgement
from server.segments.store import SegmentStore

_PROFILES: Final = 1_000_000
_FEWEST: Final = 500
_CHANGED_ONE_IN: Final = 100
_EVENTS_ONE_IN: Final = 5
_CAMPAIGN = """
insert into campaign (tenant_id, campaign_id, campaign_code, campaign_name, objective, status, audience)
select $1, name, name, name, '', 'active', jsonb_build_object('name', name, 'version', '1', 'condition', condition)
from unnest($2::text[], $3::jsonb[]) as segment (name, condition)
"""
_EVENTS = """
insert into behavioral_events (tenant_id, event_key, profile_id, source_event_id, event_type, occurred_at)
select tenant_id, leo_key_id('event', tenant_id, profile_id), profile_id, profile_id, 'purchase',
    now() - (hashtext(profile_id) & 1023) * interval '1 hour'
from cdp_profiles
where tenant_id = $1 and hashtext(profile_id) % $2 = 0
"""
_CHANGE = """
update cdp_profiles
set raw_attributes = raw_attributes || jsonb_build_object('purchase_count', $3::int % 9, 'tier', $3::int % 3)
where tenant_id = $1 and abs(hashtext(profile_id)) % $2 = $3::int % $2
"""
_MOVES = "select count(*) from behavioral_events where event_type like 'segment.%'"


def conditions() -> dict[str, Any]:
    """Twenty segments: attributes and lists, text and numbers, ages, and three windows over past events."""

    def leaf(attribute: str, operator: str, value: Any) -> dict[str, Any]:
        return {"attribute": attribute, "operator": operator, "value": value}

    counted = [
        {
            "all": [
                leaf("profile.purchase_count", "==", number),
                leaf("profile.primary_email", "ends_with", f"{number}@example.com"),
            ]
        }
        for number in range(1, 9)
    ]
    tiers = [
        {
            "all": [
                leaf("profile.tier", "==", tier),
                leaf("segment", "contains", "vip"),
                leaf("profile.ext_id", "glob", f"crm-*{tier}{tier}"),
            ]
        }
        for tier in range(3)
    ]
    others = [
        leaf("profile.city", "in", ["Saigon", "Hanoi"]),
        leaf("profile.language", "==", "en"),
        leaf("profile.created_at", "older_than", "30d"),
        {"not": leaf("profile.time_zone", "starts_with", "Asia/")},
        {"any": [leaf("profile.ext_id", "glob", "crm-1*77"), leaf("profile.purchase_count", ">", 8)]},
        leaf("profile.primary_email", "starts_with", "p99"),
        leaf("count(purchase, 2d)", ">=", 1),
        leaf("count(purchase, 3d)", ">=", 2),
        leaf("last_seen(purchase)", "older_than", "40d"),
    ]
    return {f"segment {number:02}": each for number, each in enumerate([*counted, *tiers, *others])}


async def rounds(stage: Stage, sizes: Sizes, count: int) -> list[Pair]:
    """A first round that writes everybody, then rounds over what changed in between."""
    profiles = max(_FEWEST, int(_PROFILES * sizes.share))
    async with stage.database() as database:
        await fill(database, World(1, profiles), definitions=False)
        proof = await asyncpg.connect(database.proof_url)
        tenant = await tenant_id(proof)
        await _define(proof, database, tenant)
        pool = await Database.connect(
            database.worker_url, minimum_connections=1, maximum_connections=2, application_name="bench"
        )
        try:
            return await _rounds(stage, proof, pool, tenant, count)
        finally:
            await pool.close()
            await proof.close()


async def _rounds(
    stage: Stage, proof: asyncpg.Connection, pool: Database, tenant: UUID, count: int
) -> list[Pair]:
    evaluation = SegmentEvaluation(database=pool, store=SegmentStore(), clock=utc_now)
    first = await _round(stage, proof, evaluation, tenant)
    at_first = {"first_round_s": first.value, "first_round_rows": first.extra["rows"]}
    pairs: list[Pair] = []
    for number in range(count):
        await proof.execute(_CHANGE, tenant, _CHANGED_ONE_IN, number)
        sample = await _round(stage, proof, evaluation, tenant)
        baseline = await _only_judge(stage, pool, evaluation, tenant)
        pairs.append((Sample(sample.value, {**sample.extra, **at_first}), baseline))
    return pairs


async def _define(proof: asyncpg.Connection, database: DatabaseUrls, tenant: UUID) -> None:
    segments = conditions()
    documents = [orjson.dumps(condition).decode() for condition in segments.values()]
    await proof.execute(_CAMPAIGN, tenant, list(segments), documents)
    app = await asyncpg.connect(database.app_url)
    for months in range(3):
        await app.execute("select ensure_month((now() - $1 * interval '1 month')::date)", months)
    await app.close()
    await proof.execute(_EVENTS, tenant, _EVENTS_ONE_IN)


async def _round(
    stage: Stage, proof: asyncpg.Connection, evaluation: SegmentEvaluation, tenant: UUID
) -> Sample:
    """All profiles once, as workers do it; what was written has to be what was told."""
    await stage.settle()
    moves = await proof.fetchval(_MOVES)
    used = cpu_of(stage.postgres_pid)
    begin, changed, told = time.perf_counter(), 0, 0
    async for judged in evaluation.evaluate_all(tenant):
        changed += judged.changed
        told += judged.entered + judged.left
    seconds, used = time.perf_counter() - begin, cpu_of(stage.postgres_pid) - used
    if await proof.fetchval(_MOVES) - moves != told:
        raise NotReconciled(f"{told} changes were told, but not that many events are recorded")
    return Sample(seconds, {"rows": told, "changed": changed, "postgres_cpu_s": used})


async def _only_judge(stage: Stage, pool: Database, evaluation: SegmentEvaluation, tenant: UUID) -> Sample:
    """One statement that judges everybody and writes nothing."""
    asked = judgement(await evaluation.segments(tenant), at=utc_now())
    # The parameters before those of the judgement belong to the query that it is made for.
    own = " and ".join(f"${number}::int is null" for number in range(2, FIRST_PARAMETER))
    await stage.settle()
    begin = time.perf_counter()
    async with pool.tenant_transaction(tenant, readonly=True) as connection:
        await connection.execute("set local statement_timeout = '280s'")
        await connection.fetchval(
            f"select sum(jsonb_array_length({asked.text})) from cdp_profiles as p"
            f" where p.tenant_id = $1 and p.erased_at is null and {own}",
            tenant,
            *[None] * (FIRST_PARAMETER - 2),
            *asked.parameters,
            timeout=280,
        )
    return Sample(time.perf_counter() - begin)


BENCHMARKS = (Benchmark("segments", "s", rounds, "one SELECT that judges everybody and writes nothing"),)
