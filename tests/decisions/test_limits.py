"""Cooldowns and caps: one behavioural suite for the rule in Python and the rule in Redis."""

from __future__ import annotations

from itertools import count
from typing import NamedTuple, Protocol
from uuid import UUID, uuid4

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.decisions.arms.model import Window
from server.decisions.model import ANY, Limit, LimitKind, Rule, Screened, Verdict
from server.decisions.reservation.limits import Holder, hold_request, reserve_in_order, topic_token
from server.decisions.reservation.sets import (
    RedisReservations,
    ReservationRequest,
    ReservationSettings,
    new_hold,
)
from server.platform.redis import RedisPool

EPOCH = 7
LONGEST = 100
_TENANTS = count(1)


class Send(NamedTuple):
    """What a send is counted by: tokens of 16 characters."""

    campaign: str
    event: str
    channel: str
    topic: str


CAMPAIGNS = ["campaign-0000001", "campaign-0000002"]
NAMES = ["event-0000000001", "event-0000000002"]
CHANNELS = ["channel-00000001", "channel-00000002"]
OFFERS, NEWS, NO_TOPIC = topic_token("offers"), topic_token("news"), topic_token(None)

THANKS = Send(CAMPAIGNS[0], NAMES[0], CHANNELS[0], NO_TOPIC)

windows = st.integers(min_value=1, max_value=LONGEST)
limits = st.lists(
    st.builds(
        Limit,
        kind=st.sampled_from(LimitKind),
        window_us=windows,
        maximum=st.integers(min_value=1, max_value=3),
        campaign=st.sampled_from([ANY, *CAMPAIGNS]),
        event=st.sampled_from([ANY, *NAMES]),
        channel=st.sampled_from([ANY, *CHANNELS]),
        topic=st.sampled_from([ANY, OFFERS, NEWS]),
    ),
    max_size=4,
)
sends = st.builds(
    Send,
    campaign=st.sampled_from(CAMPAIGNS),
    event=st.sampled_from(NAMES),
    channel=st.sampled_from(CHANNELS),
    topic=st.sampled_from([OFFERS, NEWS, NO_TOPIC]),
)
candidates = st.lists(st.tuples(limits, sends), min_size=1, max_size=3)
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
                self._holders.append(Holder(at, task_id, *_tokens(candidate)))
        return verdicts


class InRedis:
    """The rule as Redis judges."""

    def __init__(self, redis: RedisPool) -> None:
        self._reservations = RedisReservations(redis, ReservationSettings(lateness_us=10_000))
        self._tenant_id = UUID(int=next(_TENANTS))
        self._begun = False

    async def reserve(self, at: int, task_id: str, asked: list[Screened]) -> dict[str, Verdict]:
        """Judge and remember."""
        if not self._begun:
            await self._reservations.begin_epoch(EPOCH)
            self._begun = True
        request = ReservationRequest(self._tenant_id, "ann", task_id, at, LONGEST, asked)
        (answer,) = await self._reservations.reserve(EPOCH, [request], hold=new_hold())
        assert isinstance(answer, dict)
        return answer


def screened(position: int, rule_limits: list[Limit], send: Send = THANKS) -> Screened:
    """A candidate that took every other hurdle."""
    always, channel, scopes = Window(None, None), send.channel, "".join(send)
    rule = Rule(
        marketing_event_id=f"event-{position}",
        campaign_id=send.campaign,
        event_name="any",
        trigger_event_type=None,
        topic=None,
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
        scopes={channel: scopes},
        holds={channel: hold_request(scopes, rule_limits)},
        quiet_hours=None,
        views={},
        fragments={},
    )
    return Screened(rule, None, (channel,))


def _tokens(candidate: Screened) -> Send:
    scopes = candidate.rule.scopes[candidate.channels[0]]
    return Send(*(scopes[start : start + 16] for start in range(0, len(scopes), 16)))


