"""A table or view of a PostgreSQL, read by the time of change and the key.

A row may become visible later than others that were changed after it: its transaction took longer. So the position
remembers when the source was last asked, and what was changed within the overlap before that is read once more.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeAlias

import asyncpg
import orjson
from pydantic import BaseModel, ConfigDict, Field

from server.platform.queries import Queries
from server.sync.sources.source import (
    LONGEST_ANSWER_SECONDS,
    Change,
    Page,
    SourceAway,
    SourceRefused,
    says_deleted,
)

_TIMES: Final = frozenset({"timestamp with time zone", "timestamp without time zone"})
_CONNECT_SECONDS: Final = 10.0
_PLAIN_TYPE: Final = re.compile(r'[a-zA-Z0-9_ ,().\[\]"]{1,100}')
_MARK: Final = re.compile(":(?:relation|updated_type|updated|key_type|key|not_ahead)")

Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[^\x00]+$")]


class PostgresSettings(BaseModel):
    """One table or view, and how it is read. The password is no part of it.

    Args:
        table: its name; `db_schema` where it is not on the search path.
        key_column: tells rows of one time apart; with `updated_column` it should be indexed.
        updated_column: when a row last changed, or a number that grows with each change.
        deleted_column: true, or a moment, where the row is deleted.
        overlap_seconds: how much longer than others a transaction of the source may take.
        ssl: as libpq's sslmode.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9._:-]+$")
    port: int = Field(5432, ge=1, le=65_535)
    database: Name
    user: Name
    table: Name
    db_schema: Name | None = Field(None, alias="schema")
    key_column: Name
    updated_column: Name
    deleted_column: Name | None = None
    overlap_seconds: int = Field(60, ge=0, le=86_400)
    timeout_seconds: float = Field(30, ge=0.05, le=LONGEST_ANSWER_SECONDS)
    ssl: Literal["disable", "prefer", "require", "verify-full"] = "prefer"

    @property
    def relation(self) -> str:
        """The table as SQL names it."""
        names = [self.table] if self.db_schema is None else [self.db_schema, self.table]
        return ".".join(map(_quoted, names))


@dataclass(frozen=True, slots=True)
class _Columns:
    """The types of the two columns that rows are ordered by, as SQL names them."""

    updated: str
    key: str

    @property
    def is_time(self) -> bool:
        return self.updated in _TIMES


@dataclass(frozen=True, slots=True)
class _Position:
    """After which row to go on, as texts of the source; without a key, with the first row of that time."""

    updated: str | None
    key: str | None


