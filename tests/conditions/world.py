"""Rules held against profiles in both worlds: the closure on what a server would load, and the SQL."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from server.conditions import (
    Condition,
    Facts,
    PastEvent,
    compile_explainer,
    compile_predicate,
    compile_sql,
    measure,
    parse,
)
from server.embedded.database_setup import DatabaseUrls
from tests.conditions.strategies import AT, INSTANTS, Person

JSON_COLUMNS = frozenset(
    {
        "identities",
        "job_titles",
        "interests",
        "data_labels",
        "segments",
        "portfolio_snapshot",
        "raw_attributes",
    }
)
# For each symbol the price in 1e-9 units, and the change.
Market = dict[str, tuple[int, Any]]
_OTHER_MARKET: Market = {"AAA": (1, None), "CCC": (2_000_000_000, None)}


class World:
    """Two tenants with the same profile ids; the second must never be seen.

    `pairs` counts the pairs of condition and profile that were compared so far, `true` those that held.
    """

    def __init__(self, connection: asyncpg.Connection, tenants: tuple[UUID, UUID]) -> None:
        self.connection = connection
        self.tenants = tenants
        self.pairs = self.true = 0

    async def compare(
        self, crowd: Sequence[Person], others: Sequence[Person], market: Market, trees: Sequence[Any]
    ) -> None:
        """Fails where closure and SQL disagree about a tree and a person; leaves nothing behind.

        Args:
            others: profiles of the other tenant.
        """
        transaction = self.connection.transaction()
        await transaction.start()
        try:
            await self._populate(self.tenants[1], others, _OTHER_MARKET)
            await self._populate(self.tenants[0], crowd, market)
            loaded = await self._load()
            for tree in trees:
                await self._agree(parse(tree), *loaded)
        finally:
            await transaction.rollback()

    async def _populate(self, tenant: UUID, crowd: Sequence[Person], market: Market) -> None:
        await self.connection.execute("select set_config('app.current_tenant_id', $1, true)", str(tenant))
        for number, person in enumerate(crowd):
            row = {"tenant_id": tenant, **_row(number, person)}
            marks = ", ".join(f"${index}" for index in range(1, len(row) + 1))
            await self.connection.execute(
                f"insert into cdp_profiles ({', '.join(row)}) values ({marks})", *row.values()
            )
        await self.connection.executemany(
            "insert into behavioral_events (tenant_id, event_key, source_event_id, profile_id, event_type,"
            " occurred_at, attributes) values ($1, $2, $2, $3, $4, $5, $6)",
            [
                (tenant, f"{number}-{index}", f"p{number}", event_type, at, json.dumps(attributes))
                for number, person in enumerate(crowd)
                for index, (event_type, at, attributes) in enumerate(person.events)
            ],
        )
        await self.connection.executemany(
            "insert into market_snapshot (tenant_id, symbol, price_nanos, change_percent)"
            " values ($1, $2, $3, $4)",
            [(tenant, symbol, nanos, change) for symbol, (nanos, change) in market.items()],
        )

    async def _load(self) -> tuple[dict[str, Any], dict[str, list[PastEvent]], dict[str, Any]]:
        """What a server would know: rows as they are stored, JSON as its reader decodes it."""
        profiles = {
            row["profile_id"]: {
                name: orjson.loads(value) if name in JSON_COLUMNS else value for name, value in row.items()
            }
            for row in await self.connection.fetch("select * from cdp_profiles")
        }
        events: dict[str, list[PastEvent]] = defaultdict(list)
        for row in await self.connection.fetch("select * from behavioral_events"):
            past = PastEvent(row["event_type"], row["occurred_at"], orjson.loads(row["attributes"]))
            events[row["profile_id"]].append(past)
        market = {row["symbol"]: row for row in await self.connection.fetch("select * from market_snapshot")}
        return profiles, events, market

    async def _agree(
        self,
        condition: Condition,
        profiles: dict[str, Any],
        events: dict[str, list[PastEvent]],
        market: dict[str, Any],
    ) -> None:
        fragment = compile_sql(condition, at=AT, first_parameter=2)
        rows = await self.connection.fetch(
            f"select p.profile_id, ({fragment.text}) as holds from cdp_profiles p where p.tenant_id = $1",
            self.tenants[0],
            *fragment.parameters,
        )
        in_sql = {row["profile_id"]: row["holds"] for row in rows}
        predicate, explainer = compile_predicate(condition), compile_explainer(condition)
        facts = {
            profile_id: Facts(
                occurred_at=AT,
                profile=profile,
                market=market,
                aggregates=measure(condition.aggregates, events[profile_id], AT),
            )
            for profile_id, profile in profiles.items()
        }
        in_python = {profile_id: predicate(known) for profile_id, known in facts.items()}
        assert in_python == in_sql, (condition.canonical(), fragment)
        assert in_python == {profile_id: explainer(known)[0] for profile_id, known in facts.items()}
        self.pairs += len(in_python)
        self.true += sum(in_python.values())


def _row(number: int, person: Person) -> dict[str, Any]:
    columns = {
        name: json.dumps(value) if name in JSON_COLUMNS else value for name, value in person.columns.items()
    }
    return {"profile_id": f"p{number}", "ext_id": f"a{number}" if number % 2 else None, **columns}


async def connect(database: DatabaseUrls) -> asyncpg.Connection:
    """The servers' role, in a zone that no test may depend on, with all months that the events need."""
    owner = await asyncpg.connect(database.owner_url)
    for month in {instant.date().replace(day=1) for instant in INSTANTS}:
        await owner.execute("select ensure_month($1)", month)
    await owner.close()
    connection = await asyncpg.connect(database.app_url, server_settings={"timezone": "America/New_York"})
    assert await connection.fetchval("select current_user") == "leo_app"
    return connection


Running = tuple[asyncio.Runner, World]
