"""Whether messages could be handed to the adapters of a channel, without waiting long for any of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from server.dispatch.channels.channel import Channel

_PATIENCE_SECONDS: Final = 0.5


class Readiness:
    """Asks the adapters of one channel.

    Args:
        adapters: one is asked for as long as it takes; of several, one that does not answer soon is not ready.
    """

    def __init__(self, adapters: Sequence[Channel]) -> None:
        self._adapters = adapters
        self._asked: dict[Channel, asyncio.Task[bool]] = {}

    async def look(self) -> dict[Channel, bool]:
        """Which adapters are ready."""
        if len(self._adapters) == 1:
            return {self._adapters[0]: await self._adapters[0].ready()}
        for adapter in self._adapters:
            if adapter not in self._asked:
                self._asked[adapter] = asyncio.create_task(adapter.ready())
        if self._asked:
            await asyncio.wait(self._asked.values(), timeout=_PATIENCE_SECONDS)
        return {adapter: self._answer(adapter) for adapter in self._adapters}

    def _answer(self, adapter: Channel) -> bool:
        """A question without an answer stays asked."""
        if not self._asked[adapter].done():
            return False
        return self._asked.pop(adapter).result()