class PostgresSource:
    """Reads one table. Connects with the first page; nothing is ever written, nor could it be."""

    def __init__(self, settings: PostgresSettings, *, password: str) -> None:
        self._settings = settings
        self._password = password
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._queries = Queries.load("sync_postgres")

    async def pages(self, cursor: Mapping[str, Any], *, page_size: int) -> AsyncIterator[Page]:
        """As `Source.pages`. Round trips: 3 to connect and to find the position, then one for each page."""
        try:
            connection = await self._connected()
            columns = await self._columns(connection)
            position, asked_at = await self._begin(connection, columns, cursor)
            while rows := await self._rows(connection, columns, position, page_size):
                position = _Position(rows[-1]["updated"], rows[-1]["key"])
                yield self._page(rows, columns, position, asked_at)
                if len(rows) < page_size:
                    return
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            raise _meaning(error, self._settings) from None

    async def close(self) -> None:
        """End the connection, without waiting for the source."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _connected(self) -> asyncpg.Connection[asyncpg.Record]:
        if self._connection is None:
            settings = self._settings
            milliseconds = str(max(round(settings.timeout_seconds * 1000), 1))
            self._connection = await asyncpg.connect(
                host=settings.host,
                port=settings.port,
                database=settings.database,
                user=settings.user,
                # Never None: then the driver would look for one in this process's own environment and files.
                password=self._password,
                ssl=settings.ssl,
                timeout=_CONNECT_SECONDS,
                command_timeout=settings.timeout_seconds + 5,
                server_settings={
                    "application_name": "leo-sync",
                    "default_transaction_read_only": "on",
                    "statement_timeout": milliseconds,
                },
            )
        return self._connection

    async def _columns(self, connection: asyncpg.Connection[asyncpg.Record]) -> _Columns:
        settings = self._settings
        rows = await connection.fetch(self._queries["column_types"], settings.relation)
        types = {row["name"]: row["type"] for row in rows}
        wanted = [settings.updated_column, settings.key_column, settings.deleted_column]
        missing = [name for name in wanted if name is not None and name not in types]
        if missing:
            raise _refused(
                settings, f"{settings.relation} has no column {', '.join(missing)}: correct its name"
            )
        columns = _Columns(types[settings.updated_column], types[settings.key_column])
        if not all(_PLAIN_TYPE.fullmatch(name) for name in (columns.updated, columns.key)):
            raise _refused(settings, "updated_column and key_column must be of plain types")
        return columns

    async def _begin(
        self, connection: asyncpg.Connection[asyncpg.Record], columns: _Columns, cursor: Mapping[str, Any]
    ) -> tuple[_Position, str]:
        """Where to go on, and the present time of the source.

        What the source had not finished when it was last asked is no older than the overlap before that.
        """
        position = _Position(cursor.get("updated"), cursor.get("key"))
        row = await connection.fetchrow(
            self._queries["settled"],
            position.updated if columns.is_time else None,
            cursor.get("asked_at"),
            self._settings.overlap_seconds,
        )
        assert row is not None, "one row is selected, whatever there is"
        if columns.is_time and position.updated is not None and not row["is_settled"]:
            position = _Position(row["earliest"], None)
        return position, row["present"]

    async def _rows(
        self,
        connection: asyncpg.Connection[asyncpg.Record],
        columns: _Columns,
        position: _Position,
        page_size: int,
    ) -> list[asyncpg.Record]:
        name = (
            "first_rows"
            if position.updated is None
            else "rows_after"
            if position.key is not None
            else "rows_from"
        )
        query = self._queries[name]
        replaced = {
            ":relation": self._settings.relation,
            ":updated_type": columns.updated,
            ":key_type": columns.key,
            ":updated": _quoted(self._settings.updated_column),
            ":key": _quoted(self._settings.key_column),
            ":not_ahead": "<= now() + interval '5 minutes'" if columns.is_time else "IS NOT NULL",
        }
        # In one pass: a name that looks like a mark stays a name.
        query = _MARK.sub(lambda mark: replaced[mark[0]], query)
        given = [each for each in (position.updated, position.key) if each is not None]
        return await connection.fetch(query, page_size, *given)

    def _page(
        self, rows: list[asyncpg.Record], columns: _Columns, position: _Position, asked_at: str
    ) -> Page:
        changes = [self._change(orjson.loads(row["document"])) for row in rows]
        cursor = {"updated": position.updated, "key": position.key, "asked_at": asked_at}
        return Page(tuple(changes), cursor, _moment(rows[-1]["updated"]) if columns.is_time else None)

    def _change(self, document: dict[str, Any]) -> Change:
        column = self._settings.deleted_column
        return Change(document, column is not None and says_deleted(document.get(column)))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _moment(text: str) -> datetime | None:
    """A time as PostgreSQL writes it; none where a calendar does not have it, such as infinity."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _refused(settings: PostgresSettings, what: str) -> SourceRefused:
    return SourceRefused(f"PostgreSQL at {settings.host}:{settings.port}: {what}")


def _meaning(error: Exception, settings: PostgresSettings) -> SourceAway | SourceRefused:
    """What an error is to the synchronisation. The server's own words are not passed on: they may quote a row."""
    for kinds, cure in _CURES:
        if isinstance(error, kinds):
            return _refused(settings, cure.format(settings=settings))
    what = "it can not be reached, or did not answer in time"
    if isinstance(error, asyncpg.QueryCanceledError):
        what = (
            f"a page took longer than {settings.timeout_seconds:g} s: is there an index on"
            f" ({settings.updated_column}, {settings.key_column})?"
        )
    elif isinstance(error, asyncpg.PostgresError) and not isinstance(error, _OUTAGES):
        return _refused(settings, f"it refuses the query (SQLSTATE {error.sqlstate})")
    return SourceAway(f"PostgreSQL at {settings.host}:{settings.port}: {what}")


_OUTAGES: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.ObjectNotInPrerequisiteStateError,
)
_CURES: Final[tuple[tuple[type[Exception], str], ...]] = (
    (
        asyncpg.InvalidAuthorizationSpecificationError,
        "it does not accept {settings.user} and the password: correct them",
    ),
    (asyncpg.InvalidCatalogNameError, "there is no database {settings.database}: correct database"),
    (asyncpg.UndefinedTableError, "there is no {settings.relation}: correct table, or schema"),
    (asyncpg.InvalidSchemaNameError, "there is no {settings.relation}: correct schema"),
    (asyncpg.UndefinedColumnError, "{settings.relation} has not the columns that are named: correct them"),
    (asyncpg.InsufficientPrivilegeError, "{settings.user} may not read {settings.relation}: grant it SELECT"),
)
