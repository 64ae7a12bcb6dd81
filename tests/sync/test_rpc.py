"""Sources over CatalogService, as two tenants describe them, and over `leo sources`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import pytest
from leo.activation.v1 import catalog_service_pb2 as wire
from leo_client import LeoApiError
from typer.testing import CliRunner

from server.cli import sources
from tests.cli.test_cli import leo
from tests.fixtures import planted
from tests.fixtures.server import ClientFor
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor

SCOPES = ["catalog.read", "catalog.write"]
CONNECTION: dict[str, Any] = {
    "host": "crm.example.com",
    "database": "crm",
    "user": "reader",
    "table": "customers",
    "key_column": "id",
    "updated_column": "changed_at",
}
MAPPING: dict[str, Any] = {"fields": {"ext_id": {"from": "id", "prefix": "crm-"}}}


def described(
    connection: dict[str, Any] | None = None, mapping: dict[str, Any] | None = None, **changes: Any
) -> wire.DataSource:
    return wire.DataSource(
        **{
            "source_id": "crm",
            "source_name": "CRM",
            "type": wire.DATA_SOURCE_TYPE_POSTGRESQL,
            "connection": json.dumps(CONNECTION | (connection or {})).encode(),
            "mapping": json.dumps(mapping or MAPPING).encode(),
            "sync_frequency_seconds": 60,
            **changes,
        }
    )


def put(password: str | None = None, **changes: Any) -> wire.PutDataSourceRequest:
    return wire.PutDataSourceRequest(data_source=described(**changes), password=password)


async def test_a_source_is_described_changed_paused_and_removed_by_its_tenant_alone(
    client_for: ClientFor, proof: asyncpg.Connection, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    ours, theirs = client_for(tenant_a, SCOPES), client_for(tenant_b, SCOPES)

    first = await ours.catalog.PutDataSource(put(planted.SECRET))
    assert first.changed
    state = first.data_source.state
    assert (state.health, state.has_password, state.stale) == (wire.DATA_SOURCE_HEALTH_UNKNOWN, True, False)
    assert first.data_source.stale_after_seconds == 300
    assert state.HasField("due_at")
    assert not (await ours.catalog.PutDataSource(put(planted.SECRET))).changed
    assert not (await ours.catalog.PutDataSource(put())).changed, "the password stays"
    assert planted.SECRET not in str(first)
    assert planted.SECRET not in await proof.fetchval("select data_sources::text from data_sources")

    # Whoever may change a source may not read its password by leading it to a machine of his own.
    for change in ({"host": "CRM.example.com"}, {"user": "somebody"}, {"ssl": "disable"}):
        with pytest.raises(LeoApiError) as caught:
            await ours.catalog.PutDataSource(put(connection=change))
        assert [fault.field for fault in caught.value.violations] == ["password"]
    assert (await ours.catalog.PutDataSource(put("", connection={"user": "somebody"}))).changed

    request = wire.SetDataSourcePausedRequest(source_id="crm", paused=True)
    assert (await ours.catalog.SetDataSourcePaused(request)).data_source.paused
    with pytest.raises(LeoApiError) as caught:
        await ours.catalog.SyncNow(wire.SyncNowRequest(source_id="crm"))
    assert caught.value.reason == "RULE_VIOLATED"
    request.paused = False
    assert not (await ours.catalog.SetDataSourcePaused(request)).data_source.paused

    assert not (await theirs.catalog.ListDataSources(wire.ListDataSourcesRequest())).data_sources
    for call in (
        theirs.catalog.GetDataSource(wire.GetDataSourceRequest(source_id="crm")),
        theirs.catalog.SyncNow(wire.SyncNowRequest(source_id="crm")),
        theirs.catalog.SetDataSourcePaused(request),
    ):
        with pytest.raises(LeoApiError) as caught:
            await call
        assert caught.value.code is grpc.StatusCode.NOT_FOUND
    await proof.execute(
        "insert into data_sources (tenant_id, source_id, source_name, source_type)"
        " select $1, 's' || n, 'S', 'file' from generate_series(1, 99) as n",
        tenant_a,
    )
    with pytest.raises(LeoApiError) as caught:
        await ours.catalog.PutDataSource(put(source_id="one-too-many"))
    assert caught.value.reason == "RULE_VIOLATED"
    delete = wire.DeleteDataSourceRequest(source_id="crm")
    assert not (await theirs.catalog.DeleteDataSource(delete)).deleted
    assert (await ours.catalog.DeleteDataSource(delete)).deleted
    assert not (await ours.catalog.DeleteDataSource(delete)).deleted


FAULTY: list[tuple[wire.PutDataSourceRequest, list[str]]] = [
    (put(connection={"host": "elsewhere.example.com"}), ["data_source.connection"]),
    (put(connection={"port": 5433}), ["data_source.connection"]),
    (put(connection={"host": "/var/run"}), ["data_source.connection.host"]),
    (
        put(connection={"port": 0, "pasword": "x"}),
        ["data_source.connection.port", "data_source.connection.pasword"],
    ),
    (
        put(mapping={"fields": {"emial": "x"}, "rest": "?"}),
        ["data_source.mapping.rest", "data_source.mapping.fields"],
    ),
    (put(type=wire.DATA_SOURCE_TYPE_FILE, connection={}), ["data_source.connection"]),
    (
        put(type=wire.DATA_SOURCE_TYPE_FILE, connection={"path": "a.csv", "delimiter": "\n"}),
        ["data_source.connection.delimiter"],
    ),
    (
        put(type=wire.DATA_SOURCE_TYPE_ARANGODB, connection={"url": "http://crm.example.com:99999"}),
        ["data_source.connection.url"],
    ),
    (put(type=0), ["data_source.type"]),
    (
        put(sync_frequency_seconds=0, source_id="a b"),
        ["data_source.source_id", "data_source.sync_frequency_seconds"],
    ),
    (put("x" * 1_001), ["password"]),
    (wire.PutDataSourceRequest(), ["data_source"]),
]


async def test_each_fault_is_told_with_its_path(client_for: ClientFor, tenant_a: Tenant) -> None:
    client = client_for(tenant_a, SCOPES)
    for request, fields in FAULTY:
        with pytest.raises(LeoApiError) as caught:
            await client.catalog.PutDataSource(request)
        found = [fault.field for fault in caught.value.violations]
        for field in fields:
            assert any(each.startswith(field) for each in found), found


async def test_leo_sources_as_a_user_types_it(
    running_server: str, token_for: TokenFor, tenant_a: Tenant, proof: asyncpg.Connection, tmp_path: Path
) -> None:
    file = tmp_path / "crm.toml"
    connection = "\n".join(f'{name} = "{value}"' for name, value in CONNECTION.items())
    file.write_text(
        f'source_id = "crm"\nsource_name = "CRM"\ntype = "postgresql"\nsync_frequency_seconds = 60\n'
        f'[connection]\n{connection}\n[mapping.fields]\next_id = {{ from = "id", prefix = "crm-" }}\n'
    )
    secret = tmp_path / "password"
    secret.write_text(f"{planted.SECRET}\n")
    shown = ""

    called = ("--server", running_server, "--token", token_for(tenant_a, SCOPES))

    async def run(*arguments: str) -> str:
        nonlocal shown
        wide = CliRunner(env={"COLUMNS": "400"})
        result = await asyncio.to_thread(wide.invoke, sources.app, [*arguments, *called])
        shown += result.output + str(result.exception)
        return result.output if result.exception is None else str(result.exception)

    assert "crm: put, unknown" in await run("put", str(file), "--password-file", str(secret))
    listed = await run("list", "--json")
    assert json.loads(listed)["connection"]["host"] == "crm.example.com"
    assert "crm: due now" in await run("run", "crm")
    assert "crm: paused" in await run("pause", "crm")
    assert "crm: unknown" in await run("resume", "crm")
    await run("pause", "crm")
    await proof.execute("update data_sources set last_error = 'is there an index on [changed_at, id]?'")
    listed = await run("list")
    assert "paused" in listed
    assert "an index on [changed_at, id]?" in listed
    assert json.loads(await run("show", "crm"))["state"]["has_password"] is True
    file.write_text(file.read_text().replace("source_name", "name"))
    assert "name: no such entry" in await run("put", str(file))
    assert "crm: removed" in await run("remove", "crm")
    assert planted.SECRET not in shown
    helped = await asyncio.to_thread(leo, "sources", "--help", state=tmp_path)
    assert "resume" in helped.stdout
