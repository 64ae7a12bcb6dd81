"""Files that are followed: each kind, what changed in them, and that none is read outside of the tenant's directory."""

from __future__ import annotations

import os
from pathlib import Path

import asyncpg
import duckdb
import pytest

from server.errors import InvalidInput
from server.sync.model import Health, SourceType
from tests.fixtures.tenants import Tenant
from tests.sync.conftest import Following, profiles_of

FILE = SourceType.FILE
HEADER = "id,email,phone,labels,newsletter,changed_at,gone\n"


def line(number: int, *, email: str = "", gone: str = "", day: int = 1) -> str:
    return f"{number},{email or f'c{number}@example.com'},,crm,yes,2026-05-0{day}T00:00:00Z,{gone}\n"


@pytest.fixture
def directory(following: Following, tenant_a: Tenant) -> Path:
    """Tenant A's own."""
    path = following.directory / str(tenant_a)
    path.mkdir()
    return path


async def test_files_are_read_once_and_again_when_they_changed(
    following: Following, directory: Path, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    (directory / "a.csv").write_text(HEADER + "".join(line(number) for number in range(1, 602)))
    (directory / "b.ndjson").write_text(
        '{"id": 700, "email": "c700@example.com"}\nthis is no JSON\n{"id": 701, "email": "none"}\n'
    )
    duckdb.execute(
        "copy (select 800 + n as id, timestamptz '2026-05-01' as changed_at, 1.5 as score,"
        " case when n = 1 then ('1' || repeat('0', 30))::decimal(38, 0) end as total from range(2) as each (n))"
        f" to '{directory / 'c.parquet'}'"
    )
    await following.put(tenant_a, FILE, {"path": "*", "deleted_column": "gone"})

    condition = (await following.run(tenant_a)).condition

    assert (condition.health, condition.total.read) == (Health.HEALTHY, 606)
    assert condition.last_run.reasons == {"NOT_A_DOCUMENT": 1, "REFUSED:primary_email": 1, "REFUSED": 1}
    profiles = await profiles_of(proof, tenant_a)
    assert set(profiles) == {f"crm-{number}" for number in (*range(1, 602), 700, 800)}
    assert profiles["crm-800"]["raw_attributes"] == {"score": 1.5}
    assert (await following.run(tenant_a)).condition.last_run.read == 0

    with (directory / "a.csv").open("a") as file:
        file.write(line(602) + line(5, gone="true", day=2))
    after = (await following.run(tenant_a)).condition
    assert (after.last_run.read, after.last_run.written, after.last_run.deleted) == (603, 2, 1)

    (directory / "a.csv").unlink()
    (directory / "b.ndjson").unlink()
    assert (await following.run(tenant_a)).condition.last_run.read == 0
    assert len(await profiles_of(proof, tenant_a)) == 604, "a file that is gone deletes nobody"
    (directory / "c.parquet").write_bytes(b"PAR1 no more")
    broken = (await following.run(tenant_a)).condition
    assert broken.health is Health.FAILING
    assert "c.parquet" in str(broken.last_error)
    assert str(directory) not in str(broken.last_error)


async def test_a_path_that_leads_out_is_refused(following: Following, tenant_a: Tenant) -> None:
    for path in ("../*.csv", "/etc/*.csv", "**/*.csv", "a/../../*.csv", "x\0.csv"):
        with pytest.raises(InvalidInput, match="connection"):
            await following.put(tenant_a, FILE, {"path": path})


async def test_a_link_that_leads_out_is_not_followed(
    following: Following, directory: Path, proof: asyncpg.Connection, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    other = following.directory / str(tenant_b)
    other.mkdir()
    (other / "theirs.csv").write_text(HEADER + line(1))
    os.symlink(other / "theirs.csv", directory / "mine.csv")
    os.symlink(other, directory / "sub")
    await following.put(tenant_a, FILE, {"path": "*.csv"})

    assert (await following.run(tenant_a)).condition.health is Health.DEGRADED
    await following.put(tenant_a, FILE, {"path": "sub/*.csv"})
    assert "there is no such file" in str((await following.run(tenant_a)).condition.last_error)
    assert not await profiles_of(proof, tenant_a)
    assert not await profiles_of(proof, tenant_b)
