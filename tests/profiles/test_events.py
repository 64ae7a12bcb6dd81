"""IngestEvents: facts, each once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import asyncpg
import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from leo.activation.v1 import profile_service_pb2 as wire

from server.config import ServerSettings
from server.embedded.database_setup import DatabaseUrls
from server.platform.clock import utc_now
from server.platform.months import EventMonths
from server.platform.postgres import CommitOutcomeUnknown
from server.profiles.erasure_store import ErasureStore
from server.profiles.events import IncomingEvent
from server.profiles.ingestion import EventIngestion
from server.profiles.store import ProfileStore
from tests.decisions.processes import serving
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor
from tests.profiles.conftest import NobodyListens, Profiles, database_through_proxy

SCOPES = ("profiles.read", "profiles.write")
NOON = 1_700_000_000


def event(number: int, **fields: Any) -> dict[str, Any]:
    """Something that a customer did."""
    return {"source_event_id": f"e{number}", "profile_id": "c1", "event_type": "view",
            "occurred_at": Timestamp(seconds=NOON + number), **fields}  # fmt: skip


async def test_events_are_kept_as_they_were_and_known_the_second_time(
    profiles: Profiles, proof: asyncpg.Connection[Any]
) -> None:
    full = event(1, entity_type="news", entity_id="n1", sentiment=-1, attributes=b'{"seconds": 12}')
    answer = await profiles.ingest(full, *(event(number) for number in range(2, 301)))
    assert (answer.recorded, answer.known, len(answer.refused)) == (300, 0, 0)
    stored = await proof.fetchrow("select * from behavioral_events where source_event_id = 'e1'")
    names = ("profile_id", "event_type", "entity_type", "entity_id", "sentiment_val", "attributes")
    assert stored is not None
    assert [stored[name] for name in names] == ["c1", "view", "news", "n1", -1, '{"seconds": 12}']
    again = await profiles.ingest(full, event(301))
    assert (again.recorded, again.known) == (1, 1)
    assert (
        await proof.fetchval("select entity_type from behavioral_events where source_event_id = 'e2'") is None
    )


async def test_months_are_made_before_they_are_needed(
    profiles: Profiles, superuser: asyncpg.Connection[Any]
) -> None:
    far = [
        event(1, occurred_at=Timestamp(seconds=852_076_800)),
        event(2, occurred_at=Timestamp(seconds=1_000_000_000)),
    ]
    assert (await profiles.ingest(*far)).recorded == 2
    # Retention drops a month that the server has met.
    await superuser.execute("drop table behavioral_events_1997_01")
    assert (await profiles.ingest(*far)).recorded == 1


BAD: list[tuple[str, dict[str, Any]]] = [
    ("source_event_id", {"source_event_id": ""}),
    ("source_event_id", {"source_event_id": "x" * 201}),
    ("source_event_id", {"source_event_id": "e\0"}),
    ("profile_id", {"profile_id": " "}),
    ("event_type", {"event_type": ""}),
    ("event_type", {"event_type": "leo.dispatch"}),
    ("entity_type", {"entity_type": "x" * 101}),
    ("entity_id", {"entity_id": "a\0"}),
    ("sentiment", {"sentiment": 2}),
    ("attributes", {"attributes": b"[1]"}),
    ("attributes", {"attributes": b'{"a": "\\u0000"}'}),
    ("attributes", {"attributes": b'{"a": "' + b"x" * 16_384 + b'"}'}),
    ("occurred_at", {"occurred_at": None}),
    ("occurred_at", {"occurred_at": Timestamp(seconds=0)}),
    ("occurred_at", {"occurred_at": Timestamp(seconds=4_000_000_000)}),
    ("source_event_id", {"source_event_id": "good"}),
]


async def test_bad_events_fail_alone_and_name_their_field(profiles: Profiles) -> None:
    good = event(0, source_event_id="good")
    answer = await profiles.ingest(good, *(event(n, **fields) for n, (_, fields) in enumerate(BAD, start=1)))
    assert (answer.recorded, len(answer.refused)) == (1, len(BAD))
    for (field, fields), refused in zip(BAD, answer.refused, strict=True):
        assert [fault.field for fault in refused.faults] == [f"events[{refused.index}].{field}"], fields
    for batch in ((), (good,) * 10_001):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await profiles.ingest(*batch)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_tenants_have_events_of_their_own(
    profiles: Profiles, other_profiles: Profiles, proof: asyncpg.Connection[Any]
) -> None:
    assert (await profiles.ingest(event(1))).recorded == 1
    assert (await other_profiles.ingest(event(1))).recorded == 1
    assert await proof.fetchval("select count(distinct event_key) from behavioral_events") == 2


async def test_two_servers_record_the_same_events_once(
    settings: ServerSettings, token_for: TokenFor, tenant_a: Tenant, proof: asyncpg.Connection[Any]
) -> None:
    token = token_for(tenant_a, SCOPES)
    events = [wire.BehavioralEvent(**event(number)) for number in range(600)]
    async with serving(settings, token) as one, serving(settings, token) as other:
        answers = await asyncio.gather(
            *(
                server.client.profiles.IngestEvents(wire.IngestEventsRequest(events=events[::step]))
                for server, step in ((one, 1), (other, -1), (one, -1), (other, 1))
            )
        )
    assert sum(answer.recorded for answer in answers) == 600
    assert sum(answer.known for answer in answers) == 1800
    assert await proof.fetchval("select count(*) from behavioral_events") == 600


async def test_a_commit_whose_answer_is_lost_is_known_when_sent_again(
    database: DatabaseUrls, tenant_a: Tenant, proof: asyncpg.Connection[Any]
) -> None:
    def incoming(number: int) -> IncomingEvent:
        moment = datetime.fromtimestamp(NOON + number, UTC)
        return IncomingEvent(f"e{number}", "c1", "view", moment, "", "", None, b"")

    async with database_through_proxy(database.app_url) as (pool, proxy):
        ingestion = EventIngestion(
            erasures=ErasureStore(),
            database=pool,
            store=ProfileStore(),
            months=EventMonths(pool),
            clock=utc_now,
            happenings=NobodyListens(),
        )
        await ingestion.ingest_events(tenant_a, [incoming(1)])
        proxy.armed = True
        with pytest.raises(CommitOutcomeUnknown):
            await ingestion.ingest_events(tenant_a, [incoming(2), incoming(3)])
        again = await ingestion.ingest_events(tenant_a, [incoming(2), incoming(3)])
        assert again.recorded + again.known == 2
    assert proxy.cuts == 1
    assert await proof.fetchval("select count(*) from behavioral_events") == 3


async def test_a_month_whose_commit_has_no_answer_is_made_again(
    database: DatabaseUrls, tenant_a: Tenant, proof: asyncpg.Connection[Any]
) -> None:
    async with database_through_proxy(database.app_url) as (pool, proxy):
        proxy.armed = True
        await EventMonths(pool).ensure([datetime(2001, 5, 1, tzinfo=UTC)])
    assert proxy.cuts == 1
    assert await proof.fetchval("select to_regclass('behavioral_events_2001_05') is not null")
