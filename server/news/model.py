"""News items: what a source brings, how they are known again, and how two orders of search become one. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import urldefrag, urlsplit

from server.errors import FieldViolation
from server.validation import Violations, normal_language

GLOBAL_NEWS_SCOPE: Final = "news.global"
MOST_ITEMS: Final = 1_000
_MOST_SYMBOLS: Final = 100
_FUSION: Final = 60
_AHEAD: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class NewsItem:
    """A news item as a source brings it.

    Args:
        sentiment_score: 0 (bad) to 1 (good); None where unknown.
        tagged_symbols: symbols that the source links.
        metadata: JSON object in UTF-8.
        faults: those that were seen before the item was one, relative to it.
    """

    title: str
    content: str
    source_name: str
    source_url: str
    language: str
    published_at: datetime | None
    sentiment_score: float | None
    tagged_symbols: tuple[str, ...]
    metadata: bytes
    faults: tuple[FieldViolation, ...] = ()

    def check(self, violations: Violations, *, now: datetime) -> None:
        """Note every fault; of an item that holds what no item may hold, those alone."""
        if self.faults:
            violations.include("", self.faults)
            return
        violations.text("title", self.title, maximum=1_000)
        violations.text("content", self.content, maximum=100_000, required=False)
        violations.text("source_name", self.source_name, maximum=200, required=False)
        if self.source_url:
            _check_url(violations, self.source_url)
        if self.language and normal_language(self.language) is None:
            violations.add("language", 'must be a BCP 47 tag, such as "vi" or "en-GB"')
        if self.published_at is None:
            violations.add("published_at", "is required")
        violations.moment("published_at", self.published_at, latest=now + _AHEAD)
        if self.sentiment_score is not None:
            violations.between("sentiment_score", self.sentiment_score, 0, 1)
        violations.count("tagged_symbols", self.tagged_symbols, lowest=0, highest=_MOST_SYMBOLS)
        violations.document("metadata", self.metadata)

    @property
    def content_sha256(self) -> str:
        """What the item is known by: source and URL, or source and text."""
        url = urldefrag(self.source_url.strip()).url
        source = self.source_name.strip()
        parts = ("url", source, url) if url else ("text", source, self.title.strip(), self.content.strip())
        digest = hashlib.sha256()
        for part in parts:
            data = part.encode()
            digest.update(b"%d:%b" % (len(data), data))
        return digest.hexdigest()

    @property
    def sentiment(self) -> Decimal | None:
        """As it is stored: two decimals."""
        if self.sentiment_score is None:
            return None
        return Decimal(repr(self.sentiment_score)).quantize(Decimal("0.01"), ROUND_HALF_UP)


class Outcome(StrEnum):
    """What became of an item."""

    CREATED = "created"
    DUPLICATE = "duplicate"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class IngestResult:
    """The answer for one item."""

    outcome: Outcome
    news_id: int = 0
    related_symbols: tuple[str, ...] = ()
    faults: tuple[FieldViolation, ...] = ()


@dataclass(frozen=True, slots=True)
class NewsFilter:
    """Which news a search may find; None and an empty list accept all.

    Args:
        symbols: at least one of them is named.
        published_until: exclusive.
        minimum_sentiment, maximum_sentiment: 0 to 1, both inclusive.
    """

    symbols: tuple[str, ...] = ()
    published_from: datetime | None = None
    published_until: datetime | None = None
    minimum_sentiment: float | None = None
    maximum_sentiment: float | None = None


@dataclass(frozen=True, slots=True)
class NewsQuery:
    """A search.

    Args:
        text: words; blank for the newest news.
        limit: how many hits at most; 0 means 10.
    """

    text: str
    wanted: NewsFilter
    limit: int

    def check(self) -> None:
        """Raises:
        InvalidInput: with every fault.
        """
        violations, wanted = Violations(), self.wanted
        violations.text("query", self.text, maximum=1_000, required=False)
        violations.count("symbols", wanted.symbols, lowest=0, highest=_MOST_SYMBOLS)
        violations.between("limit", self.limit, 0, 100)
        violations.moment("published_from", wanted.published_from)
        violations.moment("published_until", wanted.published_until)
        for field in ("minimum_sentiment", "maximum_sentiment"):
            value = getattr(wanted, field)
            if value is not None:
                violations.between(field, value, 0, 1)
        violations.raise_if_any()


class SearchMode(StrEnum):
    """Which ways a search went."""

    HYBRID = "hybrid"
    TEXT_ONLY = "text_only"
    NEWEST = "newest"


class Found(NamedTuple):
    """A news item in an order of search.

    Args:
        content_sha256: what it is known by: a tenant may hold what is global as well.
        shared: whether it is global.
    """

    news_id: int
    content_sha256: str
    shared: bool


@dataclass(frozen=True, slots=True)
class StoredNews:
    """A news item as it is stored; `content` may be cut."""

    news_id: int
    shared: bool
    title: str
    content: str
    source_name: str
    source_url: str
    language: str
    published_at: datetime
    sentiment_score: float | None
    related_symbols: tuple[str, ...]
    metadata: bytes


@dataclass(frozen=True, slots=True)
class Place:
    """Where an item stands in each order, from 1; 0 where it does not.

    Args:
        score: of both together.
    """

    news_id: int
    score: float
    text: int
    vector: int


@dataclass(frozen=True, slots=True)
class NewsHit:
    """An item that was found."""

    news: StoredNews
    place: Place


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search answers, the best first."""

    hits: tuple[NewsHit, ...]
    mode: SearchMode


def fused(text: Sequence[Found], vector: Sequence[Found], limit: int) -> list[Place]:
    """One order out of two by reciprocal rank: an item scores 1 / (60 + place) for each.

    What a tenant holds and is global as well stands once, as the tenant's. Equal scores: the later item first.
    """
    by_text, by_vector = _places(text), _places(vector)
    chosen: dict[str, Found] = {}
    for found in (*text, *vector):
        if found.content_sha256 not in chosen or not found.shared:
            chosen[found.content_sha256] = found
    places = [
        _place(found.news_id, by_text.get(key, 0), by_vector.get(key, 0)) for key, found in chosen.items()
    ]
    return sorted(places, key=lambda place: (-place.score, -place.news_id))[:limit]


def _places(order: Sequence[Found]) -> Mapping[str, int]:
    distinct = dict.fromkeys(found.content_sha256 for found in order)
    return {key: place for place, key in enumerate(distinct, start=1)}


def _place(news_id: int, text: int, vector: int) -> Place:
    return Place(news_id, sum(1 / (_FUSION + place) for place in (text, vector) if place), text, vector)


def _check_url(violations: Violations, url: str) -> None:
    violations.text("source_url", url, maximum=2_000)
    try:
        parts = urlsplit(url.strip())
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        sound = False
    if not sound:
        violations.add("source_url", "must be an http or https URL")
