"""An embedding model behind an endpoint that speaks OpenAI's wire format: `POST {url}/embeddings`.

OpenAI itself, Azure's, vLLM, Ollama, LM Studio, Text Embeddings Inference and LiteLLM speak it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite, sqrt
from typing import Any, Final

import aiohttp
import orjson

from server.embeddings.embedder import DIMENSIONS, EmbedderAway, EmbeddingFailed, TextRefused, Vector
from server.platform.clock import utc_now

_CONTENT_FAULTS: Final = frozenset({400, 413, 422})
# What no text can be the reason of: a missing right, a wrong address, a quota.
_AWAY: Final = frozenset({401, 402, 403, 404, 405, 407, 408, 421, 429, 503})
_LONGEST_WAIT_SECONDS: Final = 3_600.0


class EndpointEmbedder:
    """Asks the endpoint, each request once: whoever asks decides when to ask again.

    Args:
        url: base of the API, e.g. https://api.openai.com/v1.
        key: sent as a bearer token; None where the endpoint wants none. Appears in no error and no log.
        model: as the endpoint names it.
        shorten: whether to ask for `DIMENSIONS`, of a model that makes longer vectors and can shorten them.
        batch_size: texts in one request.
        timeout_seconds: for one request and its answer.
    """

    def __init__(
        self,
        *,
        url: str,
        key: str | None,
        model: str,
        shorten: bool,
        batch_size: int,
        timeout_seconds: float,
    ) -> None:
        self.model = model
        self.batch_size = batch_size
        self._url = f"{url.rstrip('/')}/embeddings"
        self._headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {key}"} if key else {}
        )
        self._asked = {"model": model, "encoding_format": "float"} | (
            {"dimensions": DIMENSIONS} if shorten else {}
        )
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._session: aiohttp.ClientSession | None = None

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        """One request."""
        body = orjson.dumps({**self._asked, "input": list(texts)})
        try:
            async with self._open().post(
                self._url, data=body, headers=self._headers, allow_redirects=False
            ) as answer:
                return await _vectors(answer, len(texts))
        except aiohttp.ClientConnectorError:
            raise EmbedderAway("NO_CONNECTION") from None
        except TimeoutError:
            raise EmbeddingFailed("NO_ANSWER_IN_TIME") from None
        except (aiohttp.ClientError, OSError):
            # Their text may repeat the request, and with it the key.
            raise EmbeddingFailed("CONNECTION_LOST") from None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar())
        return self._session


async def _vectors(answer: aiohttp.ClientResponse, count: int) -> list[Vector]:
    if answer.status in _CONTENT_FAULTS:
        raise TextRefused(f"HTTP_{answer.status}")
    if answer.status in _AWAY or 300 <= answer.status < 400:
        raise EmbedderAway(
            f"HTTP_{answer.status}", retry_after_seconds=_retry_after(answer.headers, utc_now())
        )
    if answer.status != 200:
        raise EmbeddingFailed(f"HTTP_{answer.status}")
    return vectors_of(await answer.read(), count)


def vectors_of(body: bytes, count: int) -> list[Vector]:
    """The vectors of an answer, in the order of the request and of length 1. Pure.

    Raises:
        EmbeddingFailed: it is no answer of `count` vectors.
        EmbedderAway: the vectors have another number of dimensions: the model is not one for this database.
    """
    try:
        entries = orjson.loads(body)["data"]
        by_index: dict[int, Any] = {entry["index"]: entry["embedding"] for entry in entries}
        found = [by_index[place] for place in range(count)]
    except (orjson.JSONDecodeError, KeyError, TypeError, IndexError):
        raise EmbeddingFailed("ANSWER_NOT_UNDERSTOOD") from None
    return [_of_unit_length(values) for values in found]


def _of_unit_length(values: Any) -> Vector:
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        raise EmbeddingFailed("ANSWER_NOT_UNDERSTOOD")
    if len(values) != DIMENSIONS:
        raise EmbedderAway("WRONG_DIMENSIONS")
    length = sqrt(sum(value * value for value in values))
    if not isfinite(length) or length == 0:
        raise EmbeddingFailed("ANSWER_NOT_UNDERSTOOD")
    return [value / length for value in values]


def _retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds, or an HTTP date; None where there is neither."""
    text = headers.get("Retry-After", "").strip()
    if text.isdigit():
        return min(float(text), _LONGEST_WAIT_SECONDS)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, IndexError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - now).total_seconds(), 0.0), _LONGEST_WAIT_SECONDS)
