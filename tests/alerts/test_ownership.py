"""What an owner remembers, what it notices, and what stops one that is an owner no longer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import asyncpg
from leo.activation.v1 import alert_service_pb2 as wire
from leo_client import LeoApiError, LeoClient

from server.config import ServerSettings
from server.embedded.database_setup import DatabaseUrls
from server.main import running_server as serve
from tests.alerts.conftest import SCOPES, Caller, add_instruments, rule, ticks
from tests.fixtures.erasing import erase
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor
from tests.workers.conftest import until

_PUT = """
    insert into alert_rules (tenant_id, rule_id, profile_id, symbol, own_instrument, condition_logic, source)
    values ($1, $2, 'ann', 'AAPL', true, '{"operator": "above", "direction": "up", "price_nanos": 150000000000}',
        'USER_MANUAL')
"""


@asynccontextmanager
async def serving(settings: ServerSettings, token: str) -> AsyncIterator[Caller]:
    """A caller of a server that runs as long as the block."""
    async with serve(settings) as address, LeoClient(address, token=token) as client:
        yield Caller(client)


async def test_a_crossing_during_a_restart_fires_at_the_first_tick_after_it(
    settings: ServerSettings, database: DatabaseUrls, tenant_a: Tenant, token_for: TokenFor
) -> None:
    await add_instruments(database, ["AAPL"], tenant_a)
    token = token_for(tenant_a, SCOPES)
    async with serving(settings, token) as caller:
        (rule_id,) = await caller.arm(rule("up", 150))
        await caller.tick(ticks(149, 150))
    async with serving(settings, token) as caller:
        (firing,) = (await caller.tick(ticks(152, start=5))).firings
    assert (firing.rule_id, firing.previous_price_nanos) == (rule_id, 150_000_000_000)


async def test_a_rule_whose_transaction_ends_late_is_not_overlooked(
    ann: Caller, app: asyncpg.Connection, tenant_a: Tenant
) -> None:
    """Its number is lower than those of transactions that the owner has seen meanwhile."""
    transaction = app.transaction()
    await transaction.start()
    await app.execute("select set_config('app.current_tenant_id', $1, true)", str(tenant_a))
    await app.execute(_PUT, tenant_a, "cd" * 32)
    await ann.arm(rule("<", 1))
    assert (await ann.tick(ticks(160))).fired_count == 0
    assert (await ann.tick(ticks(170, start=1))).fired_count == 0
    await transaction.commit()
    (firing,) = (await ann.tick(ticks(151, start=2))).firings
    assert firing.rule_id == "cd" * 32


async def test_rules_of_an_erased_profile_do_not_fire(
    ann: Caller, app: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await ann.arm(rule(">", 150))
    async with app.transaction():
        await app.execute("select set_config('app.current_tenant_id', $1, true)", str(tenant_a))
        await app.execute(
            "insert into cdp_profiles (tenant_id, profile_id) values ($1, 'ann') on conflict do nothing",
            tenant_a,
        )
        await erase(app, "ann")
    assert (await ann.tick(ticks(151))).fired_count == 0
    assert [r.status for r in await ann.rules()] == [wire.ALERT_RULE_STATUS_DISABLED]


async def test_an_owner_that_was_replaced_writes_nothing_and_reads_everything_again(
    ann: Caller, app: asyncpg.Connection, proof: asyncpg.Connection
) -> None:
    """A successor took the shards and another price came; this process has not noticed."""
    (rule_id,) = await ann.arm(rule("down", 150))
    await ann.tick(ticks(100))
    shards = list(range(64))
    await app.fetch("select * from claim_market_shards($1, nextval('alert_shard_epoch'))", shards)
    await proof.execute("update market_snapshot set price_nanos = 200000000000")
    refusals: list[str] = []
    answers: list[wire.TickBatchResult] = []

    async def answered() -> bool:
        try:
            answers.append(await ann.tick(ticks(149, start=1)))
        except LeoApiError as error:
            refusals.append(error.reason)
        return bool(answers)

    await until(answered)
    assert set(refusals) == {"SHARD_CHANGING_HANDS"}
    assert [(f.rule_id, f.previous_price_nanos) for f in answers[0].firings] == [(rule_id, 200_000_000_000)]
    assert await proof.fetchval("select count(*) from agent_task where agent_name = 'alerts'") == 1


async def test_an_instrument_that_ends_takes_no_ticks_and_one_that_begins_again_does(
    ann: Caller, proof: asyncpg.Connection
) -> None:
    """Its owner sees it without a tick of another one, also when instruments change again and again."""
    assert (await ann.tick(ticks(1))).accepted_count == 1
    for number, (status, accepted) in enumerate((("inactive", 0), ("active", 1), ("inactive", 0)), start=1):
        await proof.execute("update instruments set status = $1 where symbol = 'AAPL'", status)
        moments = iter(range(number * 10_000, (number + 1) * 10_000))

        async def it_is_seen(moments: Iterator[int] = moments, accepted: int = accepted) -> bool:
            return (await ann.tick(ticks(1, start=next(moments)))).accepted_count == accepted

        await until(it_is_seen)
