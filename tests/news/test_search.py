"""News are found by words and by vector, within what the caller may see."""

from __future__ import annotations

import asyncpg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from leo.activation.v1 import news_service_pb2 as wire
from leo_client import LeoApiError

from server.config import ServerSettings
from server.embedded.database_setup import DatabaseUrls
from server.news.model import Found, fused
from tests.dispatch.channels.fakes.provider import FakeProvider, Reply, never
from tests.news.conftest import NOON, Caller, add_instruments, embed_all, item

DAY = 86_400


def test_two_orders_become_one_by_reciprocal_rank() -> None:
    a, b, c = (Found(place, f"h{place}", shared=False) for place in (1, 2, 3))
    places = fused([a, b], [b, c], 10)
    assert [(place.news_id, place.text, place.vector) for place in places] == [
        (2, 2, 1),
        (1, 1, 0),
        (3, 0, 2),
    ]
    assert places[0].score == pytest.approx(1 / 62 + 1 / 61)
    assert [place.news_id for place in fused([a, b], [b, c], 1)] == [2]


def test_what_is_global_and_a_tenants_own_stands_once() -> None:
    shared, own = Found(1, "h", shared=True), Found(2, "h", shared=False)
    [place] = fused([shared, own], [shared], 10)
    assert (place.news_id, place.text, place.vector) == (2, 1, 1)


async def test_words_and_vectors_are_fused(ann: Caller, database: DatabaseUrls) -> None:
    await ann.ingest(
        item("Vinamilk báo lãi kỷ lục", "Doanh thu quý ba tăng mạnh"),
        item("Sữa Vinamilk vào siêu thị mới", "Không nói gì về lợi nhuận"),
        item("Dầu thô giảm giá", "OPEC tăng sản lượng"),
    )
    before = await ann.search("vinamilk bao lai")
    assert [(hit.news.title[:8], hit.text_place, hit.vector_place) for hit in before.hits] == [
        ("Vinamilk", 1, 0)
    ]

    await embed_all(database)
    found = await ann.search("vinamilk bao lai")
    assert found.mode == wire.NEWS_SEARCH_MODE_HYBRID
    assert [(hit.text_place, hit.vector_place) for hit in found.hits] == [(1, 1), (0, 2), (0, 3)]
    assert found.hits[0].score == pytest.approx(2 / 61)
    assert found.hits[1].news.title.startswith("Sữa Vinamilk")


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("dien luc", ["Điện lực Đà Nẵng"]),
        ("ĐIỆN đà", ["Điện lực Đà Nẵng"]),
        ('"luc da"', ["Điện lực Đà Nẵng"]),
        ('"da luc"', []),
        ("cafe or oslo", ["Café in Łódź", "Ørsted of Oslo"]),
        ("lodz", ["Café in Łódź"]),
        ("orsted -oslo", []),
        ("office", ["ﬁne oﬃce"]),
        ("'); drop table news_feed; --", []),
        ("!!! & | :* <->", []),
    ],
)
async def test_accents_case_and_operators(ann: Caller, query: str, titles: list[str]) -> None:
    """Before anything is embedded, the words alone decide."""
    await ann.ingest(item("Điện lực Đà Nẵng"), item("Café in Łódź"), item("Ørsted of Oslo"), item("ﬁne oﬃce"))
    assert sorted(await ann.titles(query)) == sorted(titles)


