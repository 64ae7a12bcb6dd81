"""Providers for the benchmarks of dispatch, in a process of their own: an SMS gateway and Firebase.

Each request is answered after a while. Its port is the one line that it writes; it ends when its input does.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Final

import orjson
import uvloop
from aiohttp import web

SMS_PATH: Final = "/sms"
TOKEN_PATH: Final = "/token"
FIGURES_PATH: Final = "/figures"
ARRIVALS_PATH: Final = "/arrivals"
PUSH_NAME_LENGTH: Final = 32
"""Firebase is told so much of a delivery key, the gateway all of it."""

_TOKEN: Final = {"access_token": "bench", "expires_in": 3600}


class Provider:
    """Notes when each message came, before it answers.

    Args:
        answer_seconds: between a request and its answer.
    """

    def __init__(self, answer_seconds: float) -> None:
        self._answer_seconds = answer_seconds
        self._requests = 0
        self._arrivals: dict[str, float] = {}

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request of a worker, or of the benchmark."""
        if request.path == FIGURES_PATH:
            figures = {"requests": self._requests, "messages": len(self._arrivals)}
            return _json({**figures, "cpu_s": time.process_time()})
        if request.path == ARRIVALS_PATH:
            return _json(self._arrivals)
        if request.path == TOKEN_PATH:
            return _json(_TOKEN)
        message = orjson.loads(await request.read())
        key = message.get("reference") or message["message"]["android"]["notification"]["tag"]
        self._requests += 1
        self._arrivals.setdefault(key, time.time())
        await asyncio.sleep(self._answer_seconds)
        return _json({"id": key, "name": key})


def _json(document: object) -> web.Response:
    return web.Response(body=orjson.dumps(document), content_type="application/json")


async def serve(answer_seconds: float) -> None:
    """Serve until the standard input ends."""
    runner = web.ServerRunner(web.Server(Provider(answer_seconds).answer, access_log=None))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


def main() -> None:
    """Do the job of the first argument, a JSON object."""
    uvloop.run(serve(**json.loads(sys.argv[1])))


if __name__ == "__main__":
    main()
