"""The audience that PostgreSQL freezes is the one that the condition's closure means."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.conditions import Facts, compile_predicate, parse
from server.embedded.database_setup import DatabaseUrls
from server.platform.ids import audience_sha256, key_id
from server.snapshots.model import Audience
from server.snapshots.store import SnapshotStore
from tests.conditions.strategies import AT, Person, people, trees
from tests.fixtures.tenants import Tenant
from tests.snapshots.rows import insert

EXAMPLES = 40
profile_ids = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=6)
of_the_row = st.sampled_from(
    ("profile.a", "profile.b.tags", "profile.language", "profile.latitude", "profile.interests", "segment")
)


class World:
    """A tenant whose profiles exist for one comparison."""

    def __init__(self, connection: asyncpg.Connection, tenant_id: UUID) -> None:
        self._connection = connection
        self._tenant_id = tenant_id
        self._store = SnapshotStore()
        self.frozen = 0

    async def compare(self, crowd: dict[str, Person], document: Any) -> None:
        """Freeze and compare, then undo all of it."""
        transaction = self._connection.transaction()
        await transaction.start()
        try:
            await self._populate(crowd)
            await self._agree(crowd, document)
        finally:
            await transaction.rollback()

    async def _populate(self, crowd: dict[str, Person]) -> None:
        await self._connection.execute(
            "select set_config('app.current_tenant_id', $1, true)", str(self._tenant_id)
        )
        for profile_id, person in crowd.items():
            await insert(
                self._connection, self._tenant_id, "cdp_profiles", profile_id=profile_id, **person.columns
            )

    async def _agree(self, crowd: dict[str, Person], document: Any) -> None:
        audience = Audience("random", "1", parse(document))
        holds = compile_predicate(audience.condition)
        meant = [
            profile_id
            for profile_id, person in crowd.items()
            if holds(Facts(occurred_at=AT, profile={"profile_id": profile_id, **person.columns}))
        ]
        members = audience.members(at=AT, field="condition")
        snapshot_id, _ = await self._store.freeze_audience(
            self._connection, self._tenant_id, members=members, reason="a test"
        )
        assert snapshot_id == key_id("snapshot", self._tenant_id, "random", "1", audience_sha256(meant))
        frozen = await self._store.list_members(
            self._connection, self._tenant_id, snapshot_id, after="", limit=100
        )
        assert frozen == sorted(meant)
        self.frozen += len(frozen)


def test_the_frozen_audience_is_the_one_that_is_meant(database: DatabaseUrls, tenant_a: Tenant) -> None:
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(database.app_url))
        world = World(connection, UUID(int=tenant_a.int))

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(st.dictionaries(profile_ids, people, min_size=1, max_size=6), trees(of_the_row))
        def agree(crowd: dict[str, Person], document: Any) -> None:
            runner.run(world.compare(crowd, document))

        agree()
        runner.run(connection.close())
    assert world.frozen > EXAMPLES / 4
