"""How many of an adapter's slots each tenant may hold in this process: nobody's slow provider takes them all.

Pure but for its memory: the caller says what time it is, in seconds.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from math import inf
from typing import Final
from uuid import UUID

from server.dispatch.limits.wishes import Verdict

_SLOW_SECONDS: Final = 1.0
_WEIGHT: Final = 0.2
_SHORTEST_WAIT_SECONDS: Final = 0.1
_MOST_TENANTS: Final = 10_000


@dataclass(slots=True)
class _Share:
    """What one tenant has of an adapter.

    Args:
        held: slots.
        mean_seconds: how long a message takes lately; infinite before the first one came back.
        line_end: when the last message that was held back comes again.
    """

    held: int = 0
    mean_seconds: float = inf
    line_end: float = 0.0


class Shares:
    """Slots of the adapters of one process.

    A tenant whose messages take less than a second may hold every slot. One whose messages take longer, or of whom
    nothing is known yet, holds half of them at most; what it has above that comes again at the pace at which its
    messages pass.
    """

    def __init__(self) -> None:
        self._held: dict[str, int] = defaultdict(int)
        self._shares: dict[tuple[str, UUID], _Share] = {}

    def in_use(self, adapter: str) -> bool:
        """Whether anything was ever sent by this adapter."""
        return adapter in self._held

    def take(self, adapter: str, slots: int, tenant_id: UUID, wanted: int, now: float) -> Verdict:
        """Take as many of the wanted slots as the tenant may have; the others are told when to come again."""
        share = self._share(adapter, tenant_id)
        slow = share.mean_seconds > _SLOW_SECONDS
        most = max(1, slots // 2) if slow else slots
        granted = max(0, min(wanted, slots - self._held[adapter], most - share.held))
        self._held[adapter] += granted
        share.held += granted
        if granted == wanted:
            return Verdict(granted)
        mean = share.mean_seconds if share.mean_seconds < inf else _SHORTEST_WAIT_SECONDS
        first_at = max(share.line_end, now + max(mean, _SHORTEST_WAIT_SECONDS))
        apart = mean / most
        share.line_end = first_at + (wanted - granted) * apart
        return Verdict(granted, None, first_at - now, apart)

    def give_back(self, adapter: str, tenant_id: UUID, count: int, seconds: float | None = None) -> None:
        """Slots are free again.

        Args:
            seconds: how long the message took; None when nothing was sent.
        """
        self._held[adapter] -= count
        share = self._share(adapter, tenant_id)
        share.held -= count
        if seconds is not None:
            known = share.mean_seconds < inf
            share.mean_seconds = (
                share.mean_seconds + _WEIGHT * (seconds - share.mean_seconds) if known else seconds
            )

    def _share(self, adapter: str, tenant_id: UUID) -> _Share:
        if len(self._shares) >= _MOST_TENANTS:
            self._shares = {key: share for key, share in self._shares.items() if share.held}
        return self._shares.setdefault((adapter, tenant_id), _Share())
