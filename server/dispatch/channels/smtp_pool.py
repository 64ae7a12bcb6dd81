"""Connections to one mail relay, kept open between messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from aiosmtplib import SMTP, SMTPException

_PORTS = {"smtp": 25, "smtps": 465}


@dataclass(frozen=True, slots=True)
class Relay:
    """A mail relay. STARTTLS is used where it is offered.

    Args:
        use_tls: TLS from the first byte (`smtps://`).
        timeout_seconds: for connecting, and for each answer.
    """

    host: str
    port: int
    use_tls: bool
    username: str | None
    password: str | None
    timeout_seconds: float

    @classmethod
    def from_url(cls, url: str, *, timeout_seconds: float) -> Relay:
        """The relay of `smtp://user:password@host:port` or `smtps://…`."""
        parts = urlsplit(url)
        return cls(
            host=parts.hostname or "localhost",
            port=parts.port or _PORTS[parts.scheme],
            use_tls=parts.scheme == "smtps",
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            timeout_seconds=timeout_seconds,
        )


class NoConnectionInTime(Exception):
    """Every connection was in use for as long as the caller could wait."""


class SmtpPool:
    """At most `size` connections, the one used last first.

    A connection that comes back closed is dropped; the next message opens another.
    """

    def __init__(self, relay: Relay, *, size: int) -> None:
        self._relay = relay
        self._places = asyncio.Semaphore(size)
        self._idle: list[SMTP] = []

    async def probe(self) -> None:
        """Make sure that a connection can be had; costs nothing while an idle one is open.

        Raises:
            SMTPException, OSError: none can.
        """
        if self._places.locked() or any(connection.is_connected for connection in self._idle):
            return
        async with self._places:
            self._idle.append(await self._connect())

    @asynccontextmanager
    async def connection(self, *, wait_seconds: float) -> AsyncIterator[SMTP]:
        """One connection for one message. Leave it closed if the dialogue broke off.

        Raises:
            NoConnectionInTime: none became free.
            SMTPException, OSError: none could be opened.
        """
        try:
            async with asyncio.timeout(wait_seconds):
                await self._places.acquire()
        except TimeoutError:
            raise NoConnectionInTime from None
        try:
            connection = self._reuse() or await self._connect()
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            if connection.is_connected:
                self._idle.append(connection)
        finally:
            self._places.release()

    async def close(self) -> None:
        """Say goodbye on idle connections."""
        while self._idle:
            connection = self._idle.pop()
            try:
                await connection.quit()
            except (SMTPException, OSError):
                connection.close()

    def _reuse(self) -> SMTP | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_connected:
                return connection
            connection.close()
        return None

    async def _connect(self) -> SMTP:
        relay = self._relay
        connection = SMTP(
            hostname=relay.host,
            port=relay.port,
            use_tls=relay.use_tls,
            username=relay.username,
            password=relay.password,
            timeout=relay.timeout_seconds,
        )
        await connection.connect()
        return connection
