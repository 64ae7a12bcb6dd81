"""The closure and the SQL of a condition agree, for any tree and any profile, as the servers' role.

`LEO_CONDITION_EXAMPLES` makes it search longer, with fresh examples each time.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
from tests.conditions.grid import every_leaf_of_json, every_leaf_of_windows, one_of_each
from tests.conditions.strategies import AT, INSTANTS, Person, markets, people, trees
from tests.fixtures.tenants import Tenant

EXAMPLES = int(os.environ.get("LEO_CONDITION_EXAMPLES", "250"))
LEAST_PAIRS = 2_000
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

Market = dict[str, tuple[int, Any]]
_OTHER_MARKET: Market = {"AAA": (1, None), "CCC": (2_000_000_000, None)}


class World:
    """Two tenants with the same profile ids; the second must never be seen."""

    def __init__(self, connection: asyncpg.Connection, tenants: tuple[UUID, UUID]) -> None:
        self.connection = connection
        self.tenants = tenants
        self.pairs = self.true = 0

    async def compare(
        self, crowd: list[Person], others: list[Person], market: Market, trees_: list[Any]
    ) -> None:
        transaction = self.connection.transaction()
        await transaction.start()
        try:
            await self._populate(self.tenants[1], others, _OTHER_MARKET)
            await self._populate(self.tenants[0], crowd, market)
            for tree in trees_:
                await self._agree(parse(tree), crowd, market)
        finally:
            await transaction.rollback()

    async def _populate(self, tenant: UUID, crowd: list[Person], market: Market) -> None:
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

    async def _agree(self, condition: Condition, crowd: list[Person], market: Market) -> None:
        fragment = compile_sql(condition, at=AT, first_parameter=2)
        rows = await self.connection.fetch(
            f"select p.profile_id, ({fragment.text}) as holds, ({fragment.text}) is null as is_null"
            " from cdp_profiles p where p.tenant_id = $1",
            self.tenants[0],
            *fragment.parameters,
        )
        stored = {row["symbol"]: row for row in await self.connection.fetch("select * from market_snapshot")}
        in_sql = {row["profile_id"]: row["holds"] for row in rows}
        predicate, explainer = compile_predicate(condition), compile_explainer(condition)
        facts = {f"p{n}": _facts(n, person, stored, condition) for n, person in enumerate(crowd)}
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


def _facts(number: int, person: Person, market: Any, condition: Condition) -> Facts:
    row = {**_row(number, person), **person.columns}
    events = [PastEvent(*event) for event in person.events]
    return Facts(
        occurred_at=AT,
        profile=row,
        market=market,
        aggregates=measure(condition.aggregates, events, AT),
    )


@pytest.fixture
def world(
    database: DatabaseUrls, tenant_a: Tenant, tenant_b: Tenant
) -> Iterator[tuple[asyncio.Runner, World]]:
    with asyncio.Runner() as runner:
        connection = runner.run(_connect(database))
        yield runner, World(connection, (UUID(int=tenant_a.int), UUID(int=tenant_b.int)))
        runner.run(connection.close())


async def _connect(database: DatabaseUrls) -> asyncpg.Connection:
    owner = await asyncpg.connect(database.owner_url)
    for month in {instant.date().replace(day=1) for instant in INSTANTS}:
        await owner.execute("select ensure_month($1)", month)
    await owner.close()
    connection = await asyncpg.connect(database.app_url, server_settings={"timezone": "America/New_York"})
    assert await connection.fetchval("select current_user") == "leo_app"
    return connection


def test_closure_and_sql_agree(world: tuple[asyncio.Runner, World]) -> None:
    runner, compared = world

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize="LEO_CONDITION_EXAMPLES" not in os.environ,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(
        st.lists(people, min_size=3, max_size=6),
        st.lists(people, max_size=3),
        markets,
        st.lists(trees(), min_size=3, max_size=4),
    )
    def agree(crowd: list[Person], others: list[Person], market: Market, documents: list[Any]) -> None:
        runner.run(compared.compare(crowd, others, market, documents))

    agree()
    print(f"{compared.pairs} pairs of condition and profile, {compared.true} of them true")
    assert compared.pairs >= LEAST_PAIRS
    assert 0.1 < compared.true / compared.pairs < 0.9


def test_every_operator_agrees_on_every_kind_of_value(world: tuple[asyncio.Runner, World]) -> None:
    runner, compared = world
    leaves = [*every_leaf_of_json("profile.a"), *every_leaf_of_windows()]
    negated = [{"not": leaf} for leaf in leaves[::7]]
    runner.run(compared.compare(one_of_each(), [], {}, [*leaves, *negated]))
    assert compared.pairs > 50_000
