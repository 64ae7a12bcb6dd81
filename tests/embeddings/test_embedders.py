"""What every embedder does, and what an endpoint may do to it."""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
import sys
from math import isclose, sqrt

import pytest

from server.embeddings.embedder import (
    DIMENSIONS,
    Embedder,
    EmbedderAway,
    EmbedderError,
    EmbeddingFailed,
    TextRefused,
)
from server.embeddings.endpoint import EndpointEmbedder
from server.embeddings.hashing import hashed
from tests.dispatch.channels.fakes.provider import (
    FakeProvider,
    Handler,
    Reply,
    half_of,
    hang_up,
    never,
    no_http,
)
from tests.embeddings.conftest import KEY, MODEL, vectors_for

TEXTS = ["Vinamilk báo lãi kỷ lục", "Apple unveils a phone", "比特币价格上涨", "!!!"]


async def test_each_text_gets_its_vector_of_length_1(embedder: Embedder) -> None:
    vectors = await embedder.embed(TEXTS)
    assert [len(vector) for vector in vectors] == [DIMENSIONS] * len(TEXTS)
    assert all(isclose(sqrt(sum(value * value for value in vector)), 1, abs_tol=1e-6) for vector in vectors)
    assert len({tuple(vector) for vector in vectors}) == len(TEXTS)


async def test_a_text_has_the_same_vector_alone_and_among_others(embedder: Embedder) -> None:
    together = await embedder.embed(TEXTS)
    for text, vector in zip(TEXTS, together, strict=True):
        [alone] = await embedder.embed([text])
        assert list(alone) == pytest.approx(list(vector), abs=1e-9)


def likeness(first: str, second: str) -> float:
    return sum(a * b for a, b in zip(hashed(first), hashed(second), strict=True))


@pytest.mark.parametrize(
    ("text", "near", "far"),
    [
        ("Vinamilk báo lãi kỷ lục", "vinamilk bao lai ky luc", "Apple unveils a phone"),
        ("Apple stock rises after launch", "Apple's rising stocks", "Vinamilk báo lãi kỷ lục"),
        ("比特币价格上涨", "比特币下跌", "苹果发布手机"),
        ("Акции Газпрома растут", "акция газпром", "Цены на нефть"),
    ],
)
def test_shared_words_and_forms_of_words_bring_texts_together(text: str, near: str, far: str) -> None:
    assert likeness(text, near) > likeness(text, far) + 0.1


def test_a_vector_is_the_same_in_every_process_and_release() -> None:
    """What is stored stays comparable: this hash changes only together with the model's name."""
    code = (
        "import hashlib, struct; from server.embeddings.hashing import hashed;"
        f"v = [x for t in {TEXTS!r} for x in hashed(t)];"
        "print(hashlib.sha256(struct.pack(f'!{len(v)}f', *v)).hexdigest())"
    )
    values = [value for text in TEXTS for value in hashed(text)]
    here = hashlib.sha256(struct.pack(f"!{len(values)}f", *values)).hexdigest()
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    elsewhere = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert (
        elsewhere.stdout.strip() == here == "70811fdd6a8ad86e2047b2d41c92fe059fef004faabb56a7f08907c567367920"
    )


async def test_a_request_speaks_the_wire_format(asking: EndpointEmbedder, endpoint: FakeProvider) -> None:
    await asking.embed(["a b", "c"])
    [received] = endpoint.received
    assert (received.method, received.path) == ("POST", "/v1/embeddings")
    assert received.headers["authorization"] == f"Bearer {KEY}"
    assert received.json() == {"model": MODEL, "encoding_format": "float", "input": ["a b", "c"]}


async def test_a_longer_model_is_asked_to_shorten(endpoint: FakeProvider) -> None:
    embedder = EndpointEmbedder(
        url=endpoint.url, key=None, model=MODEL, shorten=True, batch_size=4, timeout_seconds=5
    )
    await embedder.embed(["a"])
    await embedder.close()
    assert endpoint.received[0].json()["dimensions"] == DIMENSIONS
    assert "authorization" not in endpoint.received[0].headers


FAULTS: list[tuple[Reply | Handler, type[EmbedderError], str]] = [
    (Reply(429, headers={"Retry-After": "7"}), EmbedderAway, "HTTP_429"),
    (Reply(503), EmbedderAway, "HTTP_503"),
    (Reply(401, body={"error": KEY}), EmbedderAway, "HTTP_401"),
    (Reply(302, headers={"Location": "/elsewhere"}), EmbedderAway, "HTTP_302"),
    (Reply(500), EmbeddingFailed, "HTTP_500"),
    (Reply(400, body={"error": {"message": "too long"}}), TextRefused, "HTTP_400"),
    (Reply(422), TextRefused, "HTTP_422"),
    (Reply(body=b"<html>"), EmbeddingFailed, "ANSWER_NOT_UNDERSTOOD"),
    (
        Reply(body={"data": [{"index": 1, "embedding": [1.0] * 1536}]}),
        EmbeddingFailed,
        "ANSWER_NOT_UNDERSTOOD",
    ),
    (
        Reply(body={"data": [{"index": 0, "embedding": [0.0] * 1536}]}),
        EmbeddingFailed,
        "ANSWER_NOT_UNDERSTOOD",
    ),
    (
        Reply(body={"data": [{"index": 0, "embedding": ["1"] * 1536}]}),
        EmbeddingFailed,
        "ANSWER_NOT_UNDERSTOOD",
    ),
    (Reply(body={"data": [{"index": 0, "embedding": [0.1] * 768}]}), EmbedderAway, "WRONG_DIMENSIONS"),
    (never, EmbeddingFailed, "NO_ANSWER_IN_TIME"),
    (hang_up, EmbeddingFailed, "CONNECTION_LOST"),
    (no_http, EmbeddingFailed, "CONNECTION_LOST"),
    (half_of(vectors_for(["a"])), EmbeddingFailed, "CONNECTION_LOST"),
]


@pytest.mark.parametrize(("fault", "kind", "reason"), FAULTS)
async def test_a_fault_says_whose_it_is_and_no_secret(
    asking: EndpointEmbedder,
    endpoint: FakeProvider,
    fault: Reply | Handler,
    kind: type[EmbedderError],
    reason: str,
) -> None:
    endpoint.scripts = [fault]
    with pytest.raises(kind) as raised:
        await asking.embed(["a"])
    assert raised.value.reason == reason
    shown = f"{raised.value!r} {raised.value.__cause__!r} {raised.value.__suppress_context__} {asking!r}"
    assert KEY not in shown
    assert len(await asking.embed(["a"])) == 1


async def test_an_endpoint_says_how_long_to_wait(asking: EndpointEmbedder, endpoint: FakeProvider) -> None:
    waits = []
    for value in ("7", "Wed, 21 Oct 2015 07:28:00 GMT", "soon"):
        endpoint.scripts = [Reply(429, headers={"Retry-After": value})]
        with pytest.raises(EmbedderAway) as raised:
            await asking.embed(["a"])
        waits.append(raised.value.retry_after_seconds)
    assert waits == [7.0, 0.0, None]


async def test_nobody_listens(endpoint: FakeProvider, asking: EndpointEmbedder) -> None:
    endpoint.stop()
    with pytest.raises(EmbedderAway) as raised:
        await asking.embed(["a"])
    assert raised.value.reason == "NO_CONNECTION"
