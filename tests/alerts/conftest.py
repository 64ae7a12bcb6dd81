"""Alerts on a real server: rules and ticks in few words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from leo.activation.v1 import alert_service_pb2 as wire
from leo_client import LeoClient

from server.embedded.database_setup import DatabaseUrls
from tests.alerts.servers import Servers
from tests.fixtures.server import ClientFor
from tests.fixtures.tenants import Tenant

SCOPES = ("alerts.read", "alerts.write", "decisions.read", "decisions.write", "catalog.write")
NANOS = 1_000_000_000
START_US = 1_700_000_000_000_000

_OPERATORS = {
    ">": wire.AlertLogic(operator=wire.ALERT_OPERATOR_ABOVE),
    "<": wire.AlertLogic(operator=wire.ALERT_OPERATOR_BELOW),
    "up": wire.AlertLogic(operator=wire.ALERT_OPERATOR_CROSSES, direction=wire.ALERT_DIRECTION_UP),
    "down": wire.AlertLogic(operator=wire.ALERT_OPERATOR_CROSSES, direction=wire.ALERT_DIRECTION_DOWN),
}


def rule(
    kind: str, price: float, *, symbol: str = "AAPL", profile_id: str = "ann", note: str = ""
) -> wire.AlertRuleInput:
    """A rule: `rule(">", 150)`."""
    logic = wire.AlertLogic()
    logic.CopyFrom(_OPERATORS[kind])
    logic.price_nanos = round(price * NANOS)
    return wire.AlertRuleInput(
        profile_id=profile_id,
        symbol=symbol,
        logic=logic,
        source=wire.ALERT_SOURCE_USER_MANUAL,
        note=note,
    )


def ticks(*prices: float, symbol: str = "AAPL", start: int = 0, **fields: object) -> wire.TickBatch:
    """Prices of one symbol, a second apart from second `start` on."""
    batch = wire.TickBatch(
        symbols=[symbol],
        symbol_indices=[0] * len(prices),
        price_nanos=[round(price * NANOS) for price in prices],
        observed_at_us=[START_US + (start + place) * 1_000_000 for place in range(len(prices))],
    )
    batch.MergeFrom(wire.TickBatch(**fields))  # type: ignore[arg-type]
    return batch


@dataclass(slots=True)
class Caller:
    """A tenant's client, in the words of these tests."""

    client: LeoClient

    async def put(self, *rules: wire.AlertRuleInput) -> list[wire.PutAlertRuleResult]:
        """Answers of PutAlertRules."""
        return list((await self.client.alerts.PutAlertRules(wire.PutAlertRulesRequest(rules=rules))).results)

    async def arm(self, *rules: wire.AlertRuleInput) -> list[str]:
        """Ids of rules that must be accepted."""
        results = await self.put(*rules)
        assert all(result.HasField("put") for result in results), results
        return [result.put.rule_id for result in results]

    async def tick(self, batch: wire.TickBatch) -> wire.TickBatchResult:
        """Result of AlertEvaluate."""
        return (await self.client.alerts.AlertEvaluate(wire.AlertEvaluateRequest(batch=batch))).result

    async def rules(self, **filters: object) -> list[wire.AlertRule]:
        """The first page of ListAlertRules."""
        request = wire.ListAlertRulesRequest(**filters)  # type: ignore[arg-type]
        return list((await self.client.alerts.ListAlertRules(request)).rules)


async def add_instruments(
    database: DatabaseUrls, symbols: Sequence[str], owner: Tenant | None = None
) -> None:
    """Insert instruments; global ones without an owner."""
    async with _connection(database.proof_url) as connection:
        await connection.execute(
            "insert into instruments (tenant_id, symbol, instrument_name, type)"
            " select $1, symbol, symbol, 'STOCK' from unnest($2::text[]) as symbol",
            owner,
            list(symbols),
        )


@asynccontextmanager
async def _connection(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def ann(client_for: ClientFor, database: DatabaseUrls, tenant_a: Tenant) -> Caller:
    """A caller of tenant A, which has the instruments AAPL and GOOG of its own."""
    await add_instruments(database, ["AAPL", "GOOG"], tenant_a)
    return Caller(client_for(tenant_a, SCOPES))


@pytest.fixture
async def bob(client_for: ClientFor, tenant_b: Tenant) -> Caller:
    """A caller of tenant B."""
    return Caller(client_for(tenant_b, SCOPES))


@pytest.fixture
async def feed(client_for: ClientFor, database: DatabaseUrls, tenant_b: Tenant) -> Caller:
    """A caller that may bring ticks of the global instruments MSFT and IBM."""
    await add_instruments(database, ["MSFT", "IBM"])
    return Caller(client_for(tenant_b, (*SCOPES, "ticks.write")))


@pytest.fixture
def servers(
    database: DatabaseUrls, redis_url: str, jwks_path: Path, issuer: str, audience: str, tmp_path: Path
) -> Iterator[Servers]:
    """Starts `leo serve` processes on the test's own database and Redis."""
    fleet = Servers(
        environment={
            "LEO_DATABASE_URL": database.app_url,
            "LEO_REDIS_URL": redis_url,
            "LEO_AUTH_ISSUER": issuer,
            "LEO_AUTH_AUDIENCE": audience,
            "LEO_AUTH_JWKS": str(jwks_path),
            "LEO_LISTEN": "127.0.0.1:0",
            "LEO_DRAIN_SECONDS": "1",
        },
        directory=tmp_path,
    )
    yield fleet
    fleet.stop()
