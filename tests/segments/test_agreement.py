"""Judging everybody, judging whom a change or an event concerns, and the closure of the condition say the same."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.conditions import Facts, PastEvent, compile_predicate, measure
from server.embedded.database_setup import DatabaseUrls
from server.segments.model import Definition, Judged, Segment, judgement, segments_of, versions_of
from server.segments.store import Evaluation, SegmentStore
from tests.conditions.strategies import AT, INSTANTS, WINDOWS, Person, people, trees
from tests.fixtures.tenants import Tenant
from tests.snapshots.rows import insert

EXAMPLES = 60
LATER = AT + timedelta(days=30)
profile_ids = st.sampled_from(["a", "é", "Z"])
of_the_row = st.sampled_from(
    (
        *("profile.a", "profile.b", "profile.b.tags", "profile.language", "profile.latitude"),
        *("profile.interests", "profile.location", "segment"),
        *WINDOWS,
    )
)
# One segment at least looks at what people did, and at few enough of it that an event or a day may decide.
counts = st.fixed_dictionaries(
    {
        "attribute": st.sampled_from(("count(purchase, 30d)", "count(page_view, 1d)")),
        "operator": st.sampled_from((">=", "<")),
        "value": st.integers(1, 2),
    }
)
conditions = st.tuples(counts, st.lists(trees(of_the_row), min_size=1, max_size=3)).map(
    lambda drawn: [drawn[0], *drawn[1]]
)


class World:
    """A tenant whose profiles exist for one comparison."""

    def __init__(self, connection: asyncpg.Connection, tenant_id: UUID) -> None:
        self._connection = connection
        self._tenant_id = tenant_id
        self._store = SegmentStore()
        self.entered = 0
        self.moved = 0
        self.moved_by_events = 0
        self.moved_by_time = 0
        self._recorded = 0

    async def compare(
        self, before: dict[str, Person], after: dict[str, Person], documents: list[Any]
    ) -> None:
        """Evaluate, change, evaluate both ways, then undo all of it."""
        transaction = self._connection.transaction()
        await transaction.start()
        try:
            await self._agree(before, after, documents)
        finally:
            await transaction.rollback()

    async def _agree(self, before: dict[str, Person], after: dict[str, Person], documents: list[Any]) -> None:
        await self._connection.execute(
            "select set_config('app.current_tenant_id', $1, true)", str(self._tenant_id)
        )
        segments = segments_of(
            Definition(f"segment {number}", "1", json.dumps(document).encode())
            for number, document in enumerate(documents)
        )
        for profile_id, person in before.items():
            await insert(
                self._connection, self._tenant_id, "cdp_profiles", profile_id=profile_id, **person.columns
            )
            await self._record(profile_id, person.events)
        self.entered += (await self._judge_all(segments)).entered
        await self._is_as_meant(segments, before)
        now = {key: _as_after(person, after.get(key, person)) for key, person in before.items()}
        for profile_id in now:
            await self._change(segments, profile_id, before[profile_id], now[profile_id])
            await self._add_events(
                segments, profile_id, now[profile_id].events[len(before[profile_id].events) :]
            )
        await self._is_as_meant(segments, now)
        assert (await self._judge_all(segments)).changed == 0
        self.moved_by_time += (await self._judge_all(segments, LATER)).changed
        await self._is_as_meant(segments, now, LATER)

    async def _judge_all(self, segments: Sequence[Segment], at: datetime = AT) -> Judged:
        return await self._store.judge_next(
            self._connection, self._tenant_id, _evaluation(segments, None, at), after="", limit=100
        )

    async def _change(
        self, segments: Sequence[Segment], profile_id: str, before: Person, now: Person
    ) -> None:
        changed = _changed(before.columns, now.columns)
        written = {column: value for column, value in now.columns.items() if column != "created_at"}
        assignments = ", ".join(f"{column} = ${place}" for place, column in enumerate(written, 2))
        values = [
            json.dumps(value) if isinstance(value, (dict, list)) else value for value in written.values()
        ]
        await self._connection.execute(
            f"update cdp_profiles set {assignments} where profile_id = $1",
            profile_id,
            *values,
        )
        reading = {segment.name for segment in segments if segment.reads(changed, ())}
        self.moved += await self._refresh(segments, reading, profile_id)

    async def _add_events(self, segments: Sequence[Segment], profile_id: str, events: Sequence[Any]) -> None:
        await self._record(profile_id, events)
        types = {event_type for event_type, _, _ in events}
        reading = {segment.name for segment in segments if segment.reads((), types)}
        self.moved_by_events += await self._refresh(segments, reading, profile_id)

    async def _record(self, profile_id: str, events: Sequence[Any]) -> None:
        for event_type, occurred_at, attributes in events:
            self._recorded += 1
            await insert(
                self._connection,
                self._tenant_id,
                "behavioral_events",
                event_key=str(self._recorded),
                source_event_id=str(self._recorded),
                profile_id=profile_id,
                event_type=event_type,
                occurred_at=occurred_at,
                attributes=attributes,
            )

    async def _refresh(self, segments: Sequence[Segment], reading: set[str], profile_id: str) -> int:
        judged = await self._store.judge_these(
            self._connection, self._tenant_id, _evaluation(segments, reading, AT), [profile_id]
        )
        return judged.changed

    async def _is_as_meant(
        self, segments: Sequence[Segment], crowd: dict[str, Person], at: datetime = AT
    ) -> None:
        rows = await self._connection.fetch(
            "select profile_id, evaluated_segments, segments, segment_labels from cdp_profiles"
        )
        for row in rows:
            columns = crowd[row["profile_id"]].columns
            meant = _meant(segments, row["profile_id"], crowd[row["profile_id"]], at)
            assert json.loads(row["evaluated_segments"]) == meant
            labels = columns.get("segments", [])
            assert json.loads(row["segments"]) == labels + meant
            assert json.loads(row["segment_labels"] or row["segments"]) == labels


def _meant(segments: Sequence[Segment], profile_id: str, person: Person, at: datetime) -> list[str]:
    """The names of the segments that the closures put a profile in."""
    past = [PastEvent(*event) for event in person.events]
    names = []
    for segment in segments:
        facts = Facts(
            occurred_at=at,
            profile={"profile_id": profile_id, **person.columns},
            aggregates=measure(segment.condition.aggregates, past, at),
        )
        if compile_predicate(segment.condition)(facts):
            names.append(segment.name)
    return names


def _as_after(before: Person, after: Person) -> Person:
    """With the columns of another, and the events of both."""
    return replace(after, events=[*before.events, *after.events] if after is not before else before.events)


def _evaluation(segments: Sequence[Segment], asked: set[str] | None, at: datetime) -> Evaluation:
    return Evaluation(judgement(segments, at=at, asked=asked), at, versions_of(segments), decided=True)


def _changed(before: dict[str, Any], now: dict[str, Any]) -> set[str]:
    """The columns that differ, and the first keys inside raw_attributes."""
    columns = {column for column in now if before.get(column) != now[column]}
    old, new = before.get("raw_attributes", {}), now.get("raw_attributes", {})
    keys = {key for key in {*old, *new} if old.get(key) != new.get(key)}
    return columns | {f"raw_attributes.{key}" for key in keys}


def test_both_ways_and_the_closure_agree(database: DatabaseUrls, tenant_a: Tenant) -> None:
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(database.app_url))
        for month in sorted({instant.date().replace(day=1) for instant in (*INSTANTS, AT, LATER)}):
            runner.run(connection.execute("select ensure_month($1)", month))
        world = World(connection, UUID(int=tenant_a.int))
        crowds = st.dictionaries(profile_ids, people, min_size=2)

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(crowds, crowds, conditions)
        def agree(before: dict[str, Person], after: dict[str, Person], documents: list[Any]) -> None:
            runner.run(world.compare(before, after, documents))

        agree()
        runner.run(connection.close())
    assert world.entered > EXAMPLES / 4
    assert world.moved > EXAMPLES / 20
    assert world.moved_by_events > EXAMPLES / 20
    assert world.moved_by_time > 0
