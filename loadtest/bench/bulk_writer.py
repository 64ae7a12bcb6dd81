"""The bulk writer against raw COPY: `python -m loadtest.bench.bulk_writer`.

Every run starts from an empty database and never analysed tables, so that a plan which degrades as rows come
shows itself. The writer works as the servers' role, with row-level security, keys and triggers in force, one
durable commit a batch. The baseline copies the same rows in the same batches, as the owner, into a twin of
the table with its indexes and checks but without policy, foreign keys and triggers. Figures are medians of
interleaved rounds. The table comes first; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from loadtest.bench.bulk_rows import SHAPES, Shape
from server.embedded.account import server_account
from server.embedded.database_setup import DatabaseUrls, prepare_database, with_database
from server.embedded.postgres_server import PostgresServer
from server.embedded.state import StateDirectory
from server.platform.bulk_writer import COPY_FROM_ROWS, BulkWriter
from server.platform.postgres import Database
from server.platform.postgres_codecs import register_codecs

SHARED_BUFFERS_MB = 512
ROADS = {
    "writer": BulkWriter(),
    "arrays": BulkWriter(copy_from_rows=10**9),
    "staged": BulkWriter(copy_from_rows=1),
}


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to measure: rows of a shape, over so many tenants, in batches, by a road or by `raw` COPY."""

    shape: str
    road: str
    batch: int
    tenants: int
    rows: int


@dataclass(frozen=True, slots=True)
class Figure:
    """What one case gave: rows a second, and the last tenth's time over the first tenth's."""

    case: Case
    rows_per_second: float
    slowdown: float


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--database-url", help="a superuser's; without it, PostgreSQL is started for the run")
    parser.add_argument("--rows", type=int, default=100_000, help="rows of a run (a tenth for --roads)")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds; figures are their median")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 10, 50, 500])
    parser.add_argument("--shapes", nargs="+", choices=sorted(SHAPES), default=sorted(SHAPES))
    parser.add_argument(
        "--roads", action="store_true", help="compare the two roads instead, for the threshold"
    )
    parser.add_argument("--tenants", type=int, nargs="+", default=[1], help="tenants in each batch")
    arguments = parser.parse_args()
    # Also when told to stop, what was started is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with _superuser_url(arguments.database_url) as url:
        figures = asyncio.run(_measure(url, list(_cases(arguments)), arguments.rounds))
    _report(figures)


def _cases(arguments: argparse.Namespace) -> Iterator[Case]:
    roads = ("arrays", "staged") if arguments.roads else ("writer", "raw")
    rows = arguments.rows // 10 if arguments.roads else arguments.rows
    for shape in arguments.shapes:
        for batch in arguments.batches:
            for tenants in arguments.tenants:
                for road in roads:
                    yield Case(shape=shape, road=road, batch=batch, tenants=min(tenants, batch), rows=rows)


@contextmanager
def _superuser_url(given: str | None) -> Iterator[str]:
    if given:
        yield given
        return
    account = server_account()
    with tempfile.TemporaryDirectory(prefix="leo-bench-", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o711)
        state = StateDirectory(Path(directory) / "postgres", account)
        state.open()
        server = PostgresServer(state=state, account=account, shared_buffers_mb=SHARED_BUFFERS_MB)
        try:
            server.start()
            yield server.url()
        finally:
            server.stop()


async def _measure(superuser_url: str, cases: Sequence[Case], rounds: int) -> list[Figure]:
    template = f"leo_bench_{uuid4().hex[:8]}"
    urls = await prepare_database(with_database(superuser_url, template))
    runs: dict[Case, list[tuple[float, float]]] = {case: [] for case in cases}
    try:
        for _ in range(rounds):
            for case in cases:
                async with _clone(superuser_url, template, urls) as clone:
                    runs[case].append(await _run(clone, case))
    finally:
        await _execute(superuser_url, f"drop database {template} with (force)")
    return [
        Figure(case, statistics.median(r[0] for r in results), statistics.median(r[1] for r in results))
        for case, results in runs.items()
    ]


@asynccontextmanager
async def _clone(superuser_url: str, template: str, urls: DatabaseUrls) -> AsyncIterator[DatabaseUrls]:
    name = f"{template}_run"
    await _execute(superuser_url, f"create database {name} template {template} owner leo_owner")
    try:
        yield DatabaseUrls(**{role: with_database(url, name) for role, url in asdict(urls).items()})
    finally:
        await _execute(superuser_url, f"drop database {name} with (force)")


