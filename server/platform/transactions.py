"""What transactions have in common: the tenant's context, a safe end, what a lost connection means."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

import asyncpg

from server.errors import LeoError, Unavailable

Connection: TypeAlias = (
    "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
)
_Result = TypeVar("_Result")

CONNECTION_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
_CONTENTION = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
)
CANNOT_CONNECT = (
    OSError,
    TimeoutError,
    asyncpg.TooManyConnectionsError,
    *CONNECTION_LOST,
)
# What the driver raises on a connection that it knows, or is about to learn, to be dead. InternalClientError is one
# of them: a statement on a connection whose server has just said that it ends.
DRIVER_FAILED = (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
_ROLLBACK_TIMEOUT_SECONDS = 5.0


class CommitOutcomeUnknown(LeoError):
    """COMMIT was sent and its answer was lost: the transaction may be in the database, or not.

    Nothing may be released, retried as new or reported as failed before the rows were looked up by their
    keys.
    """

    def __init__(self) -> None:
        super().__init__(
            "DATABASE_UNAVAILABLE",
            "the database was lost at the end of the call; whether the call was done is not known",
        )


async def enter_tenant(connection: Connection, tenant_id: UUID) -> None:
    """Switch an open transaction to this tenant, until it ends or switches again. One round trip."""
    await connection.execute(_context_statement(tenant_id))


@asynccontextmanager
async def savepoint(connection: Connection) -> AsyncIterator[None]:
    """A nested block in an open transaction: on an error its writes are undone, and the transaction goes on.

    Two round trips. Blocks may nest: PostgreSQL keeps equal names as a stack.
    """
    await connection.execute("SAVEPOINT leo_block")
    try:
        yield
    except BaseException:
        if not _is_closed(connection):
            await connection.execute("ROLLBACK TO SAVEPOINT leo_block; RELEASE SAVEPOINT leo_block")
        raise
    await connection.execute("RELEASE SAVEPOINT leo_block")


def _context_statement(tenant_id: UUID | None) -> str:
    """Text, so that it shares a message with BEGIN; a UUID's own text has nothing to quote."""
    if tenant_id is not None and not isinstance(tenant_id, UUID):
        raise TypeError(f"tenant_id is a UUID, not {type(tenant_id).__name__}")
    text = "" if tenant_id is None else str(UUID(int=tenant_id.int))
    return f"SELECT set_config('app.current_tenant_id', '{text}', true)"


@asynccontextmanager
async def run_transaction(
    connection: Connection, *, tenant_id: UUID | None, readonly: bool, repeatable: bool = False
) -> AsyncIterator[None]:
    """BEGIN with the context, the body, COMMIT; on any error ROLLBACK. Two round trips.

    Args:
        repeatable: whether every statement sees the database as it was when the transaction began.

    Raises:
        Unavailable: the database failed; nothing was committed.
        CommitOutcomeUnknown: the answer to COMMIT was lost.
    """
    mode = (" ISOLATION LEVEL REPEATABLE READ" if repeatable else "") + (" READ ONLY" if readonly else "")
    begin = f"BEGIN{mode}; "
    try:
        await connection.execute(begin + _context_statement(tenant_id))
        yield
    except BaseException as error:
        await _roll_back(connection)
        translated = _translated(error, connection)
        if translated is None:
            raise
        raise translated from error
    await _commit(connection)


@asynccontextmanager
async def translated(connection: Connection) -> AsyncIterator[None]:
    """Around statements that change nothing: failures of the database itself become domain errors."""
    try:
        yield
    except Exception as error:
        domain_error = _translated(error, connection)
        if domain_error is None:
            raise
        raise domain_error from error


async def _roll_back(connection: Connection) -> None:
    """Undo, or drop the connection: it never returns to the pool inside a transaction."""
    if _is_closed(connection):
        return
    try:
        await connection.execute("ROLLBACK", timeout=_ROLLBACK_TIMEOUT_SECONDS)
    except (asyncpg.PostgresError, *DRIVER_FAILED):
        _terminate(connection)
    except BaseException:
        _terminate(connection)
        raise


async def run_committing(connection: Connection, statement: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a statement that commits, to its end even when cancelled.

    Raises:
        CommitOutcomeUnknown: the connection was lost before the answer.
        Unavailable: nothing was committed.
    """
    if _is_closed(connection):
        statement.close()
        raise database_away()
    try:
        return await _uninterrupted(statement)
    except (*CONNECTION_LOST, *DRIVER_FAILED) as error:
        _terminate(connection)
        raise CommitOutcomeUnknown() from error
    except _CONTENTION as error:
        raise database_busy() from error


async def _commit(connection: Connection) -> None:
    status = await run_committing(connection, connection.execute("COMMIT"))
    if status != "COMMIT":
        raise asyncpg.InFailedSQLTransactionError(
            "an error inside the transaction was swallowed: COMMIT rolled it back"
        )


def _is_closed(connection: Connection) -> bool:
    """Also when the pool took a connection back because it died: then every call on it raises."""
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        return True


def _terminate(connection: Connection) -> None:
    if not _is_closed(connection):
        connection.terminate()


async def _uninterrupted(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run to the end even when cancelled, then let the cancellation go on. The command timeout bounds it."""
    task = asyncio.ensure_future(work)
    cancellation: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancellation = error
    if cancellation is None:
        return task.result()
    task.exception()
    raise cancellation


def _translated(error: BaseException, connection: Connection) -> LeoError | None:
    """The domain error for a failure of the database itself; None for the caller's own errors."""
    if isinstance(error, CONNECTION_LOST):
        return database_away()
    if isinstance(error, DRIVER_FAILED) and _is_closed(connection):
        return database_away()
    if isinstance(error, _CONTENTION):
        return database_busy()
    return None


def database_away() -> Unavailable:
    """The error for a database that can't be reached."""
    return Unavailable("DATABASE_UNAVAILABLE", "the database can't be reached; nothing was committed")


def database_busy() -> Unavailable:
    """The error for a deadlock, a lock or a statement that timed out."""
    return Unavailable("DATABASE_BUSY", "the database was too busy; nothing was committed")
