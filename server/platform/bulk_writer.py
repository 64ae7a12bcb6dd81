"""The one way in which slices write many rows.

PostgreSQL refuses COPY into a table under row-level security. So small batches travel as arrays in one
INSERT, and large ones are copied into a temp table of the session and inserted from there. Both give the same
rows, return the same keys, and leave every check to the policies, constraints and triggers of the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import asyncpg

from server.platform.bulk_sql import TableWrite, WriteStatements, statements_for
from server.platform.bulk_values import BadValue, bad_value
from server.platform.transactions import Connection

__all__ = ["BadValue", "BulkWriter", "TableWrite"]

Row: TypeAlias = Sequence[Any]
Key: TypeAlias = tuple[Any, ...]

COPY_FROM_ROWS = 200
"""From this many rows on, COPY is quicker than arrays: see `loadtest/bench/README.md`."""


class BulkWriter:
    """Writes rows inside the caller's transaction; holds no state.

    Args:
        copy_from_rows: batches of at least this many rows go by COPY.
    """

    def __init__(self, *, copy_from_rows: int = COPY_FROM_ROWS) -> None:
        self._copy_from_rows = copy_from_rows

    async def write(self, connection: Connection, write: TableWrite, rows: Sequence[Row]) -> list[Key]:
        """Write rows of the transaction's own tenant.

        Round trips: 1 for small batches, 3 for large ones (one more at a session's first); 0 without rows.

        Args:
            rows: values in the order of `write.columns`, in any order among themselves. With
            `conflict="nothing"`
                one of several rows of one key is written; which one is not defined.

        Returns:
            The keys, in the order of `write.key`, of the rows that were inserted (or, for
            `conflict="update"`, inserted or changed). Go on only with these. Their order is not defined.

        Raises:
            BadValue: a value doesn't fit its column.
            asyncpg.InsufficientPrivilegeError: a row of another tenant, refused by the policy.
            asyncpg.IntegrityConstraintViolationError: a constraint other than the key; names it.
            asyncpg.CardinalityViolationError: a key stands twice in a batch with `conflict="update"`.
        """
        return await self._write(connection, write, rows, by_tenant=False)

    async def write_tenants(
        self, connection: Connection, write: TableWrite, rows: Sequence[Row]
    ) -> list[Key]:
        """Write rows of several tenants in one transaction, each in the context of the tenant that it names.

        The context is what it was before when this returns. Round trips: 2 for small batches, 3 for large
        ones (one more at a session's first), whatever the number of tenants. Otherwise as `write`.
        """
        return await self._write(connection, write, rows, by_tenant=True)

    async def _write(
        self, connection: Connection, write: TableWrite, rows: Sequence[Row], *, by_tenant: bool
    ) -> list[Key]:
        if not rows:
            return []
        _check_width(write, rows)
        send = self._copy if len(rows) >= self._copy_from_rows else self._send_arrays
        try:
            return [tuple(record) for record in await send(connection, write, rows, by_tenant)]
        except (asyncpg.DataError, ValueError, TypeError, ArithmeticError) as error:
            fault = bad_value(write, rows, error)
            if fault is None:
                raise
            raise fault from None

    async def _send_arrays(
        self, connection: Connection, write: TableWrite, rows: Sequence[Row], by_tenant: bool
    ) -> list[asyncpg.Record]:
        sql = statements_for(write)
        columns = map(list, zip(*rows, strict=True))
        if not by_tenant:
            return await connection.fetch(sql.insert_arrays, *columns)
        await _prepare(connection, sql)
        return await connection.fetch(sql.insert_arrays_by_tenant, *columns)

    async def _copy(
        self, connection: Connection, write: TableWrite, rows: Sequence[Row], by_tenant: bool
    ) -> list[asyncpg.Record]:
        sql = statements_for(write)
        await _prepare(connection, sql)
        await connection.copy_records_to_table(
            sql.staging, schema_name="pg_temp", columns=write.columns, records=rows
        )
        return await connection.fetch(sql.insert_staged_by_tenant if by_tenant else sql.insert_staged)


def _check_width(write: TableWrite, rows: Sequence[Row]) -> None:
    width = len(write.columns)
    for row in rows:
        if len(row) != width:
            raise ValueError(f"{write.table}: a row has {len(row)} values for {width} columns")


async def _prepare(connection: Connection, sql: WriteStatements) -> None:
    """Leave an empty staging table, made at a session's first need.

    The server is asked each time, 0.03 ms: a rollback takes a new table with it, so memory of our own could
    be wrong.
    """
    size = await connection.fetchval(sql.staging_size)
    if size is None:
        await connection.execute(sql.prepare)
    elif size > 0:
        await connection.execute(sql.empty_staging)
