"""`/metrics` for Prometheus, and `/healthz` for whoever routes calls: plain HTTP, without a token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from server.errors import LeoError
from server.http.figures import SharedFigures, readable_registry
from server.http.samples import Samples
from server.http.sites import listen_at
from server.platform.background import BackgroundTask
from server.platform.logging import get_logger

_HEALTH_SECONDS: Final = 2.0
Ping = Callable[[], Awaitable[None]]


class MonitoringPages:
    """The two pages.

    Args:
        samples: looked at before figures are shown.
        shared: the figures of all processes of this server, where there are several.
        ping: asks PostgreSQL; raises a LeoError where it is away.
    """

    def __init__(self, *, samples: Samples, shared: SharedFigures | None, ping: Ping) -> None:
        self._samples = samples
        self._registry = readable_registry(shared)
        self._ping = ping

    def application(self) -> web.Application:
        """The pages under their paths."""
        application = web.Application()
        application.add_routes([web.get("/metrics", self._metrics), web.get("/healthz", self._healthz)])
        return application

    async def _metrics(self, _request: web.Request) -> web.Response:
        self._samples.take()
        text = await asyncio.to_thread(generate_latest, self._registry)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _healthz(self, _request: web.Request) -> web.Response:
        """200 where decisions can be made: Redis may be away, PostgreSQL may not."""
        try:
            await asyncio.wait_for(self._ping(), _HEALTH_SECONDS)
        except (LeoError, TimeoutError):
            return web.json_response({"postgres": "away"}, status=503)
        return web.json_response({"postgres": "ok"})


@asynccontextmanager
async def monitoring(
    listen: str, *, samples: Samples, shared: SharedFigures | None, ping: Ping
) -> AsyncIterator[str]:
    """Serves the pages while the block runs, and yields the address.

    Args:
        listen: host:port; port 0 picks a free one.
        samples, shared, ping: as for the pages. With `shared`, other processes may listen on the same port.

    Raises:
        PortNotFree: the address is used by somebody else.
    """
    pages = MonitoringPages(samples=samples, shared=shared, ping=ping)
    runner = web.AppRunner(pages.application(), access_log=None)
    await runner.setup()
    sampling = BackgroundTask("samples")
    try:
        address = await listen_at(runner, listen, share_port=shared is not None)
        sampling.start(samples.take_for_ever())
        get_logger().info("monitoring", address=address)
        yield address
    finally:
        await sampling.stop()
        await runner.cleanup()
