"""Rate limits and circuits: their laws, and that Redis keeps to the same ones."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from server.dispatch.channels.channel import RateLimit
from server.dispatch.limits.rules import Admission, CircuitPolicy, Held, Pace, RouteState, admit, report
from server.platform.redis import RedisPool, Scripts

POLICY = CircuitPolicy(failures=3, open_for=1_000, probe_for=400)
PACE = Pace(interval=100, burst=5)
_paces = st.builds(Pace, interval=st.integers(1, 500), burst=st.integers(1, 20))
_moments = st.lists(st.tuples(st.integers(0, 3_000), st.integers(1, 30)), min_size=1, max_size=40)


def _ask(
    state: RouteState, now: int, wanted: int = 1, *, pace: Pace = PACE, version: int = 1
) -> tuple[RouteState, Admission]:
    return admit(state, now=now, version=version, wanted=wanted, pace=pace, policy=POLICY)


def _tell(state: RouteState, now: int, *, ok: bool = False, failed: int = 0, pause: int = 0) -> RouteState:
    return report(state, now=now, succeeded=ok, failed=failed, pause=pause, policy=POLICY)


def _open(now: int = 0) -> RouteState:
    return _tell(_ask(RouteState(), now)[0], now, failed=POLICY.failures)


@given(pace=_paces, steps=_moments)
def test_in_no_span_more_pass_than_the_rate_and_a_burst(pace: Pace, steps: list[tuple[int, int]]) -> None:
    state, now, passed = RouteState(), 10_000, []
    for pause, wanted in steps:
        now += pause
        state, admission = _ask(state, now, wanted, pace=pace)
        passed += [now] * admission.granted
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            span = passed[last] - passed[first]
            assert last - first + 1 <= pace.burst + span / pace.interval


@given(pace=_paces, steps=_moments)
def test_whoever_is_held_back_comes_again_in_turn_and_not_together(
    pace: Pace, steps: list[tuple[int, int]]
) -> None:
    state, now, last = RouteState(), 10_000, 0
    for pause, wanted in steps:
        now += pause
        state, admission = _ask(state, now, wanted, pace=pace)
        held = wanted - admission.granted
        assert (admission.reason is None) == (held == 0)
        if held:
            assert admission.first_at > now or pace.burst == 1
            assert admission.first_at >= last
            last = admission.first_at + held * pace.interval


@given(pace=_paces)
def test_after_a_rest_a_whole_burst_passes(pace: Pace) -> None:
    state, _ = _ask(RouteState(), 10_000, 1_000, pace=pace)
    rested = 10_000 + pace.interval * (pace.burst + 1_000)
    _, admission = _ask(state, rested, pace.burst, pace=pace)
    assert admission.granted == pace.burst


@given(
    limit=st.builds(RateLimit, per_second=st.floats(0.001, 100_000), burst=st.integers(1, 1000)),
    fleet=st.integers(1, 50),
)
def test_the_parts_of_a_limit_make_no_more_than_the_limit(limit: RateLimit, fleet: int) -> None:
    part = Pace.of(limit, shared_by=fleet)
    assert fleet * 1_000_000 / part.interval <= limit.per_second * (1 + 1e-9)
    assert part.burst * fleet <= max(limit.burst, fleet)


def test_a_circuit_opens_after_so_many_failures_in_a_row_and_not_before() -> None:
    state = _tell(RouteState(version=1), 0, failed=2)
    state = _tell(state, 0, ok=True, failed=2)
    assert _ask(state, 0)[1].granted == 1
    state = _tell(state, 0, failed=1)
    assert _ask(state, 1, 7)[1] == Admission(0, Held.CIRCUIT_OPEN, 1_000, 0, True)


def test_an_open_circuit_lets_one_probe_through_and_its_success_closes_it() -> None:
    state, admission = _ask(_open(), 1_000, 9)
    assert (admission.granted, admission.reason, admission.first_at) == (1, Held.CIRCUIT_OPEN, 1_400)
    state, admission = _ask(state, 1_001, 9)
    assert (admission.granted, admission.reason) == (0, Held.CIRCUIT_OPEN)
    state = _tell(state, 1_002, ok=True)
    assert _ask(state, 1_003)[1] == Admission(1, None, 0, 0, False)


def test_whoever_waits_for_a_slow_probe_looks_again_after_a_second() -> None:
    patient = replace(POLICY, probe_for=30_000_000)
    state, first = admit(_open(), now=1_000, version=1, wanted=2, pace=PACE, policy=patient)
    _, then = admit(state, now=500_000, version=1, wanted=1, pace=PACE, policy=patient)
    assert (first.granted, first.first_at) == (1, 1_001_000)
    assert (then.granted, then.first_at) == (0, 1_500_000)


def test_a_failed_probe_opens_it_for_twice_as_long_and_a_lost_one_is_replaced() -> None:
    state, _ = _ask(_open(), 1_000)
    failed = _tell(state, 1_100, failed=1)
    assert failed.open_until == 1_100 + 2_000
    state, admission = _ask(state, 1_400)
    assert admission.granted == 1


def test_late_answers_leave_an_open_circuit_as_it_is() -> None:
    state = _open()
    assert _tell(state, 500, ok=True) == state
    assert _tell(state, 500, failed=50) == state


def test_another_account_closes_the_circuit_at_once() -> None:
    assert _ask(_open(), 1, version=2)[1].granted == 1


def test_the_wish_of_the_provider_holds_for_everybody() -> None:
    state = _tell(RouteState(), 0, pause=5_000)
    state, admission = _ask(state, 10, 3)
    assert (admission.granted, admission.reason) == (0, Held.PROVIDER_ASKED_TO_WAIT)
    assert admission.first_at == 5_000
    assert _ask(state, 5_000)[1].granted == 1


@dataclass
class _Twin:
    """The same account in Redis and in Python."""

    redis: RedisPool
    key: str
    state: RouteState = field(default_factory=RouteState)

    async def admit(self, version: int, wanted: int, pace: Pace) -> None:
        script = Scripts.load("dispatch/limits")["admit"]
        arguments = (version, wanted, pace.interval, pace.burst, POLICY.probe_for)
        now, *answer = await self.redis.run(script, keys=[self.key], arguments=arguments)
        self.state, expected = admit(
            self.state, now=now, version=version, wanted=wanted, pace=pace, policy=POLICY
        )
        reason = (expected.reason or "").encode()
        assert answer == [
            expected.granted,
            reason,
            expected.first_at,
            expected.interval,
            int(expected.troubled),
        ]

    async def report(self, ok: bool, failed: int, pause: int) -> None:
        script = Scripts.load("dispatch/limits")["report"]
        arguments = (int(ok), failed, pause, POLICY.failures, POLICY.open_for)
        now, before, after = await self.redis.run(script, keys=[self.key], arguments=arguments)
        assert before == self.state.open_until
        self.state = _tell(self.state, now, ok=ok, failed=failed, pause=pause)
        assert after == self.state.open_until

    async def stored(self) -> RouteState:
        flat = await self.redis.command("HGETALL", self.key)
        fields = dict(zip(flat[::2], flat[1::2], strict=True)) if isinstance(flat, list) else flat
        return RouteState(**{name.decode(): int(value) for name, value in fields.items()})


_calls = st.lists(
    st.one_of(
        st.tuples(st.just("admit"), st.integers(1, 3), st.integers(1, 12), _paces),
        st.tuples(st.just("report"), st.booleans(), st.integers(0, 4), st.sampled_from([0, 0, 0, 700])),
    ),
    min_size=1,
    max_size=25,
)


async def test_redis_computes_the_same(redis: RedisPool) -> None:
    """Real time passes between the calls: intervals are as short as a round trip."""
    runs: list[list[Any]] = []

    @settings(max_examples=60, database=None)
    @given(calls=_calls)
    def draw(calls: list[Any]) -> None:
        runs.append(calls)

    draw()
    for calls in runs:
        twin = _Twin(redis, f"leo:route:{uuid4()}")
        for name, *arguments in calls:
            await getattr(twin, name)(*arguments)
        stored = await twin.stored()
        assert replace(stored, version=twin.state.version) == twin.state
        assert 0 < await redis.command("PTTL", twin.key) < 2 * 3_600_000