async def _run(urls: DatabaseUrls, case: Case) -> tuple[float, float]:
    """Rows a second and slowdown of one run; checks that every row arrived."""
    shape = SHAPES[case.shape]
    tenants = sorted(UUID(bytes=sha256(str(n).encode()).digest()[:16]) for n in range(case.tenants))
    await _prepare(urls, shape, tenants, case.rows)
    rows = list(shape.rows(tenants, case.rows))
    batches = [rows[start : start + case.batch] for start in range(0, case.rows, case.batch)]
    table = "twin" if case.road == "raw" else shape.write.table
    if case.road == "raw":
        seconds = await _copy_raw(urls.owner_url, shape, batches)
    else:
        seconds = await _write(urls.app_url, shape, tenants, ROADS[case.road], batches)
    await _reconcile(urls, table, case.rows)
    tenth = max(1, len(batches) // 10)
    return case.rows / sum(seconds), sum(seconds[-tenth:]) / sum(seconds[:tenth])


async def _prepare(urls: DatabaseUrls, shape: Shape, tenants: Sequence[UUID], rows: int) -> None:
    admin = await asyncpg.connect(urls.admin_url)
    await admin.executemany(
        "insert into tenant (tenant_id, tenant_name, keycloak_realm, keycloak_client_id)"
        " values ($1, $2, 'bench', $2)",
        [(tenant, f"tenant-{n}") for n, tenant in enumerate(tenants)],
    )
    await admin.close()
    proof = await asyncpg.connect(urls.proof_url)
    await register_codecs(proof)
    await shape.prepare(proof, tenants, rows)
    await proof.close()
    await _execute(urls.owner_url, f"create table twin (like {shape.write.table} including all)")


async def _write(
    url: str, shape: Shape, tenants: Sequence[UUID], writer: BulkWriter, batches: Sequence[Sequence[Any]]
) -> list[float]:
    database = await Database.connect(
        url, minimum_connections=1, maximum_connections=1, application_name="bench"
    )
    seconds = []
    for batch in batches:
        started = time.perf_counter()
        if len(tenants) == 1:
            async with database.tenant_transaction(tenants[0]) as connection:
                await writer.write(connection, shape.write, batch)
        else:
            async with database.transaction() as connection:
                await writer.write_tenants(connection, shape.write, batch)
        seconds.append(time.perf_counter() - started)
    await database.close()
    return seconds


async def _copy_raw(url: str, shape: Shape, batches: Sequence[Sequence[Any]]) -> list[float]:
    connection = await asyncpg.connect(url)
    await register_codecs(connection)
    seconds = []
    for batch in batches:
        started = time.perf_counter()
        await connection.copy_records_to_table("twin", columns=shape.write.columns, records=batch)
        seconds.append(time.perf_counter() - started)
    await connection.close()
    return seconds


async def _reconcile(urls: DatabaseUrls, table: str, rows: int) -> None:
    connection = await asyncpg.connect(urls.owner_url if table == "twin" else urls.proof_url)
    stored = await connection.fetchval(f"select count(*) from {table}")
    await connection.close()
    if stored != rows:
        raise SystemExit(f"{table} holds {stored} rows, {rows} were written")


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _report(figures: Sequence[Figure]) -> None:
    print(
        f"{'shape':<14}{'batch':>6}{'tenants':>9}  {'road':<8}{'rows/s':>10}{'ms/batch':>10}{'slowdown':>10}"
    )
    for figure in figures:
        case = figure.case
        milliseconds = 1000 * case.batch / figure.rows_per_second
        print(
            f"{case.shape:<14}{case.batch:>6}{case.tenants:>9}  {case.road:<8}"
            f"{figure.rows_per_second:>10,.0f}{milliseconds:>10.2f}{figure.slowdown:>10.2f}"
        )
    result = [{**asdict(figure.case), "rows_per_second": round(figure.rows_per_second)} for figure in figures]
    print(json.dumps({"benchmark": "bulk_writer", "copy_from_rows": COPY_FROM_ROWS, "figures": result}))


if __name__ == "__main__":
    main()
