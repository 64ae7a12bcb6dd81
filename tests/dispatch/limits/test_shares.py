"""Slots of an adapter: a quick tenant may have all, a slow one half, and each waits in turn."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from server.dispatch.limits.shares import Shares

A, B = UUID(int=1), UUID(int=2)
SLOTS = 8


def test_a_tenant_of_whom_nothing_is_known_gets_half_and_leaves_the_rest_to_others() -> None:
    shares = Shares()
    assert shares.take("x", SLOTS, A, 99, 0.0).granted == SLOTS // 2
    assert shares.take("x", SLOTS, A, 1, 0.0).granted == 0
    assert shares.take("x", SLOTS, B, 99, 0.0).granted == SLOTS // 2
    # Another adapter has slots of its own.
    assert shares.take("y", 1, A, 2, 0.0).granted == 1


def test_a_quick_tenant_gets_all_and_a_slow_one_half() -> None:
    shares = Shares()
    for seconds, most in ((0.1, SLOTS), (60.0, SLOTS // 2)):
        shares.take("x", SLOTS, A, 1, 0.0)
        shares.give_back("x", A, 1, seconds)
        assert shares.take("x", SLOTS, A, 99, 0.0).granted == most
        shares.give_back("x", A, most)


def test_who_is_told_to_wait_comes_again_at_the_pace_at_which_messages_pass() -> None:
    shares = Shares()
    shares.take("x", SLOTS, A, 1, 0.0)
    shares.give_back("x", A, 1, 2.0)
    first = shares.take("x", SLOTS, A, 6, 100.0)
    then = shares.take("x", SLOTS, A, 2, 100.0)
    assert [first.wait(n) for n in range(2)] + [then.wait(n) for n in range(2)] == [2.0, 2.5, 3.0, 3.5]


@given(
    steps=st.lists(
        st.tuples(st.sampled_from([A, B]), st.integers(1, 12), st.booleans(), st.floats(0, 5)), max_size=60
    )
)
def test_no_adapter_is_ever_asked_for_more_than_its_slots(
    steps: list[tuple[UUID, int, bool, float]],
) -> None:
    shares, held, now = Shares(), {A: 0, B: 0}, 0.0
    for tenant, wanted, give, seconds in steps:
        now += seconds
        if give and held[tenant]:
            shares.give_back("x", tenant, 1, seconds)
            held[tenant] -= 1
        verdict = shares.take("x", SLOTS, tenant, wanted, now)
        held[tenant] += verdict.granted
        assert 0 <= verdict.granted <= wanted
        assert sum(held.values()) <= SLOTS
        if verdict.granted < wanted:
            assert verdict.wait(0) > 0
