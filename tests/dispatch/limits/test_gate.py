"""The gate over Redis: one limit for all processes, and a part of it for each while Redis is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY

from server.dispatch.channels.channel import RateLimit
from server.dispatch.limits.gate import ProviderGate
from server.dispatch.limits.rules import MICROSECONDS, CircuitPolicy, Held
from server.dispatch.limits.wishes import RouteKey, Wish
from server.embedded.redis_server import RedisServer
from server.platform.redis import RedisPool
from tests.fixtures.logs import LogReader

# Nothing comes back within a test.
SLOW = RateLimit(per_second=0.01, burst=10)
POLICY = CircuitPolicy(failures=3, open_for=60 * MICROSECONDS, probe_for=60 * MICROSECONDS)


def a_route(provider: str = "zalo_zns") -> RouteKey:
    """An account of a tenant of its own."""
    return RouteKey(uuid4(), "zalo", provider)


@pytest.fixture
async def gates(redis_url: str) -> AsyncIterator[list[ProviderGate]]:
    """Those of two processes: nothing in common but Redis."""
    pools = [await RedisPool.connect(redis_url, client_name=f"gate-{n}") for n in range(2)]
    yield [ProviderGate(redis=pool, policy=POLICY, worker=f"host:{n}") for n, pool in enumerate(pools)]
    for pool in pools:
        await pool.close()


async def granted(gate: ProviderGate, key: RouteKey, wanted: int, version: int = 1) -> int:
    """How many of the wanted may be sent."""
    [verdict] = await gate.admit([Wish(key, SLOW, version, wanted)])
    return verdict.granted


async def test_two_processes_share_one_limit_and_each_account_has_its_own(gates: list[ProviderGate]) -> None:
    one, other = a_route(), a_route()
    answers = await asyncio.gather(*(granted(gate, one, 3) for gate in gates * 5))
    assert sum(answers) == SLOW.burst
    assert await granted(gates[0], other, 99) == SLOW.burst


async def test_whoever_is_held_back_learns_when_to_come_again(gates: list[ProviderGate]) -> None:
    routes = [a_route() for _ in range(3)]
    await granted(gates[0], routes[0], 1)
    verdicts = await gates[0].admit([Wish(key, SLOW, 1, 12) for key in routes])
    assert [verdict.granted for verdict in verdicts] == [9, 10, 10]
    for verdict in verdicts:
        assert verdict.reason is Held.RATE_LIMITED
        assert 90 < verdict.first_wait <= 100
        assert verdict.wait(1) == pytest.approx(verdict.first_wait + 100)
        assert verdict.wait(1_000_000) == 3600


async def test_one_process_opens_a_circuit_and_the_other_heeds_it(
    gates: list[ProviderGate], logged: LogReader
) -> None:
    broken, healthy = a_route(), a_route()
    provider = broken.provider
    opened = _figure("leo_provider_circuits_open", provider=provider)
    assert await granted(gates[0], broken, POLICY.failures) == POLICY.failures
    for _ in range(POLICY.failures):
        gates[0].failed(broken)
    await gates[0].close()
    [verdict] = await gates[1].admit([Wish(broken, SLOW, 1, 4)])
    assert (verdict.granted, verdict.reason) == (0, Held.CIRCUIT_OPEN)
    assert 50 < verdict.first_wait <= 60
    assert await granted(gates[1], healthy, 4) == 4
    assert _figure("leo_provider_circuits_open", provider=provider) > opened
    assert _figure("leo_deliveries_held_total", provider=provider, reason="CIRCUIT_OPEN") >= 4
    assert '"circuit_opened"' in logged.text()
    # A corrected account is used at once.
    assert await granted(gates[1], broken, 4, version=2) == 4


async def test_a_success_between_failures_keeps_the_circuit_closed(gates: list[ProviderGate]) -> None:
    key, gate = a_route(), gates[0]
    assert await granted(gate, key, 1) == 1
    for _ in range(4):
        gate.failed(key)
        gate.failed(key)
        await gate.close()
        gate.passed(key)
        await gate.close()
    assert await granted(gate, key, 1) == 1


async def test_what_a_provider_asked_for_holds_in_every_process(gates: list[ProviderGate]) -> None:
    key = a_route()
    gates[0].asked_to_wait(key, 35.0)
    await gates[0].close()
    [verdict] = await gates[1].admit([Wish(key, SLOW, 1, 2)])
    assert (verdict.granted, verdict.reason) == (0, Held.PROVIDER_ASKED_TO_WAIT)
    assert 34 < verdict.first_wait <= 35


async def test_without_redis_each_process_keeps_to_its_part(
    own_redis: RedisServer, logged: LogReader
) -> None:
    pools = [await RedisPool.connect(own_redis.url, client_name=f"gate-{n}") for n in range(2)]
    gates = [ProviderGate(redis=pool, policy=POLICY, worker=f"host:{n}") for n, pool in enumerate(pools)]
    key = a_route()
    for gate in gates:
        await granted(gate, a_route(), 1)
    own_redis.stop()
    # The first one has not seen the second yet: that takes it five seconds.
    assert [await granted(gate, key, 99) for gate in gates] == [SLOW.burst, SLOW.burst // 2]
    for _ in range(POLICY.failures):
        gates[0].failed(key)
    await gates[0].close()
    [verdict] = await gates[0].admit([Wish(key, SLOW, 1, 1)])
    assert verdict.reason is Held.CIRCUIT_OPEN
    assert _figure("leo_provider_limits_local") == 1
    assert logged.text().count('"provider_limits_local"') == 2
    for pool in pools:
        await pool.close()


def _figure(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0
