"""Instruments in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from server.catalog.model import Instrument
from server.paging import Key
from server.platform.postgres import Connection
from server.platform.queries import Queries


class InstrumentStore:
    """One method for each statement; all inside the tenant's transaction."""

    def __init__(self) -> None:
        self._queries = Queries.load("catalog")

    async def put_instruments(
        self, connection: Connection, tenant_id: UUID, instruments: Sequence[Instrument]
    ) -> int:
        """How many were new or changed."""
        changed = await connection.fetch(
            self._queries["put_instruments"],
            tenant_id,
            [instrument.symbol for instrument in instruments],
            [instrument.instrument_name for instrument in instruments],
            [instrument.type for instrument in instruments],
            [instrument.currency for instrument in instruments],
            [instrument.exchange for instrument in instruments],
            [instrument.metadata for instrument in instruments],
            [instrument.status for instrument in instruments],
        )
        return len(changed)

    async def list_instruments(
        self, connection: Connection, tenant_id: UUID, *, after: Key, type_: str | None, limit: int
    ) -> list[Instrument]:
        """The tenant's instruments and the global ones after a key, by symbol."""
        rows = await connection.fetch(self._queries["list_instruments"], tenant_id, *after, type_, limit)
        return [_instrument(row) for row in rows]


def _instrument(row: asyncpg.Record) -> Instrument:
    return Instrument(
        symbol=row["symbol"],
        instrument_name=row["instrument_name"],
        type=row["type"],
        currency=row["currency"],
        exchange=row["exchange"],
        metadata=row["metadata"].encode(),
        status=row["status"],
        shared=row["global"],
    )