async def test_filters_bound_both_orders(
    ann: Caller, proof: asyncpg.Connection, database: DatabaseUrls
) -> None:
    await add_instruments(proof, None, [("AAPL", "Apple", "{}"), ("MSFT", "Microsoft", "{}")])
    await ann.ingest(
        item("gold and AAPL", at=NOON, sentiment_score=0.9),
        item("gold and MSFT", at=NOON + DAY, sentiment_score=0.1),
        item("gold", at=NOON + 2 * DAY),
    )
    await embed_all(database)
    for query in ("gold", ""):
        assert await ann.titles(query, symbols=["AAPL"]) == ["gold and AAPL"]
        assert await ann.titles(query, symbols=["AAPL", "MSFT"], minimum_sentiment=0.0) == (
            await ann.titles(query, minimum_sentiment=0.0)
        )
        assert await ann.titles(query, maximum_sentiment=0.5) == ["gold and MSFT"]
        assert await ann.titles(
            query,
            published_from=Timestamp(seconds=NOON + DAY),
            published_until=Timestamp(seconds=NOON + 2 * DAY),
        ) == ["gold and MSFT"]
        assert await ann.titles(query, symbols=["NONE"]) == []
    assert await ann.titles(limit=2) == ["gold", "gold and MSFT"]


async def test_a_tenant_finds_its_own_and_global_news_only(
    ann: Caller, bob: Caller, database: DatabaseUrls
) -> None:
    await ann.ingest(item("gold of ann"))
    await ann.ingest(item("gold for all"), shared=True)
    await bob.ingest(item("gold of bob"), item("gold for all"))
    await embed_all(database)
    assert sorted(await ann.titles("gold")) == ["gold for all", "gold of ann"]
    assert sorted(await bob.titles("gold")) == ["gold for all", "gold of bob"]
    both = {hit.news.title: getattr(hit.news, "global") for hit in (await bob.search("gold")).hits}
    assert both == {"gold for all": False, "gold of bob": False}


async def test_vectors_of_another_model_are_not_compared(
    ann: Caller, proof: asyncpg.Connection, database: DatabaseUrls
) -> None:
    await ann.ingest(item("gold"))
    await embed_all(database)
    await proof.execute("update news_feed set embedding_model = 'older'")
    assert await ann.titles("golden") == []
    assert [(hit.text_place, hit.vector_place) for hit in (await ann.search("gold")).hits] == [(1, 0)]


@pytest.mark.parametrize(
    "fields", [{"limit": 101}, {"limit": -1}, {"minimum_sentiment": 2.0}, {"query": "x" * 1001}]
)
async def test_a_faulty_search_is_refused(ann: Caller, fields: dict[str, object]) -> None:
    with pytest.raises(LeoApiError) as raised:
        await ann.search(**fields)  # type: ignore[arg-type]
    assert raised.value.reason == "INVALID_FIELD"


class TestWithoutTheEndpoint:
    """The model is elsewhere, and does not answer."""

    @pytest.fixture
    def endpoint(self) -> FakeProvider:
        fake = FakeProvider()
        fake.start()
        return fake

    @pytest.fixture
    def settings(self, settings: ServerSettings, endpoint: FakeProvider) -> ServerSettings:
        return settings.model_copy(
            update={
                "embeddings_url": endpoint.url,
                "embeddings_query_seconds": 0.3,
                "embeddings_model": "far",
            }
        )

    async def test_news_come_in_and_are_found_by_their_words(
        self, ann: Caller, endpoint: FakeProvider
    ) -> None:
        endpoint.usual = lambda _received: never
        assert len(await ann.ingest(item("gold rises"), item("oil falls"))) == 2
        found = await ann.search("gold")
        assert found.mode == wire.NEWS_SEARCH_MODE_TEXT_ONLY
        assert [hit.news.title for hit in found.hits] == ["gold rises"]
        assert (await ann.search("oil")).mode == wire.NEWS_SEARCH_MODE_TEXT_ONLY
        assert len(endpoint.received) == 1, "an endpoint that failed is left alone for a while"
        endpoint.end()

    async def test_a_query_that_the_model_refuses_goes_by_words(
        self, ann: Caller, endpoint: FakeProvider
    ) -> None:
        endpoint.usual = lambda _received: Reply(400)
        await ann.ingest(item("gold rises"))
        for _ in range(2):
            found = await ann.search("gold")
            assert (found.mode, len(found.hits)) == (wire.NEWS_SEARCH_MODE_TEXT_ONLY, 1)
        assert len(endpoint.received) == 2
        endpoint.end()
