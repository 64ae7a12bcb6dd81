"""News come in once each, whoever brings them, however often, and stay with their tenant."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from leo.activation.v1 import news_service_pb2 as wire
from leo_client import LeoApiError

from server.platform.clock import utc_now
from tests.fixtures.tenants import Tenant
from tests.news.conftest import NOON, Caller, add_instruments, item

CREATED, DUPLICATE, REFUSED = (
    wire.NEWS_WRITE_OUTCOME_CREATED,
    wire.NEWS_WRITE_OUTCOME_DUPLICATE,
    wire.NEWS_WRITE_OUTCOME_REFUSED,
)


def outcomes(results: list[wire.NewsWriteResult]) -> list[int]:
    return [result.outcome for result in results]


async def test_an_item_is_known_by_its_url_or_by_its_text(ann: Caller, proof: asyncpg.Connection) -> None:
    url = "https://wire.example.com/a"
    items = [
        item("A", source_name="Wire", source_url=url),
        item("A, corrected", source_name="Wire", source_url=f"{url}#comments"),
        item("A", source_name="Other", source_url=url),
        item("A", "text", source_name="Wire"),
        item("A", "text", source_name="Wire", at=NOON + 5, sentiment_score=0.5),
        item("A", "other text", source_name="Wire"),
    ]
    first = await ann.ingest(*items)
    assert outcomes(first) == [CREATED, DUPLICATE, CREATED, CREATED, DUPLICATE, CREATED]
    assert first[0].news_id == first[1].news_id
    assert first[3].news_id == first[4].news_id

    again = await ann.ingest(*items)
    assert outcomes(again) == [DUPLICATE] * 6
    assert [result.news_id for result in again] == [result.news_id for result in first]
    assert await proof.fetchval("select count(*) from news_feed") == 4
    assert await proof.fetchval("select count(*) from embedding_job where entity_type = 'news'") == 4


async def test_the_same_items_from_many_callers_at_once_are_stored_once(
    ann: Caller, proof: asyncpg.Connection
) -> None:
    items = [item(f"headline {place}") for place in range(50)]
    answers = await asyncio.gather(*(ann.ingest(*(items if turn % 2 else items[::-1])) for turn in range(8)))
    ids = [{result.news_id for result in results} for results in answers]
    assert all(each == ids[0] for each in ids)
    assert sum(outcomes(results).count(CREATED) for results in answers) == 50
    assert await proof.fetchval("select count(*) from news_feed") == 50


async def test_bad_items_are_answered_with_their_faults_and_the_others_stored(ann: Caller) -> None:
    tomorrow = int(utc_now().timestamp()) + 2 * 86_400
    results = await ann.ingest(
        item("good"),
        item(" "),
        item("late", at=tomorrow),
        item("old", at=0),
        wire.NewsItem(title="never"),
        item("glad", sentiment_score=1.01),
        item("file", source_url="file:///etc/passwd"),
        item("tag", language="not a tag"),
        item("json", metadata=b"[1]"),
        item("nul\x00"),
        item("also good", sentiment_score=0.875, language="vi"),
    )
    assert outcomes(results) == [CREATED, *[REFUSED] * 9, CREATED]
    fields = [[fault.field for fault in result.faults] for result in results[1:10]]
    assert fields == [
        ["items[1].title"],
        ["items[2].published_at"],
        ["items[3].published_at"],
        ["items[4].published_at"],
        ["items[5].sentiment_score"],
        ["items[6].source_url"],
        ["items[7].language"],
        ["items[8].metadata"],
        ["items[9].title"],
    ]
    [hit] = (await ann.search("also good")).hits
    assert hit.news.sentiment_score == 0.88


async def test_a_batch_has_bounds(ann: Caller) -> None:
    for items in ([], [item(f"n{place}") for place in range(1001)]):
        with pytest.raises(LeoApiError) as raised:
            await ann.ingest(*items)
        assert raised.value.reason == "INVALID_FIELD"


async def test_items_are_linked_with_the_tenants_and_the_global_instruments(
    ann: Caller, bob: Caller, proof: asyncpg.Connection, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    await add_instruments(proof, None, [("AAPL", "Apple Inc.", "{}"), ("OLD", "Old Company", "{}")])
    await add_instruments(proof, tenant_a, [("FUND", "House Fund", '{"aliases": ["The Fund"]}')])
    await add_instruments(proof, tenant_b, [("OTHER", "Other Fund", "{}")])
    await proof.execute("update instruments set status = 'inactive' where symbol = 'OLD'")
    text = "AAPL, OLD, OTHER and the shares of The Fund"
    [of_ann] = await ann.ingest(item("news", text, tagged_symbols=["OTHER"]))
    [of_bob] = await bob.ingest(item("news", text))
    [shared] = await ann.ingest(item("news", text), shared=True)
    assert list(of_ann.related_symbols) == ["AAPL", "FUND"]
    assert list(of_bob.related_symbols) == ["AAPL", "OTHER"]
    assert list(shared.related_symbols) == ["AAPL"]

    await add_instruments(proof, tenant_a, [("NEW", "New Company", "{}")])
    [later] = await ann.ingest(item("NEW rises"))
    assert list(later.related_symbols) == ["NEW"]


async def test_global_news_need_a_scope_of_their_own_and_reach_everybody(
    ann: Caller, bob: Caller, proof: asyncpg.Connection
) -> None:
    with pytest.raises(LeoApiError) as raised:
        await bob.ingest(item("for all"), shared=True)
    assert raised.value.reason == "SCOPE_MISSING"
    assert await proof.fetchval("select count(*) from news_feed") == 0

    assert outcomes(await ann.ingest(item("for all"), shared=True)) == [CREATED]
    assert outcomes(await ann.ingest(item("for all"), shared=True)) == [DUPLICATE]
    assert outcomes(await ann.ingest(item("of ann"))) == [CREATED]
    assert await bob.titles() == ["for all"]
    assert sorted(await ann.titles()) == ["for all", "of ann"]


async def test_no_context_writes_global_news_unasked(app: asyncpg.Connection, tenant_a: Tenant) -> None:
    insert = "insert into news_feed (content_sha256, title, published_at) values ('h', 'forged', now())"
    for context in (str(tenant_a), ""):
        await app.execute("select set_config('app.current_tenant_id', $1, false)", context)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.execute(insert)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.execute("insert into embedding_job (entity_type, entity_id) values ('news', '1')")


async def test_times_are_stored_as_given(ann: Caller) -> None:
    await ann.ingest(item("exact", at=NOON))
    [hit] = (await ann.search()).hits
    assert hit.news.published_at == Timestamp(seconds=NOON)
