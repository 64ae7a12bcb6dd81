"""Requests to providers: how long they may take, how much may come back, and whether anything went out.

What an error means depends on how far a request came: before a connection was there, nothing was sent; after
that, only an answer says whether the message was taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson
from yarl import URL

from server.dispatch.channels.answers import Answer
from server.dispatch.channels.channel import ErrorClass, Refused
from server.dispatch.channels.http_connection import HttpConnection, RawAnswer
from server.dispatch.channels.http_connections import HttpConnections, Origin
from server.dispatch.channels.name_lookup import NameLookup, is_private

_ALWAYS: Final = "Accept: */*\r\nAccept-Encoding: identity\r\nUser-Agent: leo-activation\r\n"


class ProviderHttp:
    """Connections to one provider, shared by the tenants of this process. Knows no cookies, follows no redirect.

    Args:
        connections: requests at once.
        timeout_seconds: for one request and its answer.
        private_networks: whether URLs may lead into private networks.
    """

    def __init__(self, *, connections: int, timeout_seconds: float, private_networks: bool = True) -> None:
        self.connections = connections
        self.timeout_seconds = timeout_seconds
        self.private_networks = private_networks
        self._places = asyncio.Semaphore(connections)
        self._open = HttpConnections(NameLookup(private_networks=private_networks))

    async def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        wait_seconds: float,
        parameters: Mapping[str, str] | None = None,
    ) -> Answer | Refused:
        """The answer, or a refusal where there is none.

        Args:
            parameters: of the query.
            wait_seconds: for its turn.
        """
        try:
            target = _target(url) if parameters is None else _target(str(URL(url).update_query(parameters)))
            request = _request(target, headers, body)
        except ValueError:
            # Its text may hold a secret, so it is not recorded.
            return Refused(ErrorClass.AUTHENTICATION, "REQUEST_NOT_SENDABLE")
        if not self.private_networks and is_private(target.origin.host):
            return Refused(ErrorClass.AUTHENTICATION, "URL_IN_PRIVATE_NETWORK")
        if not await self._turn(wait_seconds):
            return Refused(ErrorClass.TRANSIENT, "NO_CONNECTION_IN_TIME")
        try:
            return await self._exchange(target.origin, request)
        finally:
            self._places.release()

    async def close(self) -> None:
        """Close all connections."""
        self._open.close()

    async def _turn(self, wait_seconds: float) -> bool:
        """Whether its turn came: a free place is taken at once."""
        if not self._places.locked():
            # A timer for each message costs more than the place, which is free.
            return await self._places.acquire()
        try:
            async with asyncio.timeout(wait_seconds):
                return await self._places.acquire()
        except TimeoutError:
            return False

    async def _exchange(self, origin: Origin, request: bytes) -> Answer | Refused:
        connection: HttpConnection | None = None
        try:
            async with asyncio.timeout(self.timeout_seconds):
                connection = await self._open.take(origin)
                return _answer(await connection.exchange(request))
        except TimeoutError:
            return _broken_off("NO_ANSWER_IN_TIME", connection)
        except (OSError, ValueError):
            return _broken_off("CONNECTION_LOST", connection)
        finally:
            if connection is not None:
                self._open.give_back(origin, connection)


class _Target(NamedTuple):
    """Where a request goes, and the part of its head that all requests to there have in common."""

    origin: Origin
    head: str


@lru_cache(maxsize=1024)
def _target(url: str) -> _Target:
    """Raises:
    ValueError: it is no URL of a provider.
    """
    parsed = URL(url)
    if parsed.scheme not in ("http", "https") or parsed.raw_host is None or parsed.port is None:
        raise ValueError("neither http nor https")
    if parsed.raw_user is not None or parsed.raw_password is not None:
        raise ValueError("an account within a URL")
    origin = Origin(parsed.scheme == "https", parsed.raw_host, parsed.port)
    host = parsed.host_port_subcomponent
    return _Target(origin, f"POST {parsed.raw_path_qs} HTTP/1.1\r\nHost: {host}\r\n{_ALWAYS}")


def _request(target: _Target, headers: Mapping[str, str], body: bytes) -> bytes:
    """The request as it is sent.

    Raises:
        ValueError: a header would end before its end.
    """
    values = "".join(headers.values())
    if not values.isprintable():
        raise ValueError("a control character in a header")
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return b"%b%bContent-Length: %d\r\n\r\n%b" % (target.head.encode(), lines.encode(), len(body), body)


def _broken_off(reason: str, connection: HttpConnection | None) -> Refused:
    if connection is not None:
        return Refused(ErrorClass.AMBIGUOUS, reason)
    return Refused(ErrorClass.TRANSIENT, "PROVIDER_UNREACHABLE")


def _answer(raw: RawAnswer) -> Answer:
    return Answer(raw.status, raw.headers, _document(raw.body))


def _document(body: bytes | None) -> Any:
    """The body, parsed. The status is known, so whatever is wrong with the body is no error of its own."""
    if not body:
        return None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