@pytest.fixture
async def reservations(redis: RedisPool) -> RedisPool:
    """Redis, shared by all examples of a property; each example has a tenant of its own."""
    return redis


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stream=events)
async def test_python_and_redis_judge_alike(
    reservations: RedisPool, stream: list[tuple[int, list[tuple[list[Limit], Send]]]]
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
    candidate = screened(0, [limit])
    sent = [
        at
        for at in times
        if (await world.reserve(at, uuid4().hex * 2, [candidate]))["event-0"] is Verdict.HELD
    ]
    for start in sent:
        assert sum(start <= at < start + window for at in sent) <= maximum


async def test_a_retry_of_the_same_decision_meets_no_hold_of_its_own(redis: RedisPool) -> None:
    limit = Limit(LimitKind.COOLDOWN, window_us=LONGEST, maximum=1)
    candidate = screened(0, [limit])
    world = InRedis(redis)
    assert await world.reserve(10, "a" * 64, [candidate]) == {"event-0": Verdict.HELD}
    assert await world.reserve(10, "a" * 64, [candidate]) == {"event-0": Verdict.HELD}
    assert await world.reserve(20, "b" * 64, [candidate]) == {"event-0": Verdict.COOLDOWN}


async def test_a_released_hold_is_gone_and_a_confirmed_one_stays(redis: RedisPool) -> None:
    limit = Limit(LimitKind.COOLDOWN, window_us=LONGEST, maximum=1)
    candidate = screened(0, [limit])
    reservations = RedisReservations(redis, ReservationSettings())
    tenant_id = uuid4()
    await reservations.begin_epoch(EPOCH)

    def request(task: str, at: int) -> ReservationRequest:
        return ReservationRequest(tenant_id, "ann", task * 64, at, LONGEST, [candidate])

    first, second, third = request("a", 1), request("b", 2), request("c", 3)
    hold = new_hold()
    assert await reservations.reserve(EPOCH, [first], hold=hold) == [{"event-0": Verdict.HELD}]
    await reservations.settle(EPOCH, [(first, None)], hold=hold)
    assert await reservations.reserve(EPOCH, [second], hold=hold) == [{"event-0": Verdict.HELD}]
    await reservations.settle(EPOCH, [(second, candidate.rule.scopes["channel-00000001"])], hold=hold)
    assert await reservations.reserve(EPOCH, [third], hold=hold) == [{"event-0": Verdict.COOLDOWN}]


async def test_what_postgresql_has_fills_a_set_that_redis_does_not_know_so_far_back(redis: RedisPool) -> None:
    limit = Limit(LimitKind.COOLDOWN, window_us=LONGEST, maximum=1)
    candidate = screened(0, [limit])
    reservations = RedisReservations(redis, ReservationSettings())
    tenant_id = uuid4()
    await reservations.begin_epoch(EPOCH)

    async def verdict(task: str, at: int, *sends: int) -> Verdict:
        stored = orjson.dumps([[sent, f"{sent:0<64}", "autumn", "thanks", "email", None] for sent in sends])
        request = ReservationRequest(tenant_id, "ann", task * 64, at, LONGEST, [candidate], stored.decode())
        (answer,) = await reservations.reserve(EPOCH, [request], hold=new_hold())
        assert isinstance(answer, dict)
        return answer["event-0"]

    assert await verdict("a", 5_000, 4_950) is Verdict.COOLDOWN
    assert await verdict("b", 5_050) is Verdict.HELD
    # A late event: the set is filled further back, and keeps what it has.
    assert await verdict("c", 1_000, 950, 4_950) is Verdict.COOLDOWN
    assert await verdict("d", 5_149) is Verdict.COOLDOWN
    assert await verdict("e", 5_150) is Verdict.HELD


async def test_tries_of_one_send_count_once_and_are_released_one_by_one(redis: RedisPool) -> None:
    limit = Limit(LimitKind.CAP, window_us=LONGEST, maximum=2)
    candidate = screened(0, [limit])
    reservations = RedisReservations(redis, ReservationSettings())
    tenant_id = uuid4()
    await reservations.begin_epoch(EPOCH)

    def request(task: str, at: int) -> ReservationRequest:
        return ReservationRequest(tenant_id, "ann", task * 64, at, LONGEST, [candidate])

    async def reserve(task: str, at: int, hold: str) -> Verdict:
        (answer,) = await reservations.reserve(EPOCH, [request(task, at)], hold=hold)
        assert isinstance(answer, dict)
        return answer["event-0"]

    first, second, others = new_hold(), new_hold(), new_hold()
    assert await reserve("a", 1, first) is Verdict.HELD
    assert await reserve("a", 1, second) is Verdict.HELD
    assert await reserve("b", 2, others) is Verdict.HELD
    await reservations.settle(EPOCH, [(request("a", 1), None)], hold=second)
    assert await reserve("c", 3, others) is Verdict.CAPPED
    await reservations.settle(
        EPOCH, [(request("a", 1), candidate.rule.scopes["channel-00000001"])], hold=first
    )
    assert await reserve("d", 4, others) is Verdict.CAPPED


@pytest.mark.parametrize("world", [InPython, InRedis])
@pytest.mark.parametrize("scope", range(16), ids=lambda scope: f"{scope:04b}")
async def test_a_limit_counts_what_is_of_all_it_names(redis: RedisPool, world: type, scope: int) -> None:
    other = Send(CAMPAIGNS[1], NAMES[1], CHANNELS[1], OFFERS)
    named = {part: value for bit, (part, value) in enumerate(other._asdict().items()) if scope >> bit & 1}
    limit = Limit(LimitKind.CAP, window_us=LONGEST, maximum=1, **named)
    for mixture in range(16):
        reserver: Reserver = world() if world is InPython else world(redis)
        sent = Send(*(other[bit] if mixture >> bit & 1 else THANKS[bit] for bit in range(4)))
        await reserver.reserve(10, "a" * 64, [screened(0, [], sent)])
        counts = mixture & scope == scope
        verdict = Verdict.CAPPED if counts else Verdict.HELD
        assert await reserver.reserve(20, "b" * 64, [screened(0, [limit], other)]) == {"event-0": verdict}


@pytest.mark.parametrize("world", [InPython, InRedis])
async def test_several_windows_hold_at_once(redis: RedisPool, world: type) -> None:
    """One in 10 and three in 60, of one topic: each closes where the other is still open."""
    reserver: Reserver = world() if world is InPython else world(redis)
    limits = [Limit(LimitKind.CAP, span, most, topic=OFFERS) for span, most in ((10, 1), (60, 3))]
    offer, thanks = screened(0, limits, THANKS._replace(topic=OFFERS)), screened(0, [])
    verdicts = {}
    for at in (0, 9, 10, 15, 20, 30, 59, 60, 69, 70):
        verdicts[at] = (await reserver.reserve(at, uuid4().hex * 2, [offer]))["event-0"]
        await reserver.reserve(at, uuid4().hex * 2, [thanks])
    assert [at for at, verdict in verdicts.items() if verdict is Verdict.HELD] == [0, 10, 20, 60, 70]
