"""A process that ingests events as a server does, until its input ends.

`python -m tests.workers.event_writer URL TENANT OLD`: each call writes one event of now and one of the day OLD, and
prints a line once it was answered.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

from server.platform.clock import utc_now
from server.platform.months import EventMonths
from server.platform.postgres import Database
from server.profiles.erasure_store import ErasureStore
from server.profiles.events import IncomingEvent
from server.profiles.ingestion import EventIngestion
from server.profiles.store import ProfileStore
from tests.profiles.conftest import NobodyListens


async def write(url: str, tenant_id: UUID, old: datetime) -> None:
    """Write until the input ends."""
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    number = 0
    async with event_ingestion(url) as ingestion:
        while not ended.done():
            events = [event_at(f"{number}-{at:%Y}", at) for at in (utc_now(), old)]
            await ingestion.ingest_events(tenant_id, events)
            number += 1
            print(number, flush=True)


@asynccontextmanager
async def event_ingestion(url: str) -> AsyncIterator[EventIngestion]:
    """What writes the events of a server."""
    database = await Database.connect(
        url, minimum_connections=1, maximum_connections=2, application_name="test-writer"
    )
    yield EventIngestion(
        erasures=ErasureStore(),
        database=database,
        store=ProfileStore(),
        months=EventMonths(database),
        clock=utc_now,
        happenings=NobodyListens(),
    )
    await database.close()


def event_at(source_event_id: str, at: datetime) -> IncomingEvent:
    """An event of `p1`."""
    return IncomingEvent(
        source_event_id=source_event_id,
        profile_id="p1",
        event_type="view",
        occurred_at=at,
        entity_type="",
        entity_id="",
        sentiment=None,
        attributes=b"{}",
    )


if __name__ == "__main__":
    _, url, tenant, day = sys.argv
    asyncio.run(write(url, UUID(tenant), datetime.fromisoformat(day).replace(tzinfo=UTC)))
