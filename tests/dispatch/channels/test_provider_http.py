"""What a provider may do with a connection, byte by byte, and what is made of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from server.dispatch.channels.answers import Answer
from server.dispatch.channels.channel import ErrorClass, Refused
from server.dispatch.channels.provider_http import ProviderHttp

PATIENCE = 5.0
OK = b'HTTP/1.1 200 OK\r\nX-Kind: Plain\r\nContent-Length: 7\r\n\r\n{"a":1}'
LARGE = b"x" * 70_000


@dataclass(slots=True)
class Provider:
    """Answers each request with the next bytes; None ends the connection.

    Attributes:
        requests: as they came.
        connections: how many were opened.
    """

    url: str = ""
    answers: list[bytes | None] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        self.requests.append(head + await reader.readexactly(length))
        answer = self.answers.pop(0) if self.answers else OK
        if answer is None:
            return False
        for part in answer.split(b"|"):
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        return b"until the end" not in answer


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    """A provider that listens."""
    provider = Provider()
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    provider.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/send?to=a%20b"
    yield provider
    server.close()


@asynccontextmanager
async def client(**options: float) -> AsyncIterator[ProviderHttp]:
    http = ProviderHttp(connections=2, timeout_seconds=options.get("timeout_seconds", PATIENCE))
    try:
        yield http
    finally:
        await http.close()


async def post(http: ProviderHttp, url: str, **headers: str) -> Answer | Refused:
    return await http.post(url, b"{}", headers, wait_seconds=PATIENCE)


async def test_a_request_is_sent_as_it_is_and_its_connection_is_used_again(provider: Provider) -> None:
    async with client() as http:
        answers = [await post(http, provider.url, Authorization="Bearer é") for _ in range(3)]

    assert provider.connections == 1
    assert answers == [Answer(200, {"x-kind": "Plain", "content-length": "7"}, {"a": 1})] * 3
    head, body = provider.requests[0].split(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /send?to=a%20b HTTP/1.1"
    assert set(lines[1:]) == {
        f"Host: {provider.url.split('/')[2]}",
        "Accept: */*",
        "Accept-Encoding: identity",
        "User-Agent: leo-activation",
        "Authorization: Bearer é",
        "Content-Length: 2",
    }
    assert body == b"{}"


@pytest.mark.parametrize(
    ("answer", "document", "kept"),
    [
        (OK.replace(b"\r\n", b"\r|\n", 2), {"a": 1}, True),
        (
            b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{"a"\r\n|3\r\n:1}\r\n0\r\n\r\n',
            {"a": 1},
            True,
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\n|" + OK, {"a": 1}, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", None, True),
        (OK.replace(b"X-Kind: Plain", b"Connection: close"), {"a": 1}, False),
        (b'HTTP/1.1 200 until the end\r\n\r\n{"a":1}', {"a": 1}, False),
        (b'HTTP/1.1 200 until the end\r\nContent-Length: 8\r\n\r\n{"a":1', None, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n" + LARGE, None, False),
        (OK + OK, {"a": 1}, False),
    ],
    ids=(
        [
            "in parts",
            "chunks",
            "continue",
            "empty",
            "closes",
            "until its end",
            "broken off",
            "too large",
            "answers twice",
        ]
    ),
)
async def test_whatever_has_a_status_is_an_answer(
    provider: Provider, answer: bytes, document: object, kept: bool
) -> None:
    provider.answers = [answer]
    async with client() as http:
        first = await post(http, provider.url)
        assert isinstance(first, Answer), first
        assert (first.status, first.document) == (200, document)
        second = await post(http, provider.url)

    assert isinstance(second, Answer)
    assert second.document == {"a": 1}
    assert provider.connections == (1 if kept else 2)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"HTTP/1.1 200 until the end\r\nX-Ki",
        b"SMTP ready\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-More: " + LARGE + b"\r\nX-More: " + LARGE,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
    ],
    ids=[
        "hangs up",
        "hangs up in its headers",
        "speaks otherwise",
        "endless headers",
        "changes the protocol",
    ],
)
async def test_without_a_status_nobody_knows(provider: Provider, answer: bytes | None) -> None:
    provider.answers = [answer]
    async with client() as http:
        result = await post(http, provider.url)
        assert result == Refused(ErrorClass.AMBIGUOUS, "CONNECTION_LOST")
        assert isinstance(await post(http, provider.url), Answer)
    assert len(provider.requests) == 2


async def test_a_late_answer_does_not_become_that_of_the_next_request(provider: Provider) -> None:
    provider.answers = [b"HTTP/1.1 200 OK\r\n"]
    async with client(timeout_seconds=0.05) as http:
        assert await post(http, provider.url) == Refused(ErrorClass.AMBIGUOUS, "NO_ANSWER_IN_TIME")
    async with client() as http:
        assert isinstance(await post(http, provider.url), Answer)
    assert provider.connections == 2


async def test_nothing_is_sent_where_nobody_listens() -> None:
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    async with client() as http:
        assert await post(http, f"http://127.0.0.1:{port}/") == Refused(
            ErrorClass.TRANSIENT, "PROVIDER_UNREACHABLE"
        )


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("ftp://127.0.0.1/", {}),
        ("http://user:secret@127.0.0.1/", {}),
        ("http://127.0.0.1:99999/", {}),
        ("/send", {}),
        ("http://127.0.0.1/", {"Authorization": "a\r\nX-Other: b"}),
    ],
)
async def test_what_can_not_be_sent_is_refused_without_a_word_of_it(
    url: str, headers: dict[str, str]
) -> None:
    async with client() as http:
        assert await post(http, url, **headers) == Refused(ErrorClass.AUTHENTICATION, "REQUEST_NOT_SENDABLE")
