"""Benchmark of a run that takes in 100 changed customers, from the claim of the source to the end of the run."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, Protocol, TypeAlias
from urllib.parse import SplitResult, unquote, urlsplit
from uuid import UUID

import aiohttp
import asyncpg
import orjson

from loadtest.bench.benchmark import Benchmark, Pair, Sample, Sizes
from loadtest.bench.client import percentile
from loadtest.bench.driving import NotReconciled
from loadtest.bench.processes import cpu_of
from loadtest.bench.stage import Stage, environment
from loadtest.bench.world import World, fill, tenant_id
from server.embedded.database_setup import DatabaseUrls
from server.embedded.state import checkout_directory
from server.platform.clock import utc_now
from server.platform.credential_keys import CredentialKeys
from server.platform.postgres import Database
from server.profiles.erasure_store import ErasureStore
from server.profiles.service import ProfileService
from server.profiles.store import ProfileStore
from server.profiles.suppression import SuppressionList
from server.sync.jobs import SyncJobs
from server.sync.model import DataSource, Definition, SourceType
from server.sync.reach import Reach
from server.sync.run import SourceRunner
from server.sync.secrets import SourceSecrets
from server.sync.service import DataSourceService
from server.sync.store import SourceStore
from server.workers.profile_intake import ProfileIntake

_PROFILES: Final = 1_000_000
_FEWEST: Final = 1_000
_CUSTOMERS: Final = 10_000
_CHANGED: Final = 100
_RUNS: Final = 40
_SOURCE: Final = "bench"
_PASSWORD: Final = "bench"
_KEYS: Final = CredentialKeys.parse("bench:" + "k" * 43)
_MAPPING: Final[dict[str, Any]] = {
    "fields": {
        "ext_id": {"from": "id", "prefix": "crm-"},
        "primary_email": "email",
        "segments": "labels",
        "source_updated_at": "changed_at",
    },
    "consents": [{"channel": "email", "from": "newsletter", "source": "crm"}],
}
_TABLE: Final = """
create table customers as
select n as id, 'p' || n || '@example.com' as email, '["vip", "newsletter"]'::jsonb as labels, 'yes' as newsletter,
    n % 3 as tier, 'Hue' as city, now() - interval '1 day' + n * interval '1 second' as changed_at
from generate_series(0, $1::bigint - 1) as n
"""
_INDEXES: Final = "alter table customers add primary key (id); create index on customers (changed_at, id)"
# Whoever changes has an embedding, whose index every new version of a row that is not HOT gets an entry in.
_EMBEDDINGS: Final = """
update cdp_profiles
set interest_embedding = (
    select array_agg(sin(dimension * (1 + substr(profile_id, 2)::bigint)))::vector
    from generate_series(1, 1536) as dimension
)
where profile_id < 'p' || lpad($1::text, 9, '0')
"""
_CHANGE: Final = """
update customers
set tier = tier + 1,
    email = case when id % 2 = 0 then 'q' || $3::int || '-' || id || '@example.com' else email end,
    changed_at = now() - interval '1 hour' + $3::int * interval '1 second' + id * interval '1 microsecond'
where id >= $1 and id < $1 + $2
"""


CustomersOf: TypeAlias = Callable[[DatabaseUrls, int], "AbstractAsyncContextManager[_Customers]"]
"""Makes so many customers for as long as a block runs."""


class _Untold:
    """Nobody is told which profiles changed: segments are measured elsewhere."""

    def offer(
        self, tenant_id: UUID, profile_ids: Sequence[str], *, attributes: Collection[str], new: bool
    ) -> None:
        """Forget it."""


class _Customers(Protocol):
    """Customers of somebody else, who change."""

    definition: Definition
    password: str
    host: str

    async def change(self, first: int, run: int) -> None:
        """Change the next ones from this one on, later than any run before did."""
        ...


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of PostgreSQL: in the same cluster, and connected to like one elsewhere."""

    definition: Definition
    password: str
    host: str
    connection: asyncpg.Connection

    async def change(self, first: int, run: int) -> None:
        """In one transaction."""
        await self.connection.execute(_CHANGE, first, _CHANGED, run)


