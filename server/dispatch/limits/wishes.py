"""What a runner asks a gate, and what it is told. Pure data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

from server.dispatch.channels.channel import RateLimit
from server.dispatch.limits.rules import Held

LONGEST_WAIT_SECONDS: Final = 3600.0
"""Nobody is told to wait for longer, so that a raised limit is noticed."""


@dataclass(frozen=True, slots=True)
class RouteKey:
    """One account of a tenant."""

    tenant_id: UUID
    channel: str
    provider: str

    def redis_key(self) -> str:
        """Where its state lies."""
        return f"leo:route:{self.tenant_id}:{self.channel}:{self.provider}"


@dataclass(frozen=True, slots=True)
class Wish:
    """Messages of one account that are ready to be sent.

    Args:
        version: of the credential.
        wanted: how many, at least 1.
    """

    key: RouteKey
    limit: RateLimit
    version: int
    wanted: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a wish: so many may be sent, the others wait.

    Args:
        reason: why the others wait; None when there are none.
        first_wait: seconds until the first of the others comes again.
        apart: seconds between each of the others and the next one.
    """

    granted: int
    reason: Held | None = None
    first_wait: float = 0.0
    apart: float = 0.0

    def wait(self, position: int) -> float:
        """Seconds that one of the others waits, counted from 0. At most an hour, so that changes are noticed."""
        return min(max(self.first_wait + position * self.apart, 0.0), LONGEST_WAIT_SECONDS)


class Gate(Protocol):
    """What decides how many messages may be sent now, and learns from what became of them."""

    async def admit(self, wishes: Sequence[Wish]) -> list[Verdict]:
        """A verdict for each wish."""
        ...

    def passed(self, key: RouteKey) -> None:
        """The provider took a message, or refused that one alone."""
        ...

    def failed(self, key: RouteKey) -> None:
        """The account or the provider failed."""
        ...

    def asked_to_wait(self, key: RouteKey, seconds: float) -> None:
        """The provider named a time before which it takes nothing."""
        ...
