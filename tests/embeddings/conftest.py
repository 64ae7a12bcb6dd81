"""Embedders: the built-in one, and one behind a real HTTP endpoint that does as a test wants."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import asyncpg
import orjson
import pytest

from server.embeddings.endpoint import EndpointEmbedder
from server.embeddings.hashing import HashingEmbedder, hashed
from tests.dispatch.channels.fakes.provider import FakeProvider, Received, Reply
from tests.embeddings.rows import Rows

KEY = "sk-planted-secret-0123456789"
MODEL = "test-model"


def vectors_for(texts: list[str], *, scale: float = 3.0) -> Reply:
    """What an endpoint answers, in another order than asked, and of another length than 1."""
    data = [
        {"object": "embedding", "index": place, "embedding": [scale * value for value in hashed(text)]}
        for place, text in enumerate(texts)
    ]
    return Reply(body={"object": "list", "data": data[::-1], "model": MODEL, "usage": {"total_tokens": 1}})


def usual(received: Received) -> Reply:
    """Vectors for what was asked."""
    return vectors_for(orjson.loads(received.body)["input"])


@pytest.fixture(scope="module")
def shared_endpoint() -> Iterator[FakeProvider]:
    fake = FakeProvider()
    fake.start()
    yield fake
    fake.end()


@pytest.fixture
def endpoint(shared_endpoint: FakeProvider) -> FakeProvider:
    """An endpoint that works until a test says otherwise."""
    shared_endpoint.reset(usual)
    return shared_endpoint


@pytest.fixture
async def asking(endpoint: FakeProvider) -> AsyncIterator[EndpointEmbedder]:
    """An embedder that asks it, and waits half a second for an answer."""
    embedder = EndpointEmbedder(
        url=f"{endpoint.url}/v1",
        key=KEY,
        model=MODEL,
        shorten=False,
        batch_size=4,
        timeout_seconds=0.5,
    )
    yield embedder
    await embedder.close()


@pytest.fixture(params=["built-in", "endpoint"])
def embedder(request: pytest.FixtureRequest, asking: EndpointEmbedder) -> HashingEmbedder | EndpointEmbedder:
    """Each embedder in turn."""
    return HashingEmbedder() if request.param == "built-in" else asking


@pytest.fixture
def rows(proof: asyncpg.Connection) -> Rows:
    """Writes what is to be embedded."""
    return Rows(proof)
