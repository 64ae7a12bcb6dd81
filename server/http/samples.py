"""Figures that nobody counts, since they are states: looked at once a second, and before this process is scraped."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, Protocol

from prometheus_client import Gauge

_INTERVAL_SECONDS: Final = 1.0

_connections = Gauge(
    "leo_database_connections",
    "Connections to PostgreSQL: open ones, and those of them that are in use",
    ["state"],
    multiprocess_mode="livesum",
)
_request_bytes = Gauge(
    "leo_rpc_request_bytes", "Bytes of the requests that are worked on", multiprocess_mode="livesum"
)


class Queues(Protocol):
    """What waits for a decision."""

    def sample(self) -> None:
        """Show it in its own figures."""
        ...


class Pool(Protocol):
    """Connections to PostgreSQL."""

    def connections(self) -> tuple[int, int]:
        """How many are open, and how many of them are in use."""
        ...


class Requests(Protocol):
    """Requests that are worked on."""

    bytes: int


@dataclass(frozen=True, slots=True)
class Samples:
    """What is looked at; a worker has no requests."""

    queues: Queues
    pool: Pool
    requests: Requests | None = None

    def take(self) -> None:
        """Look now."""
        self.queues.sample()
        opened, used = self.pool.connections()
        _connections.labels("open").set(opened)
        _connections.labels("in_use").set(used)
        if self.requests is not None:
            _request_bytes.set(self.requests.bytes)

    async def take_for_ever(self) -> None:
        """Look every second: of processes that share a port, only one is asked at a scrape."""
        while True:
            self.take()
            await asyncio.sleep(_INTERVAL_SECONDS)
