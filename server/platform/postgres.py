"""PostgreSQL: one pool per process, transactions in a tenant's context, and what a lost connection means.

A statement of a server runs inside one of the two transactions below, or is one of its own (`fetch`, `write`).
Transactions set `app.current_tenant_id` for themselves only, in the same message as BEGIN, and functions that
enter tenants set it for their statement only: so a pooled connection can't carry one tenant's context to the
next. Round trips a transaction costs of its own: one to begin, one to commit or roll back; none to return the
connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from server.errors import Overloaded, UnsafeRole
from server.platform.postgres_codecs import register_codecs
from server.platform.queries import Queries
from server.platform.transactions import (
    CANNOT_CONNECT,
    DRIVER_FAILED,
    CommitOutcomeUnknown,
    Connection,
    database_away,
    enter_tenant,
    run_committing,
    run_transaction,
    savepoint,
    translated,
)

__all__ = [
    "CommitOutcomeUnknown",
    "Connection",
    "Database",
    "Timeouts",
    "enter_tenant",
    "savepoint",
]

_QUERIES = Queries.load("platform")
_BUSY_RETRY_MS = 200
# A connection is replaced now and then, so that what a session gathers stays bounded. The driver's default of
# 50,000 would be every few seconds under load, each time with new plans and staging tables.
_QUERIES_PER_CONNECTION = 5_000_000


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Bounds for every statement of a pool.

    Args:
        statement_ms: a statement that runs longer is cancelled by the server.
        lock_ms: a statement that waits longer for one lock is cancelled by the server.
        idle_in_transaction_ms: a transaction that sends nothing for longer is ended, with its connection.
        acquire_seconds: how long a caller waits for a free connection.
    """

    statement_ms: int = 30_000
    lock_ms: int = 10_000
    idle_in_transaction_ms: int = 60_000
    acquire_seconds: float = 10.0

    @property
    def client_seconds(self) -> float:
        """The client's own bound: longer than the server's, for when the server can't answer at all."""
        return self.statement_ms / 1000 + 5


