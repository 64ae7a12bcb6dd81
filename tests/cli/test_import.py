"""`leo import`, as a user types it."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import duckdb
import orjson
import pytest

from server.config import ServerSettings
from server.mapping.rows import RowFile
from tests.cli.test_cli import leo
from tests.decisions.processes import serving
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor
from tests.platform.proxy import CuttingProxy

MAPPING = """
default_region = "VN"
ignore = ["note"]

[fields]
profile_id = "customer"
primary_email = "mail"
mobile_number = "phone"
segments = { from = "segments", split = "|" }
source_updated_at = "updated"

[attributes]
age = { from = "age", type = "integer" }

[[consents]]
channel = "email"
from = "opt_in"
source = "crm"
"""
ROWS = """customer,mail,phone,segments,updated,age,opt_in,note,city
c1,Nam@EXAMPLE.com,0912 345 678,vip|new,2026-05-01T10:00:00Z,41,yes,secret,"Huế
(centre)"
c2,nobody,,,2026-05-01,,no,,
c3,lan@example.com,,,2026-05-02,x,,,
c1,nam@example.com,,,2026-05-03,,no,,
c5,a@example.com,,,2026-05-03,,,,,surplus
c6,b@example.com,+84912345679,,2026-05-03,30,,,Vinh
"""
SCOPES = ("profiles.read", "profiles.write")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A mapping and a file of customers."""
    (tmp_path / "mapping.toml").write_text(MAPPING)
    (tmp_path / "people.csv").write_text(ROWS)
    return tmp_path


