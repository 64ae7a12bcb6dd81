"""One connection to a provider: a request goes out as it is, an answer comes back, parsed.

A client library costs three times as much for each message: see `loadtest/bench/README.md`.
"""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

LARGEST_BODY: Final = 64 * 1024
_LARGEST_ANSWER: Final = 2 * LARGEST_BODY
_FIRST_FINAL_STATUS: Final = 200


class ConnectionBroken(ConnectionError):
    """The connection ended, or broke the protocol, before the answer's headers were there."""


class RawAnswer(NamedTuple):
    """What came back.

    Args:
        headers: by name in lower case.
        body: None where it is too large, or broke off.
    """

    status: int
    headers: dict[str, str]
    body: bytes | None


class HttpConnection(asyncio.Protocol):
    """An HTTP/1.1 connection, on which one request is under way at a time.

    Attributes:
        idle_since: on the loop's clock; set by whoever keeps it for later.
    """

    def __init__(self) -> None:
        self.idle_since = 0.0
        self._transport: asyncio.Transport | None = None
        self._parser: HttpResponseParser | None = None
        self._answer: asyncio.Future[RawAnswer] | None = None
        self._reset()

    @property
    def usable(self) -> bool:
        """Whether another request may be sent: nothing is under way, and nobody has closed it."""
        return self._answer is None and self._transport is not None and not self._transport.is_closing()

    async def exchange(self, request: bytes) -> RawAnswer:
        """Send a request and wait for its answer. A caller who stops waiting has to close the connection.

        Raises:
            ConnectionBroken: there is no answer; the provider may have taken the request.
        """
        if self._transport is None:
            raise ConnectionBroken
        answer: asyncio.Future[RawAnswer] = asyncio.get_running_loop().create_future()
        self._answer = answer
        self._transport.write(request)
        return await answer

    def close(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    # What the event loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        self._transport = cast(asyncio.Transport, transport)
        self._parser = HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        """A part of an answer; whatever comes unasked ends the connection."""
        if self._answer is None or self._parser is None:
            self.close()
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self.close()
        if self._received > _LARGEST_ANSWER:
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        """The other side closed it, or this one did. What has its headers is an answer all the same."""
        self._transport = self._parser = None
        if self._headers_there:
            self._settle(bytes(self._body))
        elif self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionBroken())

    # What the parser tells.

    def on_message_begin(self) -> None:
        """An answer begins; a second one to the same request is one too many."""
        if self._answer is None:
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, of the head or of the end."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The status is known: from here on, the request has an answer."""
        assert self._parser is not None
        self._status = self._parser.get_status_code()
        self._headers_there = self._status >= _FIRST_FINAL_STATUS

    def on_body(self, body: bytes) -> None:
        """A part of the body; of one that is too large, nothing is kept."""
        self._body += body
        if len(self._body) > LARGEST_BODY:
            self._settle(None)
            self.close()

    def on_message_complete(self) -> None:
        """The answer is there, unless it only says that another one will follow."""
        if not self._headers_there:
            self._reset()
            return
        assert self._parser is not None
        keep = self._parser.should_keep_alive()
        self._settle(bytes(self._body))
        if not keep:
            self.close()

    def _settle(self, body: bytes | None) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_result(RawAnswer(self._status, self._headers, body))
        self._reset()

    def _reset(self) -> None:
        self._status = 0
        self._headers: dict[str, str] = {}
        self._headers_there = False
        self._body = bytearray()
        self._received = 0
