"""How many bytes of requests a process works on at once: what bounds its memory, whatever callers send."""

from __future__ import annotations

from typing import Final

from server.errors import Overloaded

_RETRY_AFTER_MS: Final = 500


class InFlight:
    """Counts the bytes of requests from when they are read until they are answered.

    Args:
        maximum_bytes: what goes beyond is refused; one request alone is always taken.
    """

    def __init__(self, maximum_bytes: int) -> None:
        self._maximum_bytes = maximum_bytes
        self.bytes = 0

    def take(self, size: int) -> None:
        """A request of so many bytes was read.

        Raises:
            Overloaded: too many are worked on already; this one is not counted.
        """
        if self.bytes and self.bytes + size > self._maximum_bytes:
            raise Overloaded(
                "SERVER_OVERLOADED",
                "requests of too many bytes are under way",
                retry_after_ms=_RETRY_AFTER_MS,
            )
        self.bytes += size

    def give_back(self, size: int) -> None:
        """It was answered."""
        self.bytes -= size