@dataclass(frozen=True, slots=True)
class _Collection:
    """A collection of the pretended ArangoDB, a process of its own."""

    definition: Definition
    password: str
    host: str
    session: aiohttp.ClientSession

    async def change(self, first: int, run: int) -> None:
        """In one request."""
        at = utc_now() - timedelta(hours=20) + timedelta(minutes=run)
        await self.put([_document(first + place, at, run) for place in range(_CHANGED)])

    async def put(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """Write documents in place of those with their keys."""
        async with self.session.post("/_test/put", json=documents) as answer:
            answer.raise_for_status()


@dataclass(frozen=True, slots=True)
class _Followed:
    """Customers who are followed, and what follows them."""

    tenant_id: UUID
    customers: int
    source: _Customers
    service: DataSourceService
    jobs: SyncJobs

    async def take_in(self) -> tuple[float, DataSource]:
        """Seconds of a run that was asked for, and how the source fares then."""
        await self.service.sync_now(self.tenant_id, _SOURCE)
        begun = time.perf_counter()
        await self.jobs.sync_due()
        seconds = time.perf_counter() - begun
        return seconds, (await self.service.get(self.tenant_id, _SOURCE)).source


def following(customers_of: CustomersOf) -> Callable[[Stage, Sizes, int], Awaitable[list[Pair]]]:
    """So many rounds of runs on one database; each run finds other customers changed."""

    async def rounds(stage: Stage, sizes: Sizes, count: int) -> list[Pair]:
        customers = max(_FEWEST, int(_CUSTOMERS * sizes.share))
        async with stage.database() as database:
            await fill(database, World(1, max(_FEWEST, int(_PROFILES * sizes.share))), definitions=False)
            async with (
                customers_of(database, customers) as source,
                _followed(database, customers, source) as followed,
            ):
                await followed.take_in()
                return [(await _round(stage, followed, number), None) for number in range(count)]

    return rounds


async def _round(stage: Stage, followed: _Followed, number: int) -> Sample:
    await stage.settle()
    assert stage.postgres_pid is not None
    seconds: list[float] = []
    cpu, postgres = time.process_time(), cpu_of(stage.postgres_pid)
    for run in range(number * _RUNS, (number + 1) * _RUNS):
        first = run * _CHANGED % followed.customers
        await followed.source.change(first, run)
        taken, source = await followed.take_in()
        counts = source.condition.last_run
        if counts.written != _CHANGED or counts.rejected:
            raise NotReconciled(f"{_CHANGED} customers changed, and the run came to {counts}")
        seconds.append(taken)
    ordered = sorted(seconds)
    return Sample(
        percentile(ordered, 0.99) * 1000,
        {
            "p50_ms": percentile(ordered, 0.5) * 1000,
            "p99_ms": percentile(ordered, 0.99) * 1000,
            "worker_cpu_ms": (time.process_time() - cpu) / _RUNS * 1000,
            "postgres_cpu_ms": (cpu_of(stage.postgres_pid) - postgres) / _RUNS * 1000,
            "rows": _RUNS * _CHANGED,
        },
    )


@asynccontextmanager
async def _table(database: DatabaseUrls, customers: int) -> AsyncIterator[_Customers]:
    at = urlsplit(database.superuser_url)
    connection = await asyncpg.connect(database.superuser_url)
    await connection.execute(_TABLE.replace("$1::bigint", str(customers)))
    await connection.execute(_INDEXES)
    definition = Definition(_SOURCE, "Bench", SourceType.POSTGRESQL, _connection(at), _MAPPING, 3_600, None)
    try:
        yield _Table(definition, unquote(at.password or ""), f"{at.hostname}:{at.port}", connection)
    finally:
        await connection.close()


@asynccontextmanager
async def _collection(_database: DatabaseUrls, customers: int) -> AsyncIterator[_Customers]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.sync.arango_server", "--password", _PASSWORD,
        cwd=checkout_directory(), env=environment(), stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        told = orjson.loads(await process.stdout.readline())
        connection = {
            **told,
            "collection": "cdp_profile",
            "update_attribute": "changed_at",
        }
        definition = Definition(_SOURCE, "Bench", SourceType.ARANGODB, connection, _MAPPING, 3_600, None)
        async with aiohttp.ClientSession(told["url"]) as session:
            source = _Collection(definition, _PASSWORD, urlsplit(told["url"]).netloc, session)
            begin = utc_now() - timedelta(days=1)
            for first in range(0, customers, _CHANGED):
                numbers = range(first, first + _CHANGED)
                await source.put(
                    [_document(number, begin + timedelta(seconds=number), 0) for number in numbers]
                )
            yield source
    finally:
        process.terminate()
        await process.wait()


def _document(number: int, at: datetime, run: int) -> dict[str, Any]:
    """What the table says of a customer as well."""
    name = f"q{run}-{number}" if run and number % 2 == 0 else f"p{number}"
    return {
        "_key": str(number),
        "id": number,
        "email": f"{name}@example.com",
        "labels": ["vip", "newsletter"],
        "newsletter": "yes",
        "tier": number % 3 + run,
        "city": "Hue",
        "changed_at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }


@asynccontextmanager
async def _followed(database: DatabaseUrls, customers: int, source: _Customers) -> AsyncIterator[_Followed]:
    superuser = await asyncpg.connect(database.superuser_url)
    await superuser.execute(_EMBEDDINGS, str(customers))
    tenant = await tenant_id(superuser)
    await superuser.close()
    connect = partial(Database.connect, minimum_connections=1, application_name="leo-bench-sync")
    worker = await connect(database.worker_url, maximum_connections=4)
    app = await connect(database.app_url, maximum_connections=2)
    reach, secrets = Reach(hosts=[source.host], directory=None), SourceSecrets(keys=_KEYS)
    service = DataSourceService(
        database=app, store=SourceStore(), secrets=secrets, reach=reach, clock=utc_now
    )
    await service.put(tenant, source.definition, source.password)
    try:
        yield _Followed(tenant, customers, source, service, _jobs(worker, secrets, reach))
    finally:
        for pool in (worker, app):
            await pool.close()


def _connection(at: SplitResult) -> dict[str, Any]:
    return {
        "host": at.hostname,
        "port": at.port,
        "database": at.path[1:],
        "user": unquote(at.username or ""),
        "table": "customers",
        "key_column": "id",
        "updated_column": "changed_at",
        "ssl": "disable",
    }


def _jobs(worker: Database, secrets: SourceSecrets, reach: Reach) -> SyncJobs:
    """As a worker has them."""
    profiles = ProfileService(
        database=worker,
        store=ProfileStore(),
        suppression=SuppressionList(keys=_KEYS, store=ErasureStore()),
        clock=utc_now,
        changes=_Untold(),
    )
    lease = timedelta(minutes=2)
    runner = SourceRunner(
        database=worker,
        store=SourceStore(),
        secrets=secrets,
        reach=reach,
        profiles=ProfileIntake(service=profiles),
        lease=lease,
        clock=utc_now,
    )
    return SyncJobs(
        database=worker, store=SourceStore(), runner=runner, most_at_once=1, lease=lease, worker="bench"
    )


BENCHMARKS = (
    Benchmark("sync_100", "ms", following(_table)),
    Benchmark("sync_100_arangodb", "ms", following(_collection)),
)
