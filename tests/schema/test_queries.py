"""Every named query of `db/queries` is understood by the database, and its role has the rights that it takes."""

from __future__ import annotations

import asyncpg
import pytest

from server.embedded.database_setup import DatabaseUrls
from server.platform.queries import QUERIES_DIRECTORY, Queries, Query

# Files that no server and no worker runs: they set databases up.
_SETUP_FILES = {"embedded", "migrations"}
# Asked of databases of others, which have other tables.
_ELSEWHERE = {"sync_postgres"}
_FILES = sorted(path.stem for path in QUERIES_DIRECTORY.glob("*.sql"))
_PLANNED = ("select", "insert", "update", "delete", "with")


@pytest.mark.parametrize("name", [name for name in _FILES if name not in _SETUP_FILES | _ELSEWHERE])
async def test_a_serving_role_can_plan_every_query(name: str, database: DatabaseUrls) -> None:
    urls = [database.admin_url] if name == "tenancy" else [database.app_url, database.worker_url]
    connections = [await asyncpg.connect(url) for url in urls]
    try:
        for query in Queries.load(name).described():
            refusals = [await _refusal(connection, query) for connection in connections]
            assert None in refusals, f"{name}.{query.name}: {refusals}"
    finally:
        for connection in connections:
            await connection.close()


async def _refusal(connection: asyncpg.Connection[asyncpg.Record], query: Query) -> str | None:
    """Why the role can not run the query; None when it can. A generic plan needs no values, and checks rights."""
    try:
        await connection.prepare(query.sql)
        if query.sql.lower().startswith(_PLANNED):
            await connection.execute(f"explain (generic_plan) {query.sql}")
    except asyncpg.PostgresError as error:
        return str(error)
    return None
