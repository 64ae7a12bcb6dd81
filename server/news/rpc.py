"""NewsService on the wire: messages to models and back."""

from __future__ import annotations

from typing import Final, TypeAlias

from google.protobuf.message import Message
from grpc.aio import ServicerContext
from leo.activation.v1 import news_service_pb2 as wire
from leo.activation.v1 import news_service_pb2_grpc
from leo.activation.v1.profile_service_pb2 import ItemFault

from server.news.model import (
    GLOBAL_NEWS_SCOPE,
    IngestResult,
    NewsFilter,
    NewsHit,
    NewsItem,
    NewsQuery,
    Outcome,
    SearchMode,
    StoredNews,
)
from server.news.search import NewsSearch
from server.news.service import NewsService
from server.rpc.caller import current_caller
from server.rpc.checks import violations_in
from server.wire import to_datetime, to_timestamp

Context: TypeAlias = ServicerContext[Message, Message]

_OUTCOMES: Final = {
    Outcome.CREATED: wire.NEWS_WRITE_OUTCOME_CREATED,
    Outcome.DUPLICATE: wire.NEWS_WRITE_OUTCOME_DUPLICATE,
    Outcome.REFUSED: wire.NEWS_WRITE_OUTCOME_REFUSED,
}
_MODES: Final = {
    SearchMode.HYBRID: wire.NEWS_SEARCH_MODE_HYBRID,
    SearchMode.TEXT_ONLY: wire.NEWS_SEARCH_MODE_TEXT_ONLY,
    SearchMode.NEWEST: wire.NEWS_SEARCH_MODE_NEWEST,
}


class NewsServicer(news_service_pb2_grpc.NewsServiceServicer):
    """Converts and delegates."""

    def __init__(self, *, service: NewsService, search: NewsSearch) -> None:
        self._service = service
        self._search = search

    async def IngestNews(self, request: wire.IngestNewsRequest, context: Context) -> wire.IngestNewsResponse:
        """Store news, each answered."""
        caller = current_caller()
        results = await self._service.ingest_news(
            caller.tenant_id,
            [_to_item(message) for message in request.items],
            shared=getattr(request, "global"),
            may_share=GLOBAL_NEWS_SCOPE in caller.scopes,
        )
        return wire.IngestNewsResponse(results=map(_from_result, results))

    async def SearchNews(self, request: wire.SearchNewsRequest, context: Context) -> wire.SearchNewsResponse:
        """News by words and by vector."""
        result = await self._search.search_news(current_caller().tenant_id, _to_query(request))
        return wire.SearchNewsResponse(hits=map(_from_hit, result.hits), mode=_MODES[result.mode])


def _to_item(message: wire.NewsItem) -> NewsItem:
    return NewsItem(
        title=message.title,
        content=message.content,
        source_name=message.source_name,
        source_url=message.source_url,
        language=message.language,
        published_at=to_datetime(message.published_at) if message.HasField("published_at") else None,
        sentiment_score=message.sentiment_score if message.HasField("sentiment_score") else None,
        tagged_symbols=tuple(message.tagged_symbols),
        metadata=message.metadata,
        faults=tuple(violations_in(message)),
    )


def _from_result(result: IngestResult) -> wire.NewsWriteResult:
    return wire.NewsWriteResult(
        outcome=_OUTCOMES[result.outcome],
        news_id=result.news_id,
        related_symbols=result.related_symbols,
        faults=[ItemFault(field=fault.field, description=fault.description) for fault in result.faults],
    )


def _to_query(request: wire.SearchNewsRequest) -> NewsQuery:
    wanted = NewsFilter(
        symbols=tuple(request.symbols),
        published_from=to_datetime(request.published_from) if request.HasField("published_from") else None,
        published_until=to_datetime(request.published_until) if request.HasField("published_until") else None,
        minimum_sentiment=request.minimum_sentiment if request.HasField("minimum_sentiment") else None,
        maximum_sentiment=request.maximum_sentiment if request.HasField("maximum_sentiment") else None,
    )
    return NewsQuery(request.query, wanted, request.limit)


def _from_hit(hit: NewsHit) -> wire.NewsHit:
    return wire.NewsHit(
        news=_from_news(hit.news),
        score=hit.place.score,
        text_place=hit.place.text,
        vector_place=hit.place.vector,
    )


def _from_news(news: StoredNews) -> wire.StoredNews:
    return wire.StoredNews(
        **{"global": news.shared},
        news_id=news.news_id,
        title=news.title,
        content=news.content,
        source_name=news.source_name,
        source_url=news.source_url,
        language=news.language,
        published_at=to_timestamp(news.published_at),
        sentiment_score=news.sentiment_score,
        related_symbols=news.related_symbols,
        metadata=news.metadata,
    )