def importing(folder: Path, name: str, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`leo import` of a file of the folder."""
    return leo(
        *("import", str(folder / name), "--mapping", str(folder / "mapping.toml"), *options),
        state=folder,
        **variables,
    )


def rejects(folder: Path, name: str) -> list[tuple[int, list[str]]]:
    """Lines and fields of the rows that were refused."""
    lines = (folder / f"{name}.rejects.ndjson").read_text().splitlines()
    documents = [json.loads(line) for line in lines]
    return [(each["line"], [fault["field"] for fault in each["faults"]]) for each in documents]


async def test_rows_are_imported_and_refused_with_their_lines(
    running_server: str, token_for: TokenFor, tenant_a: Tenant, proof: asyncpg.Connection[Any], folder: Path
) -> None:
    def run(name: str, *options: str) -> subprocess.CompletedProcess[str]:
        return importing(
            folder, name, "--server", running_server, *options, LEO_TOKEN=token_for(tenant_a, SCOPES)
        )

    result = await asyncio.to_thread(run, "people.csv", "--part-rows", "2")
    assert result.returncode == 0, result.stderr
    assert result.stdout == "2 created, 1 updated, 0 unchanged, 0 stale, 3 refused\n"
    assert rejects(folder, "people.csv") == [(4, ["primary_email"]), (5, ["attributes.age"]), (7, [""])]
    assert not (folder / "people.csv.position").exists()
    stored = await proof.fetchrow("select * from cdp_profiles where profile_id = 'c1'")
    assert stored is not None
    assert (stored["primary_email"], stored["mobile_number"]) == ("nam@example.com", "+84912345678")
    assert json.loads(stored["segments"]) == ["vip", "new"]
    assert json.loads(stored["raw_attributes"]) == {"age": 41, "city": "Huế\n(centre)"}
    status = "select status from consent_management where profile_id = 'c1'"
    assert await proof.fetchval(status) == "withdrawn"
    again = await asyncio.to_thread(run, "people.csv")
    assert again.stdout == "0 created, 0 updated, 2 unchanged, 1 stale, 3 refused\n"
    (folder / "people.ndjson").write_text(
        '{"customer": "n1", "updated": "2026-05-01", "city": {"zip": 7}}\n\n{"a\n[]\n'
    )
    lines = await asyncio.to_thread(run, "people.ndjson")
    assert lines.stdout == "1 created, 0 updated, 0 unchanged, 0 stale, 2 refused\n"
    assert rejects(folder, "people.ndjson") == [(3, [""]), (4, [""])]


def test_a_dry_run_needs_no_server_and_finds_the_same_rows(folder: Path) -> None:
    result = importing(folder, "people.csv", "--dry-run")
    assert result.stdout == "3 good, 3 refused\n"
    assert [line for line, _ in rejects(folder, "people.csv")] == [4, 5, 7]
    assert "nothing was sent" in result.stderr
    assert sorted(path.name for path in folder.iterdir() if "people" in path.name) == [
        "people.csv",
        "people.csv.rejects.ndjson",
    ]


async def test_parquet_is_read(
    running_server: str, token_for: TokenFor, tenant_a: Tenant, proof: asyncpg.Connection[Any], folder: Path
) -> None:
    _write_parquet(folder / "people.parquet")
    result = await asyncio.to_thread(
        *(importing, folder, "people.parquet", "--server", running_server),
        LEO_TOKEN=token_for(tenant_a, SCOPES),
    )
    assert result.stdout == "2 created, 0 updated, 0 unchanged, 0 stale, 0 refused\n", result.stderr
    stored = await proof.fetchrow("select * from cdp_profiles where profile_id = 'c2'")
    assert stored is not None
    assert json.loads(stored["segments"]) == ["vip", "new"]
    assert json.loads(stored["raw_attributes"]) == {
        "age": 42,
        "score": 0.5,
        "born": "1984-02-29",
        "pets": {"cats": 2},
    }
    assert stored["source_updated_at"] == datetime(2026, 5, 1, tzinfo=UTC)


def test_without_a_reader_parquet_is_refused_with_what_to_install(folder: Path) -> None:
    (folder / "people.parquet").write_bytes(b"PAR1")
    broken = importing(folder, "people.parquet", "--dry-run")
    assert (broken.returncode, "too small to be a Parquet file" in broken.stderr) == (1, True)
    (folder / "duckdb.py").write_text("raise ImportError")
    result = importing(folder, "people.parquet", "--dry-run", PYTHONPATH=f"{folder}:{':'.join(sys.path)}")
    assert result.returncode == 1
    assert "leo-activation[parquet]" in result.stderr


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("people.xlsx", "", ".parquet"),
        ("absent.csv", None, "no such file"),
        ("people.csv", "customer,mail\n", "the file has no columns age, opt_in, phone, segments, updated"),
        ("people.csv", None, "fields.profil_id"),
    ],
)
def test_what_can_not_be_imported_is_told_before_anything_is_sent(
    folder: Path, name: str, content: str | None, told: str
) -> None:
    if content is not None:
        (folder / name).write_text(content)
    if told.startswith("fields"):
        (folder / "mapping.toml").write_text(MAPPING.replace("profile_id", "profil_id"))
    result = importing(folder, name)
    assert result.returncode == 1
    assert told in result.stderr.replace("\n", " ")
    assert "Traceback" not in result.stderr


async def test_a_server_that_is_killed_and_comes_back_gets_the_rest(
    settings: ServerSettings,
    token_for: TokenFor,
    tenant_a: Tenant,
    proof: asyncpg.Connection[Any],
    folder: Path,
) -> None:
    token = token_for(tenant_a, SCOPES)
    _write_many(folder / "people.csv", 400)
    async with serving(settings, token) as server:
        listen = server.address
        command = asyncio.create_task(_started(folder, listen, token))
        await _until(lambda: _committed(folder) >= 40)
        server.process.kill()
    same_port = settings.model_copy(update={"listen": listen})
    async with serving(same_port, token):
        output = await command
    # What was committed without an answer comes again and changes nothing.
    assert sum(int(count) for count in re.findall(r"(\d+) (?:created|unchanged)", output)) == 400
    assert await proof.fetchval("select count(*) from cdp_profiles") == 400


async def test_a_command_that_is_killed_goes_on_where_it_was(
    running_server: str, token_for: TokenFor, tenant_a: Tenant, proof: asyncpg.Connection[Any], folder: Path
) -> None:
    token = token_for(tenant_a, SCOPES)
    _write_many(folder / "people.csv", 300, bad_every=30)
    process = await _command(folder, running_server, token)
    await _until(lambda: _committed(folder) >= 60)
    process.kill()
    await process.wait()
    result = await asyncio.to_thread(
        *(importing, folder, "people.csv", "--server", running_server, "--part-rows", "10"), LEO_TOKEN=token
    )
    assert result.returncode == 0, result.stderr
    assert await proof.fetchval("select count(*) from cdp_profiles") == 290
    assert [line for line, _ in rejects(folder, "people.csv")] == list(range(2, 302, 30))
    (folder / "people.csv.position").write_text(json.dumps({"of": "another"}))
    refused = await asyncio.to_thread(
        importing, folder, "people.csv", "--server", running_server, LEO_TOKEN=token
    )
    assert "--restart" in refused.stderr


async def test_a_server_that_stays_away_is_told_with_how_to_go_on(
    token_for: TokenFor, tenant_a: Tenant, folder: Path
) -> None:
    async with CuttingProxy("postgresql://nobody@127.0.0.1:1/none") as proxy:
        address = proxy.url.partition("@")[2].partition("/")[0]
    result = await asyncio.to_thread(
        *(importing, folder, "people.csv", "--server", address, "--patience", "0"),
        LEO_TOKEN=token_for(tenant_a, SCOPES),
    )
    assert result.returncode == 1
    assert "The same command goes on after row 0" in result.stderr


def test_lines_of_other_encodings_are_refused_alone(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_bytes(b'\xef\xbb\xbfid,name\n1,Hu\xe9\n2,"a\nb"\n3,c\n')
    rows = list(RowFile(tmp_path / "people.csv").rows())
    assert [(row.number, row.fault) for row in rows] == [(2, "is not UTF-8"), (4, ""), (5, "")]
    assert rows[-1].document == {"id": "3", "name": "c"}
    assert rows[-1].done <= (tmp_path / "people.csv").stat().st_size


def _write_parquet(path: Path) -> None:
    """Two customers, as an analyst would write them."""
    duckdb.execute(
        f"""
        copy (
            select 'c' || number as customer, case when number = 1 then 'a@example.com' end as mail, null as phone,
                ['vip', 'new'] as segments, timestamptz '2026-05-01 07:00:00+07' as updated, 40 + number as age,
                case when number = 2 then 0.50::decimal(5, 2) end as score, null::boolean as opt_in,
                case when number = 2 then date '1984-02-29' end as born,
                case when number = 2 then {{'cats': 2}} end as pets
            from range(1, 3) as numbers (number)
        ) to '{path}' (format parquet)
        """
    )


def _write_many(path: Path, count: int, bad_every: int = 0) -> None:
    lines = ["customer,mail,phone,segments,updated,age,opt_in"]
    for number in range(count):
        mail = "bad" if bad_every and number % bad_every == 0 else f"u{number}@example.com"
        lines.append(f"c{number},{mail},,,2026-05-01,30,yes")
    path.write_text("\n".join(lines) + "\n")


async def _command(folder: Path, address: str, token: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "server.cli.main", "import", str(folder / "people.csv")),
        *("--mapping", str(folder / "mapping.toml"), "--server", address, "--part-rows", "10"),
        env={"PYTHONPATH": ":".join(sys.path), "LEO_TOKEN": token, "LEO_STATE_DIRECTORY": str(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def _started(folder: Path, address: str, token: str) -> str:
    process = await _command(folder, address, token)
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode()


def _committed(folder: Path) -> int:
    """The last row that the command knows to be committed."""
    try:
        return int(orjson.loads((folder / "people.csv.position").read_bytes())["last_row"])
    except FileNotFoundError:
        return 0


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not condition():  # noqa: ASYNC110 - another process writes what is waited for
            await asyncio.sleep(0.005)
