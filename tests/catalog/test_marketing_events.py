"""Marketing events: versions, not edits."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import grpc
import orjson
from leo.activation.v1 import catalog_service_pb2 as wire

from server.catalog.model import MarketingEvent
from server.platform.ids import content_id
from tests.catalog.conftest import SPENDERS, Catalog, event
from tests.fixtures.tenants import Tenant


async def test_an_event_comes_back_as_it_was_put(ready: Catalog) -> None:
    put = await ready.put_event(
        condition=orjson.dumps(SPENDERS),
        priority=5,
        description="Say thanks.",
        topic="offers",
        valid_for_seconds=3600,
        receipt_seconds=90,
    )
    assert (put.changed, put.superseded_marketing_event_id) == (True, "")
    stored = await ready.call("GetMarketingEvent", marketing_event_id=put.marketing_event.marketing_event_id)
    assert stored.marketing_event == put.marketing_event
    assert orjson.loads(stored.marketing_event.condition) == SPENDERS
    assert stored.marketing_event.status == wire.MARKETING_EVENT_STATUS_ACTIVE
    assert stored.marketing_event.topic == "offers"
    assert (stored.marketing_event.valid_for_seconds, stored.marketing_event.receipt_seconds) == (3600, 90)


async def test_the_same_content_is_the_same_row(ready: Catalog, proof: asyncpg.Connection[Any]) -> None:
    first = await ready.put_event()
    again = await ready.put_event()
    assert (again.changed, again.marketing_event) == (False, first.marketing_event)
    assert await proof.fetchval("select count(*) from marketing_event") == 1


async def test_changed_content_supersedes_and_old_content_comes_back(ready: Catalog) -> None:
    first = (await ready.put_event()).marketing_event
    second = await ready.put_event(priority=9, topic="offers")
    assert second.superseded_marketing_event_id == first.marketing_event_id
    old = await ready.call("GetMarketingEvent", marketing_event_id=first.marketing_event_id)
    assert old.marketing_event.status == wire.MARKETING_EVENT_STATUS_SUPERSEDED
    back = await ready.put_event()
    assert back.marketing_event.marketing_event_id == first.marketing_event_id
    assert back.superseded_marketing_event_id == second.marketing_event.marketing_event_id
    listed = (await ready.call("ListMarketingEvents", campaign_id="spring")).marketing_events
    assert [item.marketing_event_id for item in listed] == [first.marketing_event_id]
    superseded = await ready.call("ListMarketingEvents", status=wire.MARKETING_EVENT_STATUS_SUPERSEDED)
    assert [(item.priority, item.topic) for item in superseded.marketing_events] == [(9, "offers")]


async def test_a_topic_is_content_and_none_is_as_before(ready: Catalog, tenant_a: Tenant) -> None:
    without, offers, news = [
        (await ready.put_event(topic=topic)).marketing_event.marketing_event_id
        for topic in ("", "offers", "news")
    ]
    assert len({without, offers, news}) == 3
    same = MarketingEvent(
        "spring", "thanks", "TRIGGER", ("email",), "thanks", "purchase", cooldown_seconds=3600
    )
    assert not {"topic", "valid_for_seconds", "receipt_seconds"} & set(same.content(None))
    assert content_id("marketing_event", tenant_a, same.content(None)) == without


async def test_writers_of_one_name_leave_one_definition(
    ready: Catalog, proof: asyncpg.Connection[Any]
) -> None:
    puts = await asyncio.gather(*(ready.put_event(priority=number % 4) for number in range(24)))
    assert len({put.marketing_event.marketing_event_id for put in puts}) == 4
    rows = await proof.fetch("select status, count(*) as rows from marketing_event group by status")
    assert {row["status"]: row["rows"] for row in rows} == {"active": 1, "superseded": 3}


async def test_a_cancelled_event_stays_so_until_it_is_put_again(ready: Catalog) -> None:
    first = (await ready.put_event()).marketing_event
    for _ in range(2):
        cancelled = await ready.call("CancelMarketingEvent", marketing_event_id=first.marketing_event_id)
        assert cancelled.marketing_event.status == wire.MARKETING_EVENT_STATUS_CANCELLED
    assert (await ready.put_event()).changed
    await ready.put_event(priority=1)
    refused = await ready.refusal("CancelMarketingEvent", marketing_event_id=first.marketing_event_id)
    assert refused == grpc.StatusCode.FAILED_PRECONDITION


async def test_references_must_exist(ready: Catalog) -> None:
    for fields in ({"campaign_id": "none"}, {"template_name": "none"}, {"channels": ["email", "zalo"]}):
        refused = await ready.refusal("PutMarketingEvent", marketing_event=event(**fields))
        assert refused == grpc.StatusCode.FAILED_PRECONDITION, fields
    planned = await ready.put_event(template_name="later", status=wire.MARKETING_EVENT_STATUS_PLANNED)
    assert planned.changed


async def test_tenants_see_nothing_of_each_other(ready: Catalog, other_catalog: Catalog) -> None:
    mine = (await ready.put_event()).marketing_event
    key = {"marketing_event_id": mine.marketing_event_id}
    for method in ("GetMarketingEvent", "CancelMarketingEvent"):
        assert await other_catalog.refusal(method, **key) == grpc.StatusCode.NOT_FOUND
    await other_catalog.put_campaign()
    await other_catalog.put_template()
    theirs = (await other_catalog.put_event()).marketing_event
    assert theirs.marketing_event_id != mine.marketing_event_id
    assert (await ready.call("GetMarketingEvent", **key)).marketing_event == mine


async def test_every_change_raises_the_definitions_version(
    ready: Catalog, proof: asyncpg.Connection[Any]
) -> None:
    async def version() -> int:
        return int(
            await proof.fetchval("select definitions_version from tenant where tenant_name = 'tenant-a'")
        )

    before = await version()
    await ready.put_event()
    after = await version()
    assert after > before
    await ready.put_event()
    assert await version() == after


BAD: list[dict[str, Any]] = [
    {"event_name": ""},
    {"event_name": "x" * 201},
    {"event_type": 0},
    {"event_type": 77},
    {"channels": []},
    {"channels": ["Email"]},
    {"channels": ["email", "email"]},
    {"event_type": wire.MARKETING_EVENT_TYPE_BROADCAST},
    {"condition": b"{"},
    {"condition": b'{"attribute": "profile.x"}'},
    {"condition": b'{"all": [], "\\ud800": 1}'},
    {"template_name": ""},
    {"topic": " "},
    {"valid_for_seconds": -1},
    {"valid_for_seconds": 31_536_001},
    {"receipt_seconds": 604_801},
    {"topic": "x" * 101},
    {"topic": "a\x00b"},
    {"priority": 1_000_001},
    {"cooldown_seconds": -1},
    {"cooldown_seconds": 2**60},
    {"status": wire.MARKETING_EVENT_STATUS_CANCELLED},
    {"description": "a\x00b"},
    {"start_at": {"seconds": -(10**10)}},
]


async def test_bad_events_are_refused_and_change_nothing(
    ready: Catalog, proof: asyncpg.Connection[Any]
) -> None:
    for fields in BAD:
        refused = await ready.refusal("PutMarketingEvent", marketing_event=event(**fields))
        assert refused == grpc.StatusCode.INVALID_ARGUMENT, fields
    for key in ("", "x", "A" * 64):
        refused = await ready.refusal("GetMarketingEvent", marketing_event_id=key)
        assert refused == grpc.StatusCode.INVALID_ARGUMENT
    assert await proof.fetchval("select count(*) from marketing_event") == 0
