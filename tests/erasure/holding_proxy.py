"""Stands before PostgreSQL, and holds a client's request back until it is let go."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit, urlunsplit


class HoldingProxy:
    """Holds the first request that contains some text.

    Args:
        hold_at: what tells it.

    Attributes:
        held: set once it is held.
        released: set to let it go.
    """

    def __init__(self, url: str, *, hold_at: bytes) -> None:
        self._target = urlsplit(url)
        self._hold_at = hold_at
        self._server: asyncio.Server | None = None
        self.armed = False
        self.held = asyncio.Event()
        self.released = asyncio.Event()

    async def start(self) -> str:
        """Listen; the URL to use instead of PostgreSQL's."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        credentials = self._target.netloc.rpartition("@")[0]
        return urlunsplit(self._target._replace(netloc=f"{credentials}@127.0.0.1:{port}"))

    async def stop(self) -> None:
        """Listen no more."""
        assert self._server is not None
        self._server.close()

    async def _serve(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        server, requests = await asyncio.open_connection(self._target.hostname, self._target.port)
        back = asyncio.create_task(_copy(server, answers))
        while data := await client.read(65_536):
            if self.armed and self._hold_at in data:
                self.armed = False
                self.held.set()
                await self.released.wait()
            requests.write(data)
        requests.close()
        await asyncio.gather(back, return_exceptions=True)


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65_536):
        target.write(data)
    target.close()