class Database:
    """A pool of connections of one role that row-level security binds."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], timeouts: Timeouts) -> None:
        self._pool = pool
        self._timeouts = timeouts

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        minimum_connections: int,
        maximum_connections: int,
        application_name: str,
        timeouts: Timeouts = Timeouts(),
    ) -> Database:
        """Open the pool and prove that its role is bound by row-level security.

        json and jsonb travel as text: parameters are `str` or `bytes`, results are `str`. `vector` travels as
        a sequence of floats.

        Args:
            url: `postgresql://…` of a serving role.
            application_name: shown in `pg_stat_activity`.

        Raises:
            UnsafeRole: the role is a superuser, has BYPASSRLS, owns a table, or can become such a role.
            Unavailable: no connection could be made.
        """
        try:
            pool = await asyncpg.create_pool(
                url,
                min_size=minimum_connections,
                max_size=maximum_connections,
                max_queries=_QUERIES_PER_CONNECTION,
                init=register_codecs,
                reset=_keep_session,
                command_timeout=timeouts.client_seconds,
                server_settings=_session_settings(application_name, timeouts),
            )
        except CANNOT_CONNECT as error:
            raise database_away() from error
        database = cls(pool, timeouts)
        try:
            await database._refuse_unsafe_role()
        except BaseException:
            await database.close()
            raise
        return database

    @asynccontextmanager
    async def tenant_transaction(
        self, tenant_id: UUID, *, readonly: bool = False, repeatable: bool = False
    ) -> AsyncIterator[Connection]:
        """A transaction on one tenant's rows. Commits at the end, rolls back on any error.

        Args:
            repeatable: whether every statement sees the rows as they were when the transaction began.

        Round trips: 2 (BEGIN with the context; COMMIT). A cancellation lets a COMMIT that was sent finish
        first. Inside, use `savepoint` for a nested block; cursors work.

        Raises:
            Unavailable: the connection was lost, or a lock or statement timed out; nothing was committed.
            Overloaded: no connection became free in time.
            CommitOutcomeUnknown: the answer to COMMIT was lost.
            asyncpg.PostgresError: what the body's statements raised, and violations of deferred constraints.
        """
        async with (
            self._connection() as connection,
            run_transaction(connection, tenant_id=tenant_id, readonly=readonly, repeatable=repeatable),
        ):
            yield connection

    @asynccontextmanager
    async def transaction(self, *, readonly: bool = False) -> AsyncIterator[Connection]:
        """A transaction without a tenant: policies show it nothing until `enter_tenant`. Else as above."""
        async with (
            self._connection() as connection,
            run_transaction(connection, tenant_id=None, readonly=readonly),
        ):
            yield connection

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """The rows of one statement that reads, outside any transaction. One round trip.

        Policies show it nothing; it calls a function that enters the tenants it works for.

        Raises:
            Unavailable: the connection was lost, or a lock or statement timed out.
            Overloaded: no connection became free in time.
            asyncpg.PostgresError: what the statement raised.
        """
        async with self._connection() as connection, translated(connection):
            return await connection.fetch(query, *arguments)

    async def write(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """The rows of one statement that is a transaction of its own: answered means committed. One round trip.

        A cancellation lets a statement that was sent finish first.

        Raises:
            CommitOutcomeUnknown: the connection was lost before the answer.
            Unavailable: a lock or the statement timed out; nothing was committed.
            Overloaded: no connection became free in time.
            asyncpg.PostgresError: what the statement raised; nothing was committed.
        """
        async with self._connection() as connection:
            return await run_committing(connection, connection.fetch(query, *arguments))

    async def ping(self) -> None:
        """Readiness: one round trip outside any transaction.

        Raises:
            Unavailable: the database doesn't answer.
            Overloaded: every connection is in use.
        """
        async with self._connection() as connection:
            try:
                await connection.fetchval(_QUERIES["ping"])
            except (
                *CANNOT_CONNECT,
                *DRIVER_FAILED,
                asyncpg.QueryCanceledError,
            ) as error:
                raise database_away() from error

    def connections(self) -> tuple[int, int]:
        """How many connections are open, and how many of them are in use."""
        opened = self._pool.get_size()
        return opened, opened - self._pool.get_idle_size()

    async def close(self) -> None:
        """Close the pool; waits for transactions that run, at most as long as a statement may."""
        try:
            await asyncio.wait_for(self._pool.close(), self._timeouts.client_seconds)
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        try:
            connection = await self._pool.acquire(timeout=self._timeouts.acquire_seconds)
        except TimeoutError as error:
            raise Overloaded(
                "SERVER_OVERLOADED",
                "no database connection became free",
                retry_after_ms=_BUSY_RETRY_MS,
            ) from error
        except (*CANNOT_CONNECT, asyncpg.InternalClientError) as error:
            # The driver's own error: the server ended the connection while the session was being prepared.
            raise database_away() from error
        try:
            yield connection
        finally:
            await self._pool.release(connection)

    async def _refuse_unsafe_role(self) -> None:
        async with self._connection() as connection:
            powers = await connection.fetchrow(_QUERIES["role_powers"])
        assert powers is not None
        why = _why_unsafe(powers)
        if why is not None:
            raise UnsafeRole(powers["role_name"], why)


def _why_unsafe(powers: asyncpg.Record) -> str | None:
    if powers["is_superuser"]:
        return "is a superuser"
    if powers["bypasses_row_security"]:
        return "has BYPASSRLS"
    if powers["powerful_role"] is not None:
        return f"can become {powers['powerful_role']}, which bypasses row-level security"
    if powers["owned_table"] is not None:
        return f"owns the table {powers['owned_table']}"
    if powers["owning_role"] is not None:
        return f"is a member of {powers['owning_role']}, which owns tables"
    return None


def _session_settings(application_name: str, timeouts: Timeouts) -> dict[str, str]:
    return {
        "application_name": application_name,
        "statement_timeout": str(timeouts.statement_ms),
        "lock_timeout": str(timeouts.lock_ms),
        "idle_in_transaction_session_timeout": str(timeouts.idle_in_transaction_ms),
        # A machine that vanishes without a word loses its sessions, and with them its locks, after some five seconds.
        "tcp_keepalives_idle": "2",
        "tcp_keepalives_interval": "1",
        "tcp_keepalives_count": "3",
        "tcp_user_timeout": "5000",
        "synchronous_commit": "on",
        "timezone": "UTC",
        # Statements here are short: compiling one costs more than it saves.
        "jit": "off",
    }


async def _keep_session(connection: Connection) -> None:
    """Nothing to reset: settings are transaction-local, and locks must be (`pg_advisory_xact_lock`)."""
