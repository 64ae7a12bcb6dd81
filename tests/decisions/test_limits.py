"""Cooldowns and caps: one behavioural suite for the rule in Python and the rule in Redis."""

from __future__ import annotations

from itertools import count
from typing import Protocol
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.decisions.limits import Holder, hold_request, reserve_in_order
from server.decisions.model import ANY, Limit, LimitKind, Rule, Screened, Verdict, Window
from server.decisions.reservation import RedisReservations, ReservationRequest, ReservationSettings
from server.platform.redis import RedisPool

EPOCH = 7
LONGEST = 100
_TENANTS = count(1)

windows = st.integers(min_value=1, max_value=LONGEST)
limits = st.lists(
    st.builds(
        Limit,
        kind=st.sampled_from(LimitKind),
        window_us=windows,
        maximum=st.integers(min_value=1, max_value=3),
        campaign=st.sampled_from([ANY, "campaign-0000001", "campaign-0000002"]),
        channel=st.sampled_from([ANY, "channel-00000001", "channel-00000002"]),
    ),
    max_size=3,
)
candidates = st.lists(
    st.tuples(
        limits,
        st.sampled_from(["campaign-0000001", "campaign-0000002"]),
        st.sampled_from(["channel-00000001", "channel-00000002"]),
    ),
    min_size=1,
    max_size=3,
)
events = st.lists(st.tuples(st.integers(min_value=0, max_value=400), candidates), min_size=1, max_size=12)


class Reserver(Protocol):
    """What both worlds can do."""

    async def reserve(self, at: int, task_id: str, asked: list[Screened]) -> dict[str, Verdict]:
        """Verdicts by marketing event; what is held counts from then on."""
        ...


class InPython:
    """The rule as PostgreSQL's holders are judged."""

    def __init__(self) -> None:
        self._holders: list[Holder] = []

    async def reserve(self, at: int, task_id: str, asked: list[Screened]) -> dict[str, Verdict]:
        """Judge and remember."""
        verdicts = reserve_in_order(asked, at, task_id, self._holders)
        for candidate in asked:
            if verdicts.get(candidate.rule.marketing_event_id) is Verdict.HELD:
                campaign, channel = candidate.rule.campaign_id, candidate.channels[0]
                self._holders.append(Holder(at, task_id, campaign, "event-0000000001", channel))
        return verdicts


class InRedis:
    """The rule as Redis judges."""

    def __init__(self, redis: RedisPool) -> None:
        self._reservations = RedisReservations(redis, ReservationSettings(lateness_us=10_000))
        self._tenant_id = UUID(int=next(_TENANTS))
        self._warm = False

    async def reserve(self, at: int, task_id: str, asked: list[Screened]) -> dict[str, Verdict]:
        """Judge and remember."""
        if not self._warm:
            await self._reservations.begin_epoch(EPOCH)
            await self._reservations.warm(EPOCH, [(self._tenant_id, "ann", -2 * LONGEST, [])])
            self._warm = True
        request = ReservationRequest(self._tenant_id, "ann", task_id, at, LONGEST, asked)
        (answer,) = await self._reservations.reserve(EPOCH, [request])
        assert isinstance(answer, dict)
        return answer


def screened(position: int, rule_limits: list[Limit], campaign: str, channel: str) -> Screened:
    """A candidate that took every other hurdle."""
    always = Window(None, None)
    rule = Rule(
        marketing_event_id=f"event-{position}",
        campaign_id=campaign,
        event_name="any",
        trigger_event_type=None,
        priority=0,
        channels=(channel,),
        active=True,
        campaign_window=always,
        event_window=always,
        audience=None,
        condition=None,
        audience_name="",
        audience_version="",
        condition_tree=None,
        audience_tree=None,
        explain=None,
        limits={channel: tuple(rule_limits)},
        scopes={channel: f"{campaign}event-0000000001{channel}"},
        holds={channel: hold_request(campaign, "event-0000000001", channel, rule_limits)},
        quiet_hours=None,
        views={},
        fragments={},
    )
    return Screened(rule, None, (channel,))


