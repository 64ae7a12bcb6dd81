"""`leo news`: takes news from a file, and finds them again."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Annotated, Any, Final

import orjson
import typer
from google.protobuf.json_format import ParseDict, ParseError
from leo.activation.v1 import news_service_pb2 as wire
from leo_client import LeoSyncClient

from server.cli.calling import ServerOption, TokenOption, calling
from server.cli.failure import CommandFailed
from server.wire import to_timestamp

app = typer.Typer(help="Market news: take in, search.", no_args_is_help=True)

_BATCH: Final = 500
_BATCH_BYTES: Final = 4 * 1024 * 1024
_TIMES: Final = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]

_FILE = typer.Argument(
    help='One JSON object a line, e.g. {"title": "…", "published_at": "2026-01-31T09:00:00Z"}; - reads standard'
    " input. Fields are those of NewsItem."
)
_GLOBAL = typer.Option("--global", help="For every tenant; the token needs the scope news.global.")
_QUERY = typer.Argument(help="Words; none for the newest news.")
_SYMBOL = typer.Option(help="Only news that name this symbol. May be repeated.")
_FROM = typer.Option(formats=_TIMES, help="Only news from this time on, in UTC.")
_UNTIL = typer.Option(formats=_TIMES, help="Only news before this time, in UTC.")
_LEAST = typer.Option(min=0.0, max=1.0, help="Only news with at least this sentiment, 0 to 1.")
_MOST = typer.Option(min=0.0, max=1.0, help="Only news with at most this sentiment, 0 to 1.")
_LIMIT = typer.Option(min=1, max=100, help="How many to show.")


@app.command()
def ingest(
    file: Annotated[str, _FILE],
    shared: Annotated[bool, _GLOBAL] = False,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Store news; what is stored already stays as it is, so the same file may be sent again."""
    outcomes: Counter[int] = Counter()
    with _opened(file) as source, calling(server, token) as client:
        for first_line, items in _batches(source):
            outcomes += _send(client, items, first_line, shared=shared)
    created = outcomes[wire.NEWS_WRITE_OUTCOME_CREATED]
    known = outcomes[wire.NEWS_WRITE_OUTCOME_DUPLICATE]
    refused = outcomes[wire.NEWS_WRITE_OUTCOME_REFUSED]
    typer.echo(f"{created} new, {known} known already, {refused} refused")
    if refused:
        raise typer.Exit(1)


@app.command()
def search(
    query: Annotated[str, _QUERY] = "",
    symbol: Annotated[list[str] | None, _SYMBOL] = None,
    published_from: Annotated[datetime | None, _FROM] = None,
    published_until: Annotated[datetime | None, _UNTIL] = None,
    minimum_sentiment: Annotated[float | None, _LEAST] = None,
    maximum_sentiment: Annotated[float | None, _MOST] = None,
    limit: Annotated[int, _LIMIT] = 10,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Find news by words and by likeness, the tenant's own and the global ones."""
    request = wire.SearchNewsRequest(
        query=query,
        symbols=symbol or [],
        published_from=to_timestamp(_in_utc(published_from)),
        published_until=to_timestamp(_in_utc(published_until)),
        minimum_sentiment=minimum_sentiment,
        maximum_sentiment=maximum_sentiment,
        limit=limit,
    )
    with calling(server, token) as client:
        answer = client.news.SearchNews(request)
    for hit in answer.hits:
        typer.echo(_line(hit))
    if answer.mode == wire.NEWS_SEARCH_MODE_TEXT_ONLY:
        typer.echo("By words alone: the embedder did not answer.", err=True)


@contextmanager
def _opened(file: str) -> Iterator[IO[bytes]]:
    if file == "-":
        yield sys.stdin.buffer
        return
    try:
        with Path(file).open("rb") as source:
            yield source
    except OSError as error:
        raise CommandFailed(f"{file} can not be read: {error.strerror}") from error


def _batches(source: IO[bytes]) -> Iterator[tuple[int, list[wire.NewsItem]]]:
    """Items, and the number of the line at which they begin; lines without anything are none."""
    items: list[wire.NewsItem] = []
    first, size = 1, 0
    for number, line in enumerate(source, start=1):
        if items and (not line.strip() or len(items) == _BATCH or size + len(line) > _BATCH_BYTES):
            yield first, items
            items, size = [], 0
        if line.strip():
            first = number if not items else first
            items.append(_item(line, number))
            size += len(line)
    if items:
        yield first, items


def _item(line: bytes, number: int) -> wire.NewsItem:
    try:
        document: dict[str, Any] = orjson.loads(line)
        metadata = document.pop("metadata", {})
        item: wire.NewsItem = ParseDict(document, wire.NewsItem())
        item.metadata = orjson.dumps(metadata)
    except (orjson.JSONDecodeError, ParseError, AttributeError, TypeError, ValueError) as error:
        raise CommandFailed(f"line {number} is no news item: {error}") from error
    return item


def _send(
    client: LeoSyncClient, items: list[wire.NewsItem], first_line: int, *, shared: bool
) -> Counter[int]:
    answer = client.news.IngestNews(wire.IngestNewsRequest(items=items, **{"global": shared}))
    for place, result in enumerate(answer.results):
        for fault in result.faults:
            field = fault.field.partition("].")[2]
            typer.echo(f"line {first_line + place}: {field}: {fault.description}", err=True)
    return Counter(result.outcome for result in answer.results)


def _line(hit: wire.NewsHit) -> str:
    news = hit.news
    published = news.published_at.ToDatetime(UTC)
    symbols = f"  [{' '.join(news.related_symbols)}]" if news.related_symbols else ""
    sentiment = f"  {news.sentiment_score:.2f}" if news.HasField("sentiment_score") else ""
    return f"{published:%Y-%m-%d %H:%M}Z  {news.title}{symbols}{sentiment}  ({news.source_name or '-'}, {news.news_id})"


def _in_utc(moment: datetime | None) -> datetime | None:
    if moment is None or moment.tzinfo:
        return moment
    return moment.replace(tzinfo=UTC)
