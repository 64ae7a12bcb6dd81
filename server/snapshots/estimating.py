"""How large an audience is, without freezing it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Final
from uuid import UUID

from server.platform.postgres import Connection, Database
from server.snapshots.model import (
    Estimate,
    GivenCondition,
    Label,
    Members,
    NamedSegment,
    estimate,
    sample_size,
)
from server.snapshots.resolving import Resolution
from server.snapshots.store import SnapshotStore
from server.validation import Violations

# By the planner's measure, where a page read in order costs 1: some 50 ms of counting.
_CHEAP_COST: Final = 20_000.0
# The planner may be wrong about how many there are: then counting ends here, and pages are drawn.
_MOST_COUNTED: Final = 20_000
_PAGES_DRAWN: Final = 400
_SEED_BITS: Final = 62


class SegmentEstimation:
    """Counts an audience where that is cheap, and draws pages at random where it is not.

    Args:
        database: connections of the serving role.
        clock: the present time, which ages and windows of a condition are measured from.
    """

    def __init__(self, *, database: Database, store: SnapshotStore, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._store = store
        self._clock = clock

    async def estimate_segment(
        self, tenant_id: UUID, wanted: NamedSegment | Label | GivenCondition | None, asked: int
    ) -> Estimate:
        """How many are in an audience now, and some of them. PostgreSQL: 4 to 7 round trips.

        Raises:
            InvalidInput: with every fault.
            NotFound: no campaign defines the segment.
            PreconditionFailed: campaigns define the segment differently, and none of them is active.
        """
        named = sample_size(asked)
        checked = _checked(wanted)
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            members = await Resolution(self._store, connection, tenant_id, self._clock()).members(checked)
            if await self._store.cost_of_counting(connection, tenant_id, members) <= _CHEAP_COST:
                count, sample = await self._store.count_members(
                    connection, tenant_id, members, limit=_MOST_COUNTED + 1, named=named
                )
                if count <= _MOST_COUNTED:
                    return Estimate(count, exact=True, margin=0, sample=sample)
            return await self._drawn(connection, tenant_id, members, named)

    async def _drawn(self, connection: Connection, tenant_id: UUID, members: Members, named: int) -> Estimate:
        pages = await self._store.table_pages(connection)
        drawn = await self._store.sample_members(
            connection,
            tenant_id,
            members,
            pages=pages,
            wanted=_PAGES_DRAWN,
            seed=secrets.randbits(_SEED_BITS),
            named=named,
        )
        return estimate(drawn, pages=pages)


def _checked(
    wanted: NamedSegment | Label | GivenCondition | None,
) -> NamedSegment | Label | GivenCondition:
    violations = Violations()
    if wanted is None:
        violations.add("audience", "is required: one of segment, label and condition")
    else:
        wanted.check(violations)
    violations.raise_if_any()
    assert wanted is not None
    return wanted