@pytest.fixture
async def reservations(redis: RedisPool) -> RedisPool:
    """Redis, shared by all examples of a property; each example has a tenant of its own."""
    return redis


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stream=events)
async def test_python_and_redis_judge_alike(
    reservations: RedisPool, stream: list[tuple[int, list[tuple[list[Limit], str, str]]]]
) -> None:
    worlds: list[Reserver] = [InPython(), InRedis(reservations)]
    for at, asked in stream:
        task_id = uuid4().hex * 2
        candidates_asked = [screened(position, *given_one) for position, given_one in enumerate(asked)]
        python, redis = [await world.reserve(at, task_id, candidates_asked) for world in worlds]
        assert python == redis


@settings(max_examples=200, deadline=None)
@given(
    times=st.lists(st.integers(min_value=0, max_value=300), min_size=1, max_size=40),
    window=windows,
    maximum=st.integers(min_value=1, max_value=4),
)
async def test_no_window_ever_holds_more_than_the_maximum(
    times: list[int], window: int, maximum: int
) -> None:
    world = InPython()
    limit = Limit(LimitKind.CAP, window_us=window, maximum=maximum)
    candidate = screened(0, [limit], "campaign-0000001", "channel-00000001")
    sent = [
        at
        for at in times
        if (await world.reserve(at, uuid4().hex * 2, [candidate]))["event-0"] is Verdict.HELD
    ]
    for start in sent:
        assert sum(start <= at < start + window for at in sent) <= maximum


async def test_a_retry_of_the_same_decision_meets_no_hold_of_its_own(redis: RedisPool) -> None:
    limit = Limit(LimitKind.COOLDOWN, window_us=LONGEST, maximum=1)
    candidate = screened(0, [limit], "campaign-0000001", "channel-00000001")
    world = InRedis(redis)
    assert await world.reserve(10, "a" * 64, [candidate]) == {"event-0": Verdict.HELD}
    assert await world.reserve(10, "a" * 64, [candidate]) == {"event-0": Verdict.HELD}
    assert await world.reserve(20, "b" * 64, [candidate]) == {"event-0": Verdict.COOLDOWN}


async def test_a_released_hold_is_gone_and_a_confirmed_one_stays(redis: RedisPool) -> None:
    limit = Limit(LimitKind.COOLDOWN, window_us=LONGEST, maximum=1)
    candidate = screened(0, [limit], "campaign-0000001", "channel-00000001")
    reservations = RedisReservations(redis, ReservationSettings())
    tenant_id = uuid4()
    await reservations.begin_epoch(EPOCH)
    await reservations.warm(EPOCH, [(tenant_id, "ann", -LONGEST * 2, [])])

    def request(task: str, at: int) -> ReservationRequest:
        return ReservationRequest(tenant_id, "ann", task * 64, at, LONGEST, [candidate])

    first, second, third = request("a", 1), request("b", 2), request("c", 3)
    assert await reservations.reserve(EPOCH, [first]) == [{"event-0": Verdict.HELD}]
    await reservations.settle(EPOCH, [(first, None)])
    assert await reservations.reserve(EPOCH, [second]) == [{"event-0": Verdict.HELD}]
    await reservations.settle(EPOCH, [(second, candidate.rule.scopes["channel-00000001"])])
    assert await reservations.reserve(EPOCH, [third]) == [{"event-0": Verdict.COOLDOWN}]


async def test_tries_of_one_send_count_once_and_are_released_one_by_one(redis: RedisPool) -> None:
    limit = Limit(LimitKind.CAP, window_us=LONGEST, maximum=2)
    candidate = screened(0, [limit], "campaign-0000001", "channel-00000001")
    reservations = RedisReservations(redis, ReservationSettings())
    tenant_id = uuid4()
    await reservations.begin_epoch(EPOCH)
    await reservations.warm(EPOCH, [(tenant_id, "ann", -LONGEST * 2, [])])

    async def reserve(task: str, at: int) -> tuple[ReservationRequest, Verdict]:
        request = ReservationRequest(tenant_id, "ann", task * 64, at, LONGEST, [candidate])
        (answer,) = await reservations.reserve(EPOCH, [request])
        assert isinstance(answer, dict)
        return request, answer["event-0"]

    first, _ = await reserve("a", 1)
    second, verdict = await reserve("a", 1)
    assert verdict is Verdict.HELD
    assert (await reserve("b", 2))[1] is Verdict.HELD
    await reservations.settle(EPOCH, [(second, None)])
    assert (await reserve("c", 3))[1] is Verdict.CAPPED
    await reservations.settle(EPOCH, [(first, candidate.rule.scopes["channel-00000001"])])
    assert (await reserve("d", 4))[1] is Verdict.CAPPED
