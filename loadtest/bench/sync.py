"""Benchmark of a run that takes in 100 changed customers, from the claim of the source to the end of the run."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit
from uuid import UUID

import asyncpg

from loadtest.bench.benchmark import Benchmark, Pair, Sample, Sizes
from loadtest.bench.client import percentile
from loadtest.bench.driving import NotReconciled
from loadtest.bench.processes import cpu_of
from loadtest.bench.stage import Stage
from loadtest.bench.world import World, fill, tenant_id
from server.embedded.database_setup import DatabaseUrls
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


class _Untold:
    """Nobody is told which profiles changed: segments are measured elsewhere."""

    def offer(
        self, tenant_id: UUID, profile_ids: Sequence[str], *, attributes: Collection[str], new: bool
    ) -> None:
        """Forget it."""


@dataclass(frozen=True, slots=True)
class _Followed:
    """A table that is followed, and what follows it."""

    tenant_id: UUID
    customers: int
    table: asyncpg.Connection
    service: DataSourceService
    jobs: SyncJobs

    async def take_in(self) -> tuple[float, DataSource]:
        """Seconds of a run that was asked for, and how the source fares then."""
        await self.service.sync_now(self.tenant_id, _SOURCE)
        begun = time.perf_counter()
        await self.jobs.sync_due()
        seconds = time.perf_counter() - begun
        return seconds, (await self.service.get(self.tenant_id, _SOURCE)).source


async def rounds(stage: Stage, sizes: Sizes, count: int) -> list[Pair]:
    """So many rounds of runs on one database; each run finds other customers changed."""
    async with stage.database() as database:
        await fill(database, World(1, max(_FEWEST, int(_PROFILES * sizes.share))), definitions=False)
        async with _following(database, max(_FEWEST, int(_CUSTOMERS * sizes.share))) as followed:
            await followed.take_in()
            return [(await _round(stage, followed, number), None) for number in range(count)]


async def _round(stage: Stage, followed: _Followed, number: int) -> Sample:
    await stage.settle()
    assert stage.postgres_pid is not None
    seconds: list[float] = []
    cpu, postgres = time.process_time(), cpu_of(stage.postgres_pid)
    for run in range(number * _RUNS, (number + 1) * _RUNS):
        first = run * _CHANGED % followed.customers
        await followed.table.execute(_CHANGE, first, _CHANGED, run)
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
async def _following(database: DatabaseUrls, customers: int) -> AsyncIterator[_Followed]:
    """The table stands in the same PostgreSQL, and is connected to like one elsewhere."""
    at = urlsplit(database.superuser_url)
    table = await asyncpg.connect(database.superuser_url)
    await table.execute(_TABLE.replace("$1::bigint", str(customers)))
    await table.execute(_INDEXES)
    await table.execute(_EMBEDDINGS, str(customers))
    worker = await Database.connect(
        database.worker_url, minimum_connections=1, maximum_connections=4, application_name="leo-bench-sync"
    )
    app = await Database.connect(
        database.app_url, minimum_connections=1, maximum_connections=2, application_name="leo-bench-sync"
    )
    reach = Reach(hosts=[f"{at.hostname}:{at.port}"], directory=None)
    secrets = SourceSecrets(keys=_KEYS)
    service = DataSourceService(
        database=app, store=SourceStore(), secrets=secrets, reach=reach, clock=utc_now
    )
    tenant = await tenant_id(table)
    definition = Definition(_SOURCE, "Bench", SourceType.POSTGRESQL, _connection(at), _MAPPING, 3_600, None)
    await service.put(tenant, definition, unquote(at.password or ""))
    try:
        yield _Followed(tenant, customers, table, service, _jobs(worker, secrets, reach))
    finally:
        for pool in (worker, app):
            await pool.close()
        await table.close()


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


BENCHMARKS = (Benchmark("sync_100", "ms", rounds),)
