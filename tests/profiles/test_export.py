"""Access: everything that is stored about one person, of one moment, and a record that it was handed out."""

from __future__ import annotations

import asyncio
import io
import json
import os
import tracemalloc
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg
import grpc
import pytest
from leo.activation.v1 import profile_service_pb2 as wire
from leo_client import ExportIncomplete, write_export
from typer.testing import CliRunner

from server.cli.failure import CommandFailed
from server.cli.main import app as cli
from server.embedded.database_setup import DatabaseUrls
from server.errors import Overloaded
from server.platform.clock import utc_now
from server.platform.postgres import Database
from server.profiles.export import Begin, Documents, End, ExportPart, ProfileExport
from server.profiles.export_store import SECTIONS, ExportStore
from tests.fixtures.server import bearer
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor
from tests.profiles.conftest import Profiles
from tests.schema.rows import enter, fill
from tests.workers.conftest import until

SECTION_OF: Final = {
    "cdp_profiles": "profile",
    "consent_management": "consents",
    "agent_task": "tasks",
    "delivery_log": "deliveries",
    "behavioral_events": "events",
    "segment_snapshot_member": "snapshots",
    "alert_rules": "alert_rules",
    "activation_outcomes": "outcomes",
}
NOT_EXPORTED: Final = {"delivery_current": "a view of delivery_log"}
WHY: Final = "request of access, 2026-11-20"


@pytest.fixture
async def exports(database: DatabaseUrls) -> AsyncIterator[ProfileExport]:
    """The use case, with connections of its own."""
    opened = await Database.connect(
        database.app_url, minimum_connections=1, maximum_connections=3, application_name="test"
    )
    yield ProfileExport(database=opened, store=ExportStore(), clock=utc_now)
    await opened.close()


@pytest.fixture
async def filled(app: asyncpg.Connection, tenant_a: Tenant, tenant_b: Tenant) -> UUID:
    """Two tenants with rows under the same ids in every table; the first one's id."""
    for tenant in (tenant_a, tenant_b):
        await fill(app, tenant)
    return UUID(int=tenant_a.int)


async def test_every_row_about_a_person_comes_out_as_it_is_stored(
    exports: ProfileExport, proof: asyncpg.Connection, filled: UUID
) -> None:
    rows = await proof.fetch(
        "select table_name from information_schema.columns"
        " where table_schema = 'public' and column_name = 'profile_id' and table_name not in"
        " (select inhrelid::regclass::text from pg_inherits)"
    )
    assert {row["table_name"] for row in rows} == SECTION_OF.keys() | NOT_EXPORTED.keys()
    assert set(SECTIONS) == {*SECTION_OF.values(), "embedding_jobs"}

    _, sections, end = await _whole(exports, filled)

    for table, section in SECTION_OF.items():
        stored = await proof.fetch(
            f"select (to_jsonb(t) - 'tenant_id')::text from {table} t where tenant_id = $1 and profile_id = 'p1'",
            filled,
        )
        exported = [
            document for document in sections[section] if document.get("agent_name") != "profile_export"
        ]
        assert stored, f"{table} has no row to compare"
        for row in map(json.loads, (row[0] for row in stored if "profile_export" not in row[0])):
            # An audience shows when it was frozen, and beside it since when the person is in it.
            if section == "snapshots":
                row["member_since"] = row.pop("created_at")
            assert any(row.items() <= document.items() for document in exported), table
        assert len(exported) == len(stored) - (section == "tasks")
    assert [job["entity_id"] for job in sections["embedding_jobs"]] == ["p1"]
    assert end.counts == {section: len(documents) for section, documents in sections.items()}


async def test_the_vector_of_interests_and_what_is_left_of_the_erased_come_out(
    exports: ProfileExport, app: asyncpg.Connection, filled: UUID
) -> None:
    await enter(app, filled)
    await app.execute("update cdp_profiles set interest_embedding = array_fill(0.5, array[1536])::vector")
    begin, sections, _ = await _whole(exports, filled)
    assert begin.erased_at is None
    assert sections["profile"][0]["interest_embedding"] == [0.5] * 1536
    while not await app.fetchval(
        "select complete from erase_profile('p1', 'somebody', 'asked for it', '{}', 100)"
    ):
        pass
    begin, sections, _ = await _whole(exports, filled)
    assert begin.erased_at is not None
    assert sections["profile"][0]["primary_email"] is None
    assert "a@example.com" not in json.dumps(sections)
    assert len(sections["events"]) == 2


