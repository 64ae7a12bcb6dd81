"""The providers of the drill: an SMS gateway and Firebase, which count what they take, on a port for each worker."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import orjson
from aiohttp import web

REFERENCE_LENGTH: Final = 32
"""Firebase is told so much of a delivery key."""

_SLOWEST_SECONDS: Final = 0.2
_HANGS_UP: Final = 0.01
_TOKEN: Final = {"access_token": "faults", "expires_in": 3600}


@dataclass(slots=True)
class Provider:
    """Takes every message, at its own pace; now and then it hangs up without an answer.

    Args:
        taken: how often each delivery came, by the beginning of its key.
    """

    chance: random.Random
    taken: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Desk:
    """Where one worker sends to.

    Args:
        arrived: set by each message.
        silent: whether messages are taken and not answered.
    """

    provider: Provider
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    silent: bool = False
    url: str = ""
    _runner: web.ServerRunner | None = None

    async def open(self) -> None:
        """Listen on a free port."""
        self._runner = web.ServerRunner(web.Server(self._answer, access_log=None), shutdown_timeout=0.01)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        """Listen no more."""
        assert self._runner is not None
        await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/token":
            return _json(_TOKEN)
        message = orjson.loads(await request.read())
        key = message.get("reference") or message["message"]["android"]["notification"]["tag"]
        self.provider.taken[key[:REFERENCE_LENGTH]] += 1
        self.arrived.set()
        chance = self.provider.chance
        if self.silent:
            await asyncio.Event().wait()
        await asyncio.sleep(chance.uniform(0, _SLOWEST_SECONDS))
        if chance.random() < _HANGS_UP and request.transport is not None:
            request.transport.abort()
        return _json({"id": key, "name": key})


def _json(document: object) -> web.Response:
    return web.Response(body=orjson.dumps(document), content_type="application/json")
