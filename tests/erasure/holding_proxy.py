"""Stands before PostgreSQL, and holds a client's request back until it is let go."""

from __future__ import annotations

import asyncio

from tests.fixtures.armed_proxy import ArmedProxy


class HoldingProxy(ArmedProxy):
    """When armed, holds the next request that contains some text.

    Args:
        hold_at: what tells it.

    Attributes:
        held: set once it is held.
        released: set to let it go.
    """

    def __init__(self, url: str, *, hold_at: bytes) -> None:
        super().__init__(url)
        self._hold_at = hold_at
        self.held = asyncio.Event()
        self.released = asyncio.Event()

    async def _pass_on(
        self,
        data: bytes,
        requests: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        back: asyncio.Task[None],
    ) -> bool:
        if self.armed and self._hold_at in data:
            self.armed = False
            self.held.set()
            await self.released.wait()
        requests.write(data)
        return True