async def test_who_asked_when_and_why_is_recorded_and_what_was_handed_out(
    channel: grpc.aio.Channel, token_for: TokenFor, proof: asyncpg.Connection, filled: UUID, tenant_a: Tenant
) -> None:
    stub = Profiles(channel, "").stub
    call = {"metadata": bearer(token_for(tenant_a, ["profiles.export"]))}
    request = wire.ExportProfileRequest(profile_id="p1", reason=WHY)
    parts = [part async for part in stub.ExportProfile(request, **call)]
    assert [part.WhichOneof("part") for part in (parts[0], parts[-1])] == ["begin", "end"]
    recorded = await proof.fetchrow("select * from agent_task where agent_name = 'profile_export'")
    assert recorded is not None
    assert (recorded["tenant_id"], recorded["task_id"]) == (filled, parts[0].begin.task_id)
    assert (recorded["profile_id"], recorded["reasoning_summary"], recorded["status"]) == (
        "p1",
        WHY,
        "completed",
    )
    assert json.loads(recorded["inputs"])["requested_by"]
    assert json.loads(recorded["result"])["documents"]["events"] == 2
    assert recorded["output_sha256"] == parts[-1].end.sha256

    for wrong, code in (
        (wire.ExportProfileRequest(profile_id="p1"), grpc.StatusCode.INVALID_ARGUMENT),
        (wire.ExportProfileRequest(profile_id="nobody", reason=WHY), grpc.StatusCode.NOT_FOUND),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            [part async for part in stub.ExportProfile(wrong, **call)]
        assert refused.value.code() is code
    assert await proof.fetchval("select count(*) from agent_task where agent_name = 'profile_export'") == 1


async def test_an_export_is_of_one_moment_and_lets_go_when_nobody_reads_on(
    exports: ProfileExport, app: asyncpg.Connection, proof: asyncpg.Connection, filled: UUID
) -> None:
    async with aclosing(_parts(exports, filled)) as abandoned, aclosing(_parts(exports, filled)) as parts:
        assert isinstance(await anext(abandoned), Begin)
        begin = await anext(parts)
        await enter(app, filled)
        await app.execute(
            "insert into consent_management (tenant_id, profile_id, channel, status, legal_basis, source, granted_at)"
            " values ($1, 'p1', 'sms', 'granted', 'consent', 'form', now())",
            filled,
        )
        with pytest.raises(Overloaded):
            await anext(_parts(exports, filled))
        rest = [part async for part in parts]
    assert isinstance(begin, Begin)
    assert isinstance(rest[-1], End)
    assert rest[-1].counts["consents"] == 1
    _, sections, _ = await _whole(exports, filled)
    assert len(sections["consents"]) == 2
    unfinished = await proof.fetchval(
        "select count(*) from agent_task where agent_name = 'profile_export' and result is null"
    )
    assert unfinished == 1, "the one that nobody read"


async def test_memory_does_not_grow_with_what_is_stored(
    exports: ProfileExport, app: asyncpg.Connection, filled: UUID
) -> None:
    await _do_much(app, filled)
    tracemalloc.start()
    try:
        async with aclosing(_parts(exports, filled)) as parts:
            size = sum([sum(map(len, part.documents)) async for part in parts if isinstance(part, Documents)])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 20_000_000
    assert peak < size / 8


async def test_whoever_hangs_up_makes_room_for_the_next_one(
    channel: grpc.aio.Channel, token_for: TokenFor, app: asyncpg.Connection, filled: UUID, tenant_a: Tenant
) -> None:
    await _do_much(app, filled)
    stub = Profiles(channel, "").stub
    call = {"metadata": bearer(token_for(tenant_a, ["profiles.export"]))}
    request = wire.ExportProfileRequest(profile_id="p1", reason=WHY)
    under_way = [stub.ExportProfile(request, **call) for _ in range(2)]
    for stream in under_way:
        assert (await stream.read()).HasField("begin")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.ExportProfile(request, **call).read()
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    for stream in under_way:
        stream.cancel()

    async def room() -> bool:
        try:
            return bool((await stub.ExportProfile(request, **call).read()).HasField("begin"))
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise
            return False

    await until(room)


async def test_the_command_writes_one_document_or_none(
    running_server: str, token_for: TokenFor, filled: UUID, tenant_a: Tenant, tmp_path: Path
) -> None:
    variables = {"LEO_TOKEN": token_for(tenant_a, ["profiles.export"])}

    async def export(profile_id: str, output: Path) -> Any:
        typed = [
            "profiles",
            "export",
            profile_id,
            "--output",
            str(output),
            "--reason",
            WHY,
            "--server",
            running_server,
        ]
        return await asyncio.to_thread(CliRunner().invoke, cli, typed, env=variables)

    done = await export("p1", tmp_path / "p1.json")
    assert done.exit_code == 0, done.output
    document = json.loads((tmp_path / "p1.json").read_text())
    assert document["profile_id"] == "p1"
    assert document["counts"] == {section: len(document[section]) for section in SECTIONS}
    assert (tmp_path / "p1.json").stat().st_mode & 0o077 == 0
    for profile_id, output, complaint in (
        ("p1", "p1.json", "is there already"),
        ("nobody", "n.json", "no profile with this id"),
    ):
        failed = await export(profile_id, tmp_path / output)
        assert isinstance(failed.exception, CommandFailed)
        assert complaint in str(failed.exception)
    assert os.listdir(tmp_path) == ["p1.json"]


def test_an_export_that_is_not_whole_is_none() -> None:
    begin = wire.ExportProfileResponse(begin=wire.ExportBegin(profile_id="p1"))
    rows = wire.ExportProfileResponse(documents=wire.ExportDocuments(section="events", documents=[b"{}"]))
    sections = [wire.ExportSection(section="profile"), wire.ExportSection(section="events", documents=1)]
    end = wire.ExportProfileResponse(
        end=wire.ExportEnd(
            sections=sections, sha256="ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356"
        )
    )
    wrong_hash = wire.ExportProfileResponse(end=wire.ExportEnd(sections=sections, sha256="0" * 64))
    whole = io.BytesIO()
    assert write_export([begin, rows, end], whole).counts == {"profile": 0, "events": 1}
    assert json.loads(whole.getvalue())["events"] == [{}]
    broken: Sequence[list[wire.ExportProfileResponse]] = (
        [],
        [begin],
        [begin, rows],
        [rows, end],
        [begin, end],
        [begin, rows, rows, end],
        [begin, rows, wrong_hash],
    )
    for parts in broken:
        with pytest.raises(ExportIncomplete):
            write_export(parts, io.BytesIO())


async def _do_much(app: asyncpg.Connection, tenant_id: UUID) -> None:
    """Twenty megabytes of events."""
    await enter(app, tenant_id)
    await app.execute(
        "insert into behavioral_events (tenant_id, event_key, profile_id, source_event_id, event_type, occurred_at,"
        " attributes) select $1, 'many' || n, 'p1', 'many' || n, 'view',"
        " timestamptz '2025-06-01' + n * interval '1 second',"
        " jsonb_build_object('page', repeat('x', 1000)) from generate_series(1, 20000) as n",
        tenant_id,
    )


def _parts(exports: ProfileExport, tenant_id: UUID) -> AsyncGenerator[ExportPart, None]:
    return exports.export_profile(tenant_id, "p1", reason=WHY, requested_by="somebody")


async def _whole(
    exports: ProfileExport, tenant_id: UUID
) -> tuple[Begin, dict[str, list[dict[str, Any]]], End]:
    sections: dict[str, list[dict[str, Any]]] = {section: [] for section in SECTIONS}
    begin, *parts, end = [part async for part in _parts(exports, tenant_id)]
    assert isinstance(begin, Begin)
    assert isinstance(end, End)
    for part in parts:
        assert isinstance(part, Documents)
        sections[part.section] += [json.loads(document) for document in part.documents]
    return begin, sections, end
