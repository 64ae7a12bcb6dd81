"""Two server processes and large audiences: nobody stands in anybody's way, and a killed one leaves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest
from leo.activation.v1 import decision_service_pb2 as decisions_wire
from leo.activation.v1 import snapshot_service_pb2 as wire

from server.config import ServerSettings
from server.embedded.database_setup import DatabaseUrls
from server.platform.ids import audience_sha256, key_id
from tests.decisions.processes import ServingProcess, event, serving
from tests.dispatch.decided import Decisions
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor
from tests.snapshots.conftest import SCOPES, Snapshots
from tests.snapshots.rows import acting_for, add_profiles, stored
from tests.workers.conftest import until

COUNT = 25_000
MEMBERS = [f"p{number:05}" for number in range(COUNT)]
# Its row is of the third block: two are written when it is held.
HELD_AT = "p24000"
LOCK = 4711


@asynccontextmanager
async def held(database: DatabaseUrls, snapshot_id: str) -> AsyncIterator[asyncpg.Connection]:
    """While the block runs, a freeze that writes this snapshot stands still in the middle of its members."""
    superuser = await asyncpg.connect(database.superuser_url)
    await superuser.execute(
        "create or replace function hold_member() returns trigger language plpgsql as"
        f" $$ begin perform pg_advisory_xact_lock_shared({LOCK}); return new; end $$"
    )
    await superuser.execute(
        "create or replace trigger hold_member before insert on segment_snapshot_member for each row"
        f" when (new.snapshot_id = '{snapshot_id}' and new.profile_id = '{HELD_AT}')"
        " execute function hold_member()"
    )
    await superuser.execute(f"select pg_advisory_lock({LOCK})")
    try:
        yield superuser
    finally:
        await superuser.close()


async def waiting(connection: asyncpg.Connection, kind: str) -> int:
    """Wait until a session waits for a lock of this kind; its process id."""
    found: list[int] = []

    async def waits() -> bool:
        rows = await connection.fetch(
            "select pid from pg_stat_activity where datname = current_database()"
            " and wait_event_type = 'Lock' and wait_event = $1",
            kind,
        )
        found[:] = [row["pid"] for row in rows]
        return bool(found)

    await until(waits)
    return found[0]


async def _populate(app: asyncpg.Connection, tenant: Tenant) -> str:
    """25,000 profiles with a label; the id of the snapshot that they will have."""
    async with acting_for(app, tenant):
        await app.execute(
            "insert into cdp_profiles (tenant_id, profile_id, segments)"
            " select $1, profile_id, '[\"vip\"]' from unnest($2::text[]) as profile_id",
            UUID(int=tenant.int),
            MEMBERS,
        )
    return key_id("snapshot", UUID(int=tenant.int), "vip", "label", audience_sha256(MEMBERS))


@pytest.fixture
def token(token_for: TokenFor, tenant_a: Tenant) -> str:
    """For snapshots and decisions of tenant A."""
    return token_for(tenant_a, (*SCOPES, "decisions.write"))


def _freeze(server: ServingProcess, reason: str) -> asyncio.Task[wire.SnapshotResponse]:
    request = wire.SnapshotRequest(label="vip", reason=reason)
    return asyncio.create_task(server.client.snapshots.Snapshot(request, timeout=120))


async def test_freezes_at_once_block_neither_each_other_nor_reading_nor_decide(
    settings: ServerSettings,
    token: str,
    app: asyncpg.Connection,
    proof: asyncpg.Connection,
    database: DatabaseUrls,
    tenant_a: Tenant,
) -> None:
    decisions = Decisions(app)
    await decisions.define(tenant_a)
    await decisions.profile(tenant_a, "lan")
    snapshot_id = await _populate(app, tenant_a)
    async with serving(settings, token) as one, serving(settings, token) as other:
        assert one.pid != other.pid
        board = wire.ListAudience(name="board", profile_ids=["lan"])
        earlier = await other.client.snapshots.Snapshot(wire.SnapshotRequest(list=board, reason="a test"))
        async with held(database, snapshot_id) as superuser:
            first = _freeze(one, "first")
            await waiting(superuser, "advisory")
            # The very same audience: it waits for the first, since one of them has to write it.
            same = _freeze(other, "same")
            await waiting(superuser, "transactionid")
            request = wire.ListSnapshotMembersRequest(snapshot_id=earlier.snapshot.snapshot_id)
            [page] = [page async for page in other.client.snapshots.ListSnapshotMembers(request)]
            assert list(page.profile_ids) == ["lan"]
            answer = await other.client.decisions.Decide(
                decisions_wire.DecideRequest(event=event("e1", "lan", datetime(2026, 3, 1, tzinfo=UTC)))
            )
            assert answer.decision.outcome == decisions_wire.DECISION_OUTCOME_SEND
            # The same segment with another audience is another snapshot, and waits for nobody.
            await add_profiles(app, tenant_a, "newcomer", segments=["vip"])
            changed = await _freeze(other, "changed")
            assert changed.created
            assert changed.snapshot.member_count == COUNT + 1
            assert not first.done()
            assert not same.done()
        answers = await asyncio.gather(first, same)
        assert [each.created for each in answers] == [True, False]
        assert {each.snapshot.snapshot_id for each in answers} == {snapshot_id}
        for frozen in (snapshot_id, changed.snapshot.snapshot_id):
            verify = wire.VerifySnapshotRequest(snapshot_id=frozen)
            assert (await one.client.snapshots.VerifySnapshot(verify)).intact
    reasons = {
        row["reasoning_summary"]
        for row in await stored(proof, "agent_task", tenant_a)
        if row["snapshot_id"] == snapshot_id
    }
    assert reasons == {"first", "same"}


async def test_a_server_that_is_killed_in_the_middle_of_a_freeze_leaves_nothing(
    settings: ServerSettings,
    token: str,
    snapshots: Snapshots,
    app: asyncpg.Connection,
    proof: asyncpg.Connection,
    database: DatabaseUrls,
    tenant_a: Tenant,
) -> None:
    snapshot_id = await _populate(app, tenant_a)
    async with serving(settings, token) as server, held(database, snapshot_id) as superuser:
        freezing = _freeze(server, "killed")
        backend = await waiting(superuser, "advisory")
        server.process.kill()
        await asyncio.wait([freezing])
        assert freezing.exception() is not None
        await superuser.execute(f"select pg_advisory_unlock({LOCK})")
        gone = "select not exists (select from pg_stat_activity where pid = $1)"
        await until(lambda: superuser.fetchval(gone, backend))
    for table in ("segment_snapshot", "segment_snapshot_member", "agent_task"):
        assert not await stored(proof, table, tenant_a)
    answer = await snapshots.freeze(label="vip")
    assert answer.created
    assert answer.snapshot.snapshot_id == snapshot_id
    assert await snapshots.members(snapshot_id) == MEMBERS
    assert (await snapshots.verify(snapshot_id)).intact
