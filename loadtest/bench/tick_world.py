"""A server with many rules on many symbols, and the load that meets it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import asyncpg

from loadtest.bench.driving import NotReconciled, drive
from loadtest.bench.processes import memory_of, peak_memory_of
from loadtest.bench.stage import Server, Stage
from loadtest.bench.tick_feed import IDLE_PRICE, NANOS, Progress
from loadtest.bench.world import World, fill, tenant_client
from server.embedded.database_setup import DatabaseUrls

_PROFILES = 1_000
_INSTRUMENTS = """
insert into instruments (tenant_id, symbol, instrument_name, type)
select tenant_id, 'S' || lpad(n::text, 5, '0'), 'Share ' || n, 'STOCK'
from tenant, generate_series(0, $1 - 1) n
where keycloak_client_id = 'bench-0'
"""
_RULES = """
insert into alert_rules (tenant_id, rule_id, profile_id, symbol, condition_logic, source, own_instrument)
select
    tenant_id, leo_key_id('bench rule', tenant_id, n::text), 'p' || lpad((n % $2)::text, 9, '0'),
    'S' || lpad((n % $3)::text, 5, '0'),
    jsonb_build_object('operator', 'above', 'direction', 'up', 'price_nanos', ($4 + 1 + n / $3) * $5::bigint),
    'USER_MANUAL', true
from tenant, generate_series(0, $1 - 1) n
where keycloak_client_id = 'bench-0'
"""
_STORED = """
select
    (select count(*) from alert_rules where status = 'TRIGGERED') as triggered,
    (select count(*) from agent_task where agent_name = 'alerts' and event_type = 'alert.fired') as alerts,
    (select count(*) from market_snapshot) as prices
"""


@dataclass(slots=True)
class Market:
    """A server that evaluates ticks, and what it was told so far.

    Args:
        start_seconds: from the start of its process until it had evaluated a tick of every symbol.
        memory_mb: what it held then; `peak_mb`: the most that it held until then.
    """

    stage: Stage
    server: Server
    symbols: int
    start_seconds: float = 0.0
    memory_mb: float = 0.0
    peak_mb: float = 0.0
    fired: int = 0
    progress: Progress = field(default_factory=Progress.beginning)

    async def load(self, kind: str, **job: Any) -> dict[str, Any]:
        """Run a load of `loadtest.bench.tick_client`; its report, with the CPU seconds that it took.

        Raises:
            NotReconciled: a tick was refused.
        """
        before = self.stage.consumption(self.server)
        token = self.stage.token(tenant_client(0), ("alerts.write",))
        report: dict[str, Any] = await drive(
            {
                "kind": kind,
                "address": self.server.address,
                "token": token,
                "symbols": self.symbols,
                "progress": asdict(self.progress),
                **job,
            },
            module="loadtest.bench.tick_client",
        )
        self.progress = Progress(**report.pop("progress"))
        self.fired += int(report["fired"])
        used = self.stage.consumption(self.server).since(before)
        return report | {f"{name}_cpu_s": seconds for name, seconds in used.items()}

    async def reconcile(self) -> None:
        """Each firing that was acknowledged has its rule, its alert; each symbol its price.

        Raises:
            NotReconciled: not so.
        """
        proof = await asyncpg.connect(self.server.database.proof_url)
        stored = dict(await proof.fetchrow(_STORED))
        await proof.close()
        if tuple(stored.values()) != (self.fired, self.fired, self.symbols):
            raise NotReconciled(
                f"{self.fired} firings of {self.symbols} symbols were acknowledged, but {stored}"
            )


@asynccontextmanager
async def market(stage: Stage, *, rules: int, symbols: int) -> AsyncIterator[Market]:
    """A server over a fresh database with so many rules, once it evaluates."""
    async with stage.database() as database:
        await fill(database, World(1, _PROFILES), definitions=False)
        await put_rules(database, rules=rules, symbols=symbols)
        await stage.settle()
        begin = time.perf_counter()
        async with stage.server(database) as server:
            open_market = Market(stage, server, symbols)
            await open_market.load("first")
            open_market.start_seconds = time.perf_counter() - begin
            open_market.memory_mb = memory_of(server.process.pid)
            open_market.peak_mb = peak_memory_of(server.process.pid)
            yield open_market


def expected_firings(accepted: float, crossing_share: float) -> int:
    """How many of so many ticks of a stream crossed."""
    return int(accepted * crossing_share + 1e-9)


async def put_rules(database: DatabaseUrls, *, rules: int, symbols: int) -> None:
    """Put instruments, and rules on them, into a database that has a tenant."""
    proof = await asyncpg.connect(database.proof_url)
    await proof.execute(_INSTRUMENTS, symbols)
    await proof.execute(_RULES, rules, _PROFILES, symbols, IDLE_PRICE, NANOS)
    await proof.close()
