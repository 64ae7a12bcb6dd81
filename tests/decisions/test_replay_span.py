"""`leo replay --all`: everything that was decided in a span comes out again, in several processes, or it fails."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from server.decisions.replay.span import MOST_DIFFERING, Span, SpanReplay, SpanReport
from server.decisions.replay.store import ReplayStore
from server.decisions.replay.stored_bundles import StoredBundles
from server.decisions.service import DecisionService
from server.embedded.database_setup import DatabaseUrls
from server.platform.postgres import Database
from server.platform.queries import Queries
from tests.decisions.shop import DAY_SECONDS, NOON, add_campaign, add_marketing_event, add_profile, purchase
from tests.decisions.test_plans import nodes_of
from tests.decisions.test_replay import copy_of
from tests.fixtures.erasing import erase
from tests.fixtures.tenants import Tenant

PROFILES = 20
EVENTS = 3_000
LONG_AGO, FAR_AHEAD = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
async def decided(
    app: asyncpg.Connection, decisions: DecisionService, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    """Thousands of decisions of one tenant, of which some send, and one of another."""
    for tenant in (tenant_a, tenant_b):
        await add_campaign(app, tenant, "loyalty")
        await add_marketing_event(app, tenant, "loyalty", "thanks", cooldown_seconds=30 * DAY_SECONDS)
        for number in range(PROFILES):
            await add_profile(app, tenant, f"p{number}")
    for batch in range(EVENTS // 1_000):
        events = [
            purchase(f"{batch}-{n}", f"p{n % PROFILES}", NOON + timedelta(hours=n)) for n in range(1_000)
        ]
        await decisions.decide_batch(tenant_a, events)
    await decisions.decide_batch(tenant_b, [purchase("other", "p1")])


async def replayed(
    database: DatabaseUrls, tenant: UUID, *options: str, status: int = 0
) -> tuple[dict[str, Any], str]:
    """Run `leo replay --all`; its last line as JSON, and everything else it says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "server.cli.main", "replay", "--all", "--tenant", str(UUID(int=tenant.int)),
        *(options or ("--since", "2020-01-01")),
        env={**os.environ, "LEO_DATABASE_URL": database.app_url, "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, errors = await process.communicate()
    assert process.returncode == status, errors.decode()
    return json.loads(out or b"{}"), errors.decode()


async def test_all_comes_out_again_until_something_is_changed(
    decided: None,
    database: DatabaseUrls,
    proof: asyncpg.Connection,
    app: asyncpg.Connection,
    tenant_a: Tenant,
) -> None:
    summary, _ = await replayed(database, tenant_a, "--since", "2020-01-01", "--processes", "2")
    assert (summary["replayed"], summary["equal"], summary["different"]) == (EVENTS, EVENTS, 0)

    task_id = await proof.fetchval("SELECT task_id FROM agent_task WHERE outcome = 'send' LIMIT 1")
    changed = await copy_of(proof, task_id, inputs=lambda inputs: inputs.update(verdicts={}))
    async with app.transaction():
        await app.execute("SELECT set_config('app.current_tenant_id', $1, true)", str(UUID(int=tenant_a.int)))
        await erase(app, "p7")
    summary, words = await replayed(database, tenant_a, "--since", "2020-01-01", "--processes", "1", status=1)
    erased = EVENTS // PROFILES
    assert summary["refused"] == {"INPUTS_REDACTED": erased}
    assert (summary["replayed"], summary["different"]) == (EVENTS + 1 - erased, 1)
    assert changed in words
    assert "SELECTED" in words
    assert "LOST_TO" in words
    assert "@" not in words


@pytest.mark.parametrize(
    "options",
    [
        ("--processes", "2"),
        ("--since", "2026-01-02", "--until", "2026-01-01"),
        ("--since", "2026-01-02", "a" * 64),
    ],
)
async def test_what_is_not_a_span_is_a_usage_error(
    database: DatabaseUrls, tenant_a: Tenant, options: tuple[str, ...]
) -> None:
    await replayed(database, tenant_a, *options, status=2)


@pytest.fixture
def spans(server_database: Database) -> SpanReplay:
    """Replay in this process."""
    store = ReplayStore()
    return SpanReplay(database=server_database, store=store, bundles=StoredBundles(store=store))


async def test_parts_hold_every_decision_once_and_only_the_tenants_own(
    decided: None, spans: SpanReplay, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    moments = await proof.fetch("SELECT DISTINCT decided_at FROM agent_task WHERE rule_bundle_id IS NOT NULL"
                                " AND tenant_id = $1 ORDER BY 1", UUID(int=tenant_a.int))  # fmt: skip
    whole = Span(tenant_a, LONG_AGO, FAR_AHEAD)
    for number in (1, 3, 7):
        parts = await spans.divide(whole, number)
        assert sum(decisions for _, decisions in parts) == EVENTS
        assert 1 <= len(parts) <= number
        total = SpanReport()
        for part, _ in parts:
            total.add(await spans.run(part, lambda _: None))
        assert (total.replayed, total.different) == (EVENTS, 0)
    seen: list[int] = []
    middle = Span(tenant_a, moments[1]["decided_at"], moments[2]["decided_at"])
    assert (await spans.run(middle, seen.append)).replayed == sum(seen) == 1_000
    assert await spans.divide(Span(tenant_a, LONG_AGO, LONG_AGO + timedelta(days=1)), 4) == []


async def test_only_the_first_of_many_differences_are_kept(
    decided: None, spans: SpanReplay, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await proof.execute(
        "INSERT INTO agent_task SELECT (jsonb_populate_record(t, jsonb_build_object("
        "'task_id', 'forged' || task_id, 'output_sha256', 'forged'))).* FROM agent_task AS t"
        " WHERE rule_bundle_id IS NOT NULL AND tenant_id = $1 LIMIT 150",
        UUID(int=tenant_a.int),
    )
    report = await spans.run(Span(tenant_a, LONG_AGO, FAR_AHEAD), lambda _: None)
    assert report.different == 150
    assert len(report.differing) == MOST_DIFFERING
    assert {d.field for differing in report.differing for d in differing.differences} == {"output_sha256"}


async def test_a_span_is_read_by_its_index(decided: None, app: asyncpg.Connection, tenant_a: Tenant) -> None:
    queries = Queries.load("replay")
    tenant = UUID(int=tenant_a.int)
    arguments: dict[str, list[Any]] = {
        "slice_decisions": [LONG_AGO, LONG_AGO + timedelta(days=1), 4],
        "page_decisions": [LONG_AGO, "", LONG_AGO + timedelta(days=1), 2_000],
    }
    for mode in ("force_custom_plan", "force_generic_plan"):
        async with app.transaction():
            await app.execute("SELECT set_config('app.current_tenant_id', $1, true)", str(tenant))
            await app.execute(f"SET LOCAL plan_cache_mode = {mode}")
            for name, values in arguments.items():
                text = f"EXPLAIN (FORMAT JSON) {queries[name]} -- {mode}"
                nodes = nodes_of(json.loads(await app.fetchval(text, tenant, *values)))
                used = {node.get("Index Name") for node in nodes} - {None}
                assert used == {"agent_task_decided"}, (name, mode)
