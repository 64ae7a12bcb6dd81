"""Worker processes count on their schedule, and `leo metrics` shows it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from leo.activation.v1 import report_service_pb2 as wire

from server.platform.clock import utc_now
from tests.cli.test_cli import leo
from tests.dispatch.decided import Decisions
from tests.dispatch.scripted_smtp import ScriptedSmtp
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor
from tests.reports.conftest import GetMetrics
from tests.workers.conftest import Workers, until, workers

__all__ = ["workers"]

MESSAGES = 40


async def test_two_workers_count_every_delivery_once(
    workers: Workers,
    decisions: Decisions,
    smtp: ScriptedSmtp,
    metrics: GetMetrics,
    running_server: str,
    token_for: TokenFor,
    tenant_a: Tenant,
    tmp_path: Path,
) -> None:
    pair = [workers.start(smtp_url=smtp.url) for _ in range(2)]
    definitions = await decisions.define(tenant_a)
    await decisions.profile(tenant_a, "lan")
    for _ in range(MESSAGES):
        await decisions.send(definitions, "lan")

    async def counted() -> bool:
        answer = await metrics(tenant_a)
        return answer.source == wire.METRICS_SOURCE_CACHE and answer.metrics[0].sent >= MESSAGES

    await until(counted)

    [all_of_them] = (await metrics(tenant_a)).metrics
    assert (all_of_them.queued, all_of_them.sent) == (MESSAGES, MESSAGES)
    assert not [worker for worker in pair if "metrics_repaired" in worker.events()]
    shown = await asyncio.to_thread(
        leo,
        *("metrics", "--since", utc_now().date().isoformat(), "--by", "day,channel"),
        *("--server", running_server),
        state=tmp_path,
        LEO_TOKEN=token_for(tenant_a, ["reports.read"]),
    )
    assert shown.returncode == 0, shown.stderr
    heads, row, source = shown.stdout.splitlines()
    assert heads.split()[:5] == ["day", "channel", "queued", "sent", "delivered"]
    assert row.split() == [utc_now().date().isoformat(), "email", "40", "40", *["0"] * 8]
    assert source.startswith("From the cache, as of ")
