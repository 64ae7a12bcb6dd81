"""The open connections to the hosts of one provider: found, opened, kept for a while, closed."""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict
from functools import cache
from typing import Final, NamedTuple

from aiohappyeyeballs import start_connection

from server.dispatch.channels.http_connection import HttpConnection
from server.dispatch.channels.name_lookup import NameLookup

_CONNECT_SECONDS: Final = 10.0
_IDLE_SECONDS: Final = 15.0
# The second address of a host is tried after so long: one of its networks may be dead (RFC 8305).
_NEXT_ADDRESS_SECONDS: Final = 0.25


class Origin(NamedTuple):
    """A host as connections are kept by."""

    secure: bool
    host: str
    port: int


class HttpConnections:
    """Connections that are open; those that nobody uses are closed after 15 s.

    Args:
        names: resolves hosts.
    """

    def __init__(self, names: NameLookup) -> None:
        self._names = names
        self._idle: dict[Origin, list[HttpConnection]] = defaultdict(list)
        self._closing: asyncio.TimerHandle | None = None

    async def take(self, origin: Origin) -> HttpConnection:
        """The connection that was used last, or a new one.

        Raises:
            OSError: none could be opened.
        """
        idle = self._idle[origin]
        while idle:
            connection = idle.pop()
            if connection.usable:
                return connection
        async with asyncio.timeout(_CONNECT_SECONDS):
            return await self._open(origin)

    def give_back(self, origin: Origin, connection: HttpConnection) -> None:
        """Keep the connection for the next request; end it where its answer is not complete."""
        if not connection.usable:
            connection.close()
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle[origin].append(connection)
        if self._closing is None:
            self._closing = loop.call_later(_IDLE_SECONDS, self._close_idle)

    def close(self) -> None:
        """End all that are idle."""
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()

    async def _open(self, origin: Origin) -> HttpConnection:
        loop = asyncio.get_running_loop()
        addresses = await self._names.addresses(origin.host, origin.port)
        opened = await start_connection(addresses, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS, loop=loop)
        try:
            _, connection = await loop.create_connection(
                HttpConnection,
                sock=opened,
                ssl=_tls() if origin.secure else None,
                server_hostname=origin.host if origin.secure else None,
            )
        except BaseException:
            opened.close()
            raise
        return connection

    def _close_idle(self) -> None:
        """End what was not used for long; the longest unused come first in each list."""
        loop = asyncio.get_running_loop()
        since = loop.time() - _IDLE_SECONDS
        for origin, connections in list(self._idle.items()):
            while connections and (connections[0].idle_since <= since or not connections[0].usable):
                connections.pop(0).close()
            if not connections:
                del self._idle[origin]
        self._closing = loop.call_later(_IDLE_SECONDS, self._close_idle) if self._idle else None


@cache
def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
