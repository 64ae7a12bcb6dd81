"""What dispatch needs of the fleet."""

from __future__ import annotations

from typing import Protocol


class WakeUp(Protocol):
    """Tells workers that a queue has work."""

    async def notify(self, queue: str) -> None:
        """Returns at once. A wake-up may be lost: the sweep finds the work a little later."""
        ...
