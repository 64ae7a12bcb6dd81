"""What all lanes of one caller share: where to call, the ledger, and how long to go on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

import grpc
from leo_client import LeoApiError, LeoClient

from loadtest.faults.decisions.ledger import LedgerWriter
from loadtest.faults.decisions.shop import TICK_SECONDS

_AWAY: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.CANCELLED,
    }
)
_DEADLINE_SECONDS: Final = 10.0
_RETRY_SECONDS: Final = 0.05

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Configuration:
    """What all callers are told.

    Args:
        started_at: when the drill began, by the monotonic clock: ticks count from it.
        tokens: for each tenant's id its token.
    """

    address: str
    seed: int
    started_at: float
    tokens: dict[str, str]

    def tick(self) -> int:
        """The tick now."""
        return int((time.monotonic() - self.started_at) / TICK_SECONDS)


@dataclass(slots=True)
class Calling:
    """One caller.

    Args:
        reverses: whether it asks about shared batches from their end.
        stopping: set when nothing new is to be begun.
    """

    configuration: Configuration
    name: str
    ledger: LedgerWriter
    reverses: bool
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def connect(self, tenant: str) -> LeoClient:
        """A connection of its own."""
        token = self.configuration.tokens[tenant]
        return LeoClient(self.configuration.address, token=token, deadline_seconds=_DEADLINE_SECONDS)

    async def pause(self, seconds: float) -> None:
        """So long, or until told to end."""
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except TimeoutError:
            return

    async def until_answered(
        self, call: int, attempt: Callable[[], Awaitable[Answer]]
    ) -> tuple[Answer, float] | None:
        """The answer, however often it takes, and when the last try began; None for what may not be."""
        while True:
            tried_at = time.monotonic()
            try:
                return await attempt(), tried_at
            except LeoApiError as error:
                if not self.accepts(call, error):
                    return None
            await asyncio.sleep(_RETRY_SECONDS)

    def accepts(self, call: int, error: LeoApiError) -> bool:
        """Whether calls fail like this in an outage; everything else is written down as wrong.

        INTERNAL without a reason is gRPC's own, of a connection that broke; the server's has one.
        """
        is_outage = error.code in _AWAY or (error.code is grpc.StatusCode.INTERNAL and not error.reason)
        if is_outage:
            self.ledger.failed(call, error.code.name)
        else:
            self.ledger.wrong(call, f"{error.code.name} {error.reason} {error}")
        return is_outage
