"""Use cases of instruments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from server.catalog.model import Instrument
from server.catalog.store import InstrumentStore
from server.paging import Page, PageRequest, open_cursor
from server.platform.ids import canonical_json
from server.platform.postgres import Database
from server.validation import Violations


class Instruments:
    """Puts and reads instruments."""

    def __init__(self, *, database: Database, store: InstrumentStore) -> None:
        self._database = database
        self._store = store

    async def put(self, tenant_id: UUID, instruments: Sequence[Instrument]) -> int:
        """Create or replace instruments of the tenant, all or none. PostgreSQL: 3 round trips.

        Returns:
            How many were new or changed.

        Raises:
            InvalidInput: with every fault.
        """
        checked = _checked(instruments)
        async with self._database.tenant_transaction(tenant_id) as connection:
            return await self._store.put_instruments(connection, tenant_id, checked)

    async def list(self, tenant_id: UUID, page: PageRequest, *, type_: str | None) -> Page[Instrument]:
        """The tenant's instruments and the global ones by symbol, page by page. PostgreSQL: 3 round trips.

        Raises:
            InvalidInput: the page is not one of this list.
        """
        cursor = open_cursor(page, listing=["instruments", type_ or ""], first=("", 0))
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            instruments = await self._store.list_instruments(
                connection, tenant_id, after=cursor.after, type_=type_, limit=cursor.limit
            )
        return cursor.page(instruments, lambda instrument: (instrument.symbol, int(instrument.shared)))


def _checked(instruments: Sequence[Instrument]) -> list[Instrument]:
    """The instruments with their metadata in canonical form."""
    violations = Violations()
    violations.count("instruments", instruments, lowest=1, highest=1000)
    violations.raise_if_any()
    seen: set[str] = set()
    checked = []
    for place, instrument in enumerate(instruments):
        under = violations.under(f"instruments[{place}]")
        metadata = instrument.check(under)
        if instrument.symbol in seen:
            under.add("symbol", "is there twice; name each symbol once")
        seen.add(instrument.symbol)
        checked.append(replace(instrument, metadata=canonical_json(metadata).encode()))
    violations.raise_if_any()
    return checked
