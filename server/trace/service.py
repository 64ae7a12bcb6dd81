"""Use cases of the trace."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from server.errors import NotFound
from server.paging import Page, PageRequest, open_cursor
from server.platform.clock import utc_now
from server.platform.postgres import Database
from server.trace.explanation import Explanation, explain
from server.trace.model import Step, check_profile_id, parse_position
from server.trace.store import TraceStore
from server.validation import Violations

_END_OF_TIME: Final = datetime(9999, 12, 31, tzinfo=UTC).isoformat()
_AFTER_EVERYTHING: Final = (_END_OF_TIME, _END_OF_TIME, "")


class TraceService:
    """Reads what is recorded.

    Args:
        database: connections of the serving role.
        clock: what is waited for depends on it.
    """

    def __init__(
        self, *, database: Database, store: TraceStore, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._clock = clock
        self._database = database
        self._store = store

    async def get_journey(self, tenant_id: UUID, profile_id: str, page: PageRequest) -> Page[Step]:
        """What was decided for a profile, newest first, page by page. PostgreSQL: 4 round trips.

        Raises:
            InvalidInput: the id can not be one, or the page is not one of this journey.
            NotFound: the tenant neither has the profile nor decided anything for it.
        """
        check_profile_id(profile_id)
        cursor = open_cursor(page, listing=["journey", profile_id], first=_AFTER_EVERYTHING)
        before = parse_position(cursor.after)
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            rows = await self._store.get_journey(
                connection, tenant_id, profile_id, before=before, limit=cursor.limit
            )
        if not rows.profile_known and not rows.steps:
            raise NotFound("profile", profile_id)
        return cursor.page(rows.steps, lambda step: step.key)

    async def explain_delivery(self, tenant_id: UUID, delivery_key: str) -> Explanation:
        """Why a delivery stands where it stands. PostgreSQL: one statement.

        Raises:
            InvalidInput: this is no id of ours.
            NotFound: the tenant has no such delivery.
        """
        violations = Violations()
        violations.sha256("delivery_key", delivery_key)
        violations.raise_if_any()
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            about = await self._store.explain_delivery(connection, tenant_id, delivery_key)
        if about is None:
            raise NotFound("delivery", delivery_key)
        return explain(about, self._clock())
