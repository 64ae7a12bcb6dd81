"""Sources as a tenant describes them, followed by jobs as a worker has them, in this process."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

import asyncpg
import pytest

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
from tests.fixtures.server import CREDENTIAL_KEYS
from tests.fixtures.tenants import Tenant

MAPPING: dict[str, Any] = {
    "default_region": "VN",
    "ignore": ["gone"],
    "fields": {
        "ext_id": {"from": "id", "prefix": "crm-"},
        "primary_email": "email",
        "mobile_number": "phone",
        "segments": "labels",
        "source_updated_at": "changed_at",
    },
    "consents": [{"channel": "email", "from": "newsletter", "source": "crm"}],
}
"""How customers of the CRM become profiles; what is not named here goes to raw_attributes."""


@dataclass(slots=True)
class Told:
    """Stands where segments are told of changed profiles."""

    changed: list[str] = field(default_factory=list)

    def offer(
        self, tenant_id: UUID, profile_ids: Sequence[str], *, attributes: Collection[str], new: bool
    ) -> None:
        self.changed.extend(profile_ids)


class Following:
    """Describes sources of a tenant, and runs what is due."""

    def __init__(self, app: Database, worker: Database, directory: Path, hosts: Sequence[str]) -> None:
        self.app = app
        self.worker = worker
        self.directory = directory
        self.told = Told()
        keys = CredentialKeys.parse(CREDENTIAL_KEYS)
        self.secrets = SourceSecrets(keys=keys)
        self.suppression = SuppressionList(keys=keys, store=ErasureStore())
        self.open(*hosts)

    def open(self, *hosts: str) -> None:
        """From now on these are the hosts that sources may lead to."""
        self.reach = Reach(hosts=hosts, directory=self.directory)
        self.service = DataSourceService(
            database=self.app, store=SourceStore(), secrets=self.secrets, reach=self.reach, clock=utc_now
        )
        self.jobs = self.make_jobs()

    def make_jobs(self) -> SyncJobs:
        """The jobs of a worker."""
        lease = timedelta(minutes=2)
        service = ProfileService(
            database=self.worker,
            store=ProfileStore(),
            suppression=self.suppression,
            clock=utc_now,
            changes=self.told,
        )
        runner = SourceRunner(
            database=self.worker,
            store=SourceStore(),
            secrets=self.secrets,
            reach=self.reach,
            profiles=ProfileIntake(service=service),
            lease=lease,
            clock=utc_now,
        )
        return SyncJobs(
            database=self.worker,
            store=SourceStore(),
            runner=runner,
            most_at_once=4,
            lease=lease,
            worker="test",
        )

    async def put(
        self,
        tenant: Tenant,
        kind: SourceType,
        connection: Mapping[str, Any],
        *,
        mapping: Mapping[str, Any] = MAPPING,
        password: str | None = None,
        frequency: int | None = 3_600,
    ) -> None:
        """Describe the source `crm`; it is due at once."""
        definition = Definition("crm", "CRM", kind, connection, mapping, frequency, None)
        await self.service.put(UUID(int=tenant.int), definition, password)

    async def run(self, tenant: Tenant) -> DataSource:
        """Take in the source now, and how it fares then."""
        await self.service.sync_now(UUID(int=tenant.int), "crm")
        await self.jobs.sync_due()
        return await self.get(tenant)

    async def get(self, tenant: Tenant) -> DataSource:
        return (await self.service.get(UUID(int=tenant.int), "crm")).source


@pytest.fixture
async def following(database: DatabaseUrls, tmp_path: Path) -> AsyncIterator[Following]:
    """With the cluster of the tests as the one host that sources may lead to."""
    at = urlsplit(database.superuser_url)
    pools = [
        await Database.connect(
            url, minimum_connections=1, maximum_connections=4, application_name="test-sync"
        )
        for url in (database.app_url, database.worker_url)
    ]
    yield Following(pools[0], pools[1], tmp_path, [f"{at.hostname}:{at.port}"])
    for pool in pools:
        await pool.close()


class Crm:
    """A table of customers in another schema: the database of somebody else."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record], url: str) -> None:
        self.connection = connection
        at = urlsplit(url)
        self.password = unquote(at.password or "")
        self.described = {
            "host": at.hostname,
            "port": at.port,
            "database": at.path[1:],
            "user": unquote(at.username or ""),
            "schema": "crm",
            "table": "Customers",
            "key_column": "id",
            "updated_column": "changed_at",
            "deleted_column": "gone",
            "ssl": "disable",
        }

    async def execute(self, statement: str, *values: object) -> None:
        await self.connection.execute(statement, *values)

    async def add(self, count: int, *, first: int = 1) -> None:
        """Customers with an e-mail address and a number; changed a second after one another, a day ago."""
        await self.execute(
            """
            insert into crm."Customers" (id, email, phone, labels, newsletter, tier, changed_at)
            select n, 'c' || n || '@example.com', '0905 000 ' || lpad(n::text, 3, '0'), '["crm"]', 'yes', 'gold',
                now() - interval '1 day' + n * interval '1 second'
            from generate_series($1::int, $2::int) as n
            """,
            first,
            first + count - 1,
        )


@pytest.fixture
async def crm(database: DatabaseUrls) -> AsyncIterator[Crm]:
    """No customers yet."""
    connection = await asyncpg.connect(database.superuser_url)
    await connection.execute(
        """
        create schema crm;
        create table crm."Customers" (
            id bigint primary key, email text, phone text, labels jsonb, newsletter text, tier text,
            score numeric, born date, gone boolean, changed_at timestamptz
        );
        create index on crm."Customers" (changed_at, id)
        """
    )
    yield Crm(connection, database.superuser_url)
    await connection.close()


async def profiles_of(proof: asyncpg.Connection[asyncpg.Record], tenant: Tenant) -> dict[str, Any]:
    """The tenant's profiles by external id, with their raw attributes."""
    rows = await proof.fetch(
        "select *, raw_attributes::text as raw from cdp_profiles where tenant_id = $1 order by ext_id", tenant
    )
    return {row["ext_id"]: {**row, "raw_attributes": json.loads(row["raw"])} for row in rows}
