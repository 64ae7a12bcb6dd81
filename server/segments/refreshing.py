"""Behind the back of whoever writes: profiles that have just changed are judged anew.

It is a matter of seconds, not a promise: what is lost with the process, or is too much, the next round finds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from server.errors import LeoError
from server.platform.background import BackgroundTask
from server.platform.logging import get_logger
from server.segments.evaluation import SegmentEvaluation
from server.segments.model import Changed, Segment

_MOST_WAITING: Final = 1_000
_MOST_AT_ONCE: Final = 1_000
_KNOWN_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class _Offer:
    tenant_id: UUID
    profile_ids: Sequence[str]
    changed: Changed


@dataclass(frozen=True, slots=True)
class _Known:
    """The segments of a tenant, as they were half a minute ago at most."""

    segments: Sequence[Segment]
    until: float


class RefreshQueue:
    """Takes what changed and has it judged, tenant by tenant. It holds no more than 1,000 offers.

    Segments are known for half a minute, so that a tenant without any costs nearly nothing; what a new definition
    means for everybody is the business of a round.
    """

    def __init__(self, *, evaluation: SegmentEvaluation) -> None:
        self._evaluation = evaluation
        self._waiting: deque[_Offer] = deque(maxlen=_MOST_WAITING)
        self._known: dict[UUID, _Known] = {}
        self._wanted = asyncio.Event()
        self._work = BackgroundTask("segments-refreshing")

    async def start(self) -> None:
        """Begin to judge."""
        self._work.start(self._run())

    async def stop(self) -> None:
        """End; what waits is left to the next round."""
        await self._work.stop()

    def offer(
        self,
        tenant_id: UUID,
        profile_ids: Sequence[str],
        *,
        attributes: Collection[str] = (),
        event_types: Collection[str] = (),
        new: bool = False,
    ) -> None:
        """Take committed changes; returns at once.

        Args:
            attributes: columns that were written, `raw_attributes.<first key>` for those inside that.
            event_types: types of events that came in.
            new: whether there are profiles that did not exist before.
        """
        changed = Changed(frozenset(attributes), frozenset(event_types), new)
        known = self._known.get(tenant_id)
        if known is not None and known.until > _now() and not changed.concerns(known.segments):
            return
        self._waiting.append(_Offer(tenant_id, profile_ids, changed))
        self._wanted.set()

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while self._waiting:
                await self._judge(self._next_group())

    def _next_group(self) -> list[_Offer]:
        """Offers of one tenant, up to some number of profiles; the others keep their order."""
        first = self._waiting.popleft()
        group, size, rest = [first], len(first.profile_ids), deque[_Offer](maxlen=_MOST_WAITING)
        for offer in self._waiting:
            if offer.tenant_id == first.tenant_id and size + len(offer.profile_ids) <= _MOST_AT_ONCE:
                group.append(offer)
                size += len(offer.profile_ids)
            else:
                rest.append(offer)
        self._waiting = rest
        return group

    async def _judge(self, group: Sequence[_Offer]) -> None:
        tenant_id = group[0].tenant_id
        try:
            segments = await self._segments(tenant_id)
            concerned = [offer for offer in group if offer.changed.concerns(segments)]
            if concerned:
                profile_ids = sorted({each for offer in concerned for each in offer.profile_ids})
                await self._evaluation.refresh(
                    tenant_id, profile_ids, Changed.united(offer.changed for offer in concerned)
                )
        except LeoError as error:
            get_logger().warning("segments_left_to_round", count=len(group), reason=error.reason)
        except Exception as error:
            get_logger().error("segments_failed", count=len(group), exc_info=error)

    async def _segments(self, tenant_id: UUID) -> Sequence[Segment]:
        known = self._known.get(tenant_id)
        if known is None or known.until <= _now():
            segments = await self._evaluation.segments(tenant_id)
            known = self._known[tenant_id] = _Known(segments, _now() + _KNOWN_SECONDS)
        return known.segments


def _now() -> float:
    return asyncio.get_running_loop().time()
