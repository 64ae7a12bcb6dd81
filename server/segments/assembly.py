"""Puts together what judges changed profiles anew, for servers and for workers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from server.platform.clock import utc_now
from server.platform.postgres import Database
from server.segments.evaluation import SegmentEvaluation
from server.segments.refreshing import RefreshQueue
from server.segments.store import SegmentStore


@asynccontextmanager
async def running_refreshing(database: Database) -> AsyncIterator[RefreshQueue]:
    """The queue of profiles that have just changed, worked through while the block runs."""
    evaluation = SegmentEvaluation(database=database, store=SegmentStore(), clock=utc_now)
    refreshing = RefreshQueue(evaluation=evaluation)
    await refreshing.start()
    try:
        yield refreshing
    finally:
        await refreshing.stop()
