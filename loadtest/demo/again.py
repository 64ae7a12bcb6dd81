"""Everything that the demo decided is decided again, from what was recorded, and must come out the same."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from server.decisions.replay.span import Span, SpanReplay, SpanReport
from server.decisions.replay.store import ReplayStore
from server.decisions.replay.stored_bundles import StoredBundles
from server.platform.postgres import Database

_EVER: Final = (datetime(2000, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC))


async def replay_everything(database_url: str, tenant_id: UUID) -> SpanReport:
    """Replay every decision of the tenant, as leo_app; one transaction for each page."""
    database = await Database.connect(
        database_url, minimum_connections=1, maximum_connections=1, application_name="leo-demo"
    )
    store = ReplayStore()
    replays = SpanReplay(database=database, store=store, bundles=StoredBundles(store=store))
    try:
        return await replays.run(Span(tenant_id, *_EVER), lambda _: None)
    finally:
        await database.close()
