"""The evaluation of segments with a server's pool."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from server.embedded.database_setup import DatabaseUrls
from server.platform.clock import utc_now
from server.platform.postgres import Database
from server.segments.evaluation import SegmentEvaluation
from server.segments.store import SegmentStore


@pytest.fixture
async def pool(database: DatabaseUrls) -> AsyncIterator[Database]:
    """A worker's pool."""
    pool = await Database.connect(
        database.worker_url, minimum_connections=1, maximum_connections=4, application_name="test-segments"
    )
    yield pool
    await pool.close()


@pytest.fixture
def evaluation(pool: Database) -> SegmentEvaluation:
    """As workers have it."""
    return SegmentEvaluation(database=pool, store=SegmentStore(), clock=utc_now)
