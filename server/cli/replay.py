"""`leo replay`: decide again what was decided, and fail where an answer comes out otherwise.

One decision is asked of the server. A span of time is read from the database directly, by processes of its own:
an audit must not slow the servers that decide.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from multiprocessing import get_context
from typing import Annotated, Any, Final
from uuid import UUID

import typer
import uvloop
from leo.activation.v1 import decision_service_pb2 as wire
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from server.cli.calling import ServerOption, TokenOption, calling
from server.cli.environment import running_stack
from server.cli.failure import CommandFailed
from server.config import Settings, load_settings
from server.decisions.replay.span import Span, SpanReplay, SpanReport
from server.decisions.replay.store import ReplayStore
from server.decisions.replay.stored_bundles import StoredBundles
from server.embedded.first_tenant import FIRST_TENANT
from server.embedded.token_issuer import REALM
from server.platform.clock import utc_now
from server.platform.postgres import Database
from server.rpc.tenant_directory import PostgresTenantDirectory

_PARTS_OF_PROCESS: Final = 8
_MOMENT_FORMATS: Final = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]

_TASK = typer.Argument(help="Id of one decision; leave it out with --all.", show_default=False)
_ALL = typer.Option("--all", help="Replay every decision of a span of time.")
_SINCE = typer.Option(
    formats=_MOMENT_FORMATS, help="Decided at or after this, in UTC unless it says otherwise."
)
_UNTIL = typer.Option(formats=_MOMENT_FORMATS, help="Decided before this; now where it is left out.")
_TENANT = typer.Option(
    help="Id of the tenant (a UUID), or its client id; the embedded stack's own where it is left out."
)
_PROCESSES = typer.Option(
    min=1, max=64, help="Processes that replay; one for each core where it is left out."
)


def replay(
    task_id: Annotated[str | None, _TASK] = None,
    everything: Annotated[bool, _ALL] = False,
    since: Annotated[datetime | None, _SINCE] = None,
    until: Annotated[datetime | None, _UNTIL] = None,
    tenant: Annotated[str, _TENANT] = FIRST_TENANT,
    processes: Annotated[int | None, _PROCESSES] = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Decide again what was decided: exit status 0 when all comes out as recorded, 1 on any difference."""
    if everything == (task_id is not None):
        raise typer.BadParameter("name one decision, or say --all", param_hint="TASK_ID")
    if task_id is not None:
        raise typer.Exit(_replay_one(task_id, server, token))
    if since is None:
        raise typer.BadParameter("is required with --all", param_hint="--since")
    span = _in_utc(since), _in_utc(until) if until else utc_now()
    if span[0] >= span[1]:
        raise typer.BadParameter("must be before --until", param_hint="--since")
    raise typer.Exit(_replay_span(tenant, *span, processes or os.cpu_count() or 1))


def _replay_one(task_id: str, server: str | None, token: str | None) -> int:
    with calling(server, token) as client:
        answer = client.decisions.Replay(wire.ReplayRequest(task_id=task_id))
    console = Console(soft_wrap=True)
    if answer.equal:
        console.print(f"[bold green]equal[/bold green]  {answer.recorded_output_sha256}", highlight=False)
        return 0
    rows = ((d.field, d.recorded, d.replayed) for d in answer.differences)
    _print_differences(console, answer.task_id, rows)
    return 1


def _replay_span(tenant: str, since: datetime, until: datetime, processes: int) -> int:
    url = _database_url()
    started = time.perf_counter()
    parts = uvloop.run(_parts(url, tenant, since, until, processes * _PARTS_OF_PROCESS))
    console = Console(stderr=True, soft_wrap=True)
    report = _run_parts(console, url, parts, processes)
    for differing in report.differing:
        rows = ((d.field, json.dumps(d.recorded), json.dumps(d.replayed)) for d in differing.differences)
        _print_differences(console, differing.task_id, rows)
    typer.echo(json.dumps(_summary(report, time.perf_counter() - started)))
    return 1 if report.different or report.refused["BUNDLE_UNUSABLE"] else 0


def _run_parts(console: Console, url: str, parts: list[tuple[Span, int]], processes: int) -> SpanReport:
    """Every part in some process; the progress of a process shows part by part."""
    total = SpanReport()
    columns = (TextColumn("replay"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        Progress(*columns, console=console) as progress,
        ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool,
    ):
        bar = progress.add_task("replay", total=sum(decisions for _, decisions in parts))
        for report in pool.map(_replay_part, [url] * len(parts), [span for span, _ in parts]):
            total.add(report)
            progress.update(bar, completed=total.replayed + total.refused.total())
    return total


def _replay_part(url: str, span: Span) -> SpanReport:
    """One part, in a process of the pool."""
    return uvloop.run(_run_part(url, span))


async def _run_part(url: str, span: Span) -> SpanReport:
    async with _replaying(url) as (spans, _):
        return await spans.run(span, lambda _: None)


async def _parts(
    url: str, tenant: str, since: datetime, until: datetime, parts: int
) -> list[tuple[Span, int]]:
    async with _replaying(url) as (spans, database):
        tenant_id = await _tenant_id(database, tenant)
        return await spans.divide(Span(tenant_id, since, until), parts)


@asynccontextmanager
async def _replaying(url: str) -> AsyncIterator[tuple[SpanReplay, Database]]:
    database = await Database.connect(
        url, minimum_connections=1, maximum_connections=1, application_name="leo-replay"
    )
    store = ReplayStore()
    try:
        yield SpanReplay(database=database, store=store, bundles=StoredBundles(store=store)), database
    finally:
        await database.close()


async def _tenant_id(database: Database, tenant: str) -> UUID:
    try:
        return UUID(tenant)
    except ValueError:
        found = await PostgresTenantDirectory(database=database).resolve(REALM, tenant)
    if found is None:
        raise CommandFailed(f"no active tenant has the client id {tenant!r}; --tenant takes its UUID as well")
    return found


def _database_url() -> str:
    """Of LEO_DATABASE_URL, as leo_app; of the running stack where it is unset."""
    configured = load_settings(Settings).database_url
    return configured.get_secret_value() if configured else running_stack().database.app_url


def _summary(report: SpanReport, seconds: float) -> dict[str, Any]:
    return {
        "replayed": report.replayed,
        "equal": report.replayed - report.different,
        "different": report.different,
        "refused": dict(sorted(report.refused.items())),
        "seconds": round(seconds, 3),
        "replayed_per_second": round(report.replayed / seconds),
    }


def _print_differences(console: Console, task_id: str, rows: Iterable[tuple[str, str, str]]) -> None:
    table = Table("field", "recorded", "replayed", title=f"different: {task_id}", title_justify="left")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
